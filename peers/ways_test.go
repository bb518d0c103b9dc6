package peers

import (
	"testing"
	"time"
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
