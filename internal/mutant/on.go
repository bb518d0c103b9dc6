//go:build mutants

package mutant

import "sync/atomic"

// Built reports whether mutants can be made.
const Built = true

var current atomic.Int64

// On reports whether m is what is being tested.
func On(m Mutant) bool { return Mutant(current.Load()) == m }

// Set makes m what is being tested; None ends that.
func Set(m Mutant) { current.Store(int64(m)) }
