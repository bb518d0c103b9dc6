//go:build race

package soak

import "time"

// grace is how much later than its context a call may return: under the race detector all goroutines
// wait for each other, ten times as long.
const grace = 5 * time.Second
