//go:build !race

package soak

import "time"

// grace is how much later than its context a call may return.
const grace = time.Second
