package peers

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// upgradedPair is pair, with connections that are upgraded.
func upgradedPair(t testing.TB, edit func(*Config)) (a, b *node, ab *peer) {
	t.Helper()
	a, b, ab = pair(t, edit)
	a.upgrades.Store(true)
	b.upgrades.Store(true)
	return a, b, ab
}

// A pairing starts two instances that know each other, and returns the second as the first reaches it.
type pairing func(t testing.TB, edit func(*Config)) (a, b *node, ab *peer)

// bothWays runs test with instances that ask each other by POST, and with instances whose connections are upgraded. It
// sees to it that they do.
func bothWays(t *testing.T, test func(t *testing.T, pair pairing)) {
	t.Helper()
	t.Run("post", func(t *testing.T) {
		test(t, func(t testing.TB, edit func(*Config)) (a, b *node, ab *peer) {
			a, b, ab = pair(t, edit)
			t.Cleanup(func() {
				if how, _, n, _ := ab.transport(); how == "upgraded" || n > 0 {
					t.Errorf("the peer is asked by way of %q", how)
				}
			})
			return a, b, ab
		})
	})
	t.Run("upgraded", func(t *testing.T) {
		test(t, func(t testing.TB, edit func(*Config)) (a, b *node, ab *peer) {
			a, b, ab = upgradedPair(t, edit)
			t.Cleanup(func() {
				if how, why, n, _ := ab.transport(); how == "post" && n == 0 {
					t.Errorf("the peer is asked by POST: %s", why)
				}
			})
			return a, b, ab
		})
	})
}

// byPost has p asked by POST for good.
func (p *peer) byPost() {
	p.way.mu.Lock()
	defer p.way.mu.Unlock()
	p.way.posts, p.way.due = true, time.Now().Add(1000*time.Hour)
}

// isUpgraded fails the test unless p is asked on an upgraded connection.
func isUpgraded(t testing.TB, p *peer) {
	t.Helper()
	if how, why, _, _ := p.transport(); how != "upgraded" {
		t.Fatalf("the peer is asked by way of %q: %s", how, why)
	}
}

func pair(t testing.TB, edit func(*Config)) (a, b *node, ab *peer) {
	t.Helper()
	nodes := newNodes(t, 2, edit)
	return nodes[0], nodes[1], nodes[0].to(t, nodes[1].Self())
}

// Who cancels a call is told of that, though the peer's word that its time is over arrives before the connection is let go.
func TestCancelIsTheCallersThoughThePeerAnswers(t *testing.T) {
	base := newTransport(t)
	_, b, ab := pair(t, func(c *Config) {
		c.Client = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			return base.RoundTrip(r.WithContext(context.WithoutCancel(r.Context())))
		})}
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.handle(func(w http.ResponseWriter, r *http.Request) {
		noticed, end := context.WithCancel(r.Context())
		stop := context.AfterFunc(ctx, end)
		defer stop()
		b.Pool.ServeHTTP(w, r.WithContext(noticed))
	})
	b.attach(t, responder{release: func(noticed context.Context, _ *cache.ReleaseRequest) error {
		cancel()
		<-noticed.Done()
		return noticed.Err()
	}})
	if err := verbs["release"](ctx, ab); !errors.Is(err, context.Canceled) {
		t.Errorf("the call: %v, want context.Canceled", err)
	}
}
