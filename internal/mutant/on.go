//go:build mutants

package mutant

import (
	"os"
	"strconv"
	"sync/atomic"
)

// Built reports whether mutants can be made.
const Built = true

var current atomic.Int64

// Env is the variable of the environment that has the number of the mutant to begin with.
const Env = "FLEETCACHE_MUTANT"

func init() {
	if n, err := strconv.Atoi(os.Getenv(Env)); err == nil {
		current.Store(int64(n))
	}
}

// On reports whether m is what is being tested.
func On(m Mutant) bool { return Mutant(current.Load()) == m }

// Set makes m what is being tested; None ends that.
func Set(m Mutant) { current.Store(int64(m)) }
