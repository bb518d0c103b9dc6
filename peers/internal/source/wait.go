package source

import (
	"context"
	"math/rand/v2"
	"time"
)

// Wait waits for d, and reports whether it did: it does not when ctx ends first.
func Wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Jittered returns d, up to a quarter shorter or longer.
func Jittered(d time.Duration) time.Duration { return d - d/4 + rand.N(d/2+1) }
