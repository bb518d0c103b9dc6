package processtest

import (
	"context"
	"testing"
	"time"
)

const (
	// patience is how long a test waits for what should happen soon, on a machine that has other things to do.
	patience = time.Minute

	// glance is how often it looks.
	glance = 10 * time.Millisecond
)

// WaitFor waits until done returns true, and fails the test if that takes too long.
func WaitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited too long for %s", what)
		}
	}
}
