// Package pause waits for a while.
package pause

import (
	"context"
	"time"
)

// For waits for d. If ctx ends before that, it returns ctx's error.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
