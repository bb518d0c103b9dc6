package process

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/pause"
	"github.com/seed-0f2aaebe/fleetcache/peers"
)

// Members are those that have urls.
func Members(urls []string) []peers.Member {
	members := make([]peers.Member, len(urls))
	for i, url := range urls {
		members[i].URL = url
	}
	return members
}

// AwaitJoin waits on ctx until joined says so, which is asked every millisecond.
func AwaitJoin(ctx context.Context, joined func() bool) error {
	for !joined() {
		if err := pause.For(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("the instance has not joined: %w", err)
		}
	}
	return nil
}
