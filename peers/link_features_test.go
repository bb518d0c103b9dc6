package peers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

func peek(ctx context.Context, p cache.Peer) error {
	return ask(ctx, p, &cache.GetRequest{Cache: "c", Keys: []string{"k"}, Peek: true}, func(int, cache.Answer) {})
}

// Instances that understand different things talk about what both do.
func TestFeaturesOfBoth(t *testing.T) {
	for _, c := range []struct {
		a, b, both wire.Features
	}{
		{0, wire.AllFeatures, 0},
		{wire.AllFeatures, 0, 0},
		{0, 0, 0},
		{wire.AllFeatures, wire.FeaturePeek | 1<<63, wire.FeaturePeek},
		{wire.AllFeatures | 1<<40, wire.AllFeatures | 1<<63, wire.AllFeatures},
	} {
		a, b, ab := upgradedPair(t, nil)
		a.features, b.features = c.a, c.b
		b.attach(t, responder{})
		for verb, call := range verbs {
			if err := call(t.Context(), ab); err != nil {
				t.Errorf("%x asks %x, %s: %v", c.a, c.b, verb, err)
			}
		}
		isUpgraded(t, ab)
		if got := ab.link.Load().features; got != c.both {
			t.Errorf("%x and %x: both understand %x", c.a, c.b, got)
		}
		for feature, call := range map[wire.Features]func() error{
			wire.FeaturePeek:  func() error { return peek(t.Context(), ab) },
			wire.FeatureStats: func() error { _, err := a.StatsOf(t.Context(), b.Self()); return err },
		} {
			if err := call(); c.both&feature != 0 && err != nil || c.both&feature == 0 && !errors.Is(err, ErrUnsupported) {
				t.Errorf("%x asks %x for feature %x: %v", c.a, c.b, feature, err)
			}
		}
	}
}

// An instance that does not know a verb or a flag says so, in whichever way it is asked.
func TestFeaturesUnsupported(t *testing.T) {
	_, b, ab := upgradedPair(t, nil)
	b.features = 0
	b.takeOver(t, func(e *rawEnd) {
		e.serveFrames(func(f wire.Frame) []byte {
			if f.Type != wire.TypeRequest {
				return nil
			}
			q, err := wire.DecodeRequest(f.Payload)
			if err != nil || q.Verb == wire.Stats || q.Verb == wire.Get && q.Get.Peek {
				return endFrame(f.Call, wire.Unsupported)
			}
			return lastAnswer(f.Call, []byte(q.Get.Keys[0]))
		})
	})
	mustGet(t, ab, "k")
	wantErr(t, peek(t.Context(), ab), ErrUnsupported)
	_, err := ab.pool.StatsOf(t.Context(), b.Self())
	wantErr(t, err, ErrUnsupported)
	if !strings.Contains(fmt.Sprint(err), b.Self()) {
		t.Errorf("the error does not name the instance: %v", err)
	}
	isUpgraded(t, ab)
	mustGet(t, ab, "k")
}

// A verb that this instance does not know is answered, on a connection that goes on.
func TestFeaturesUnknownVerb(t *testing.T) {
	n := rawNode(t, nil)
	n.attach(t, responder{})
	l := dialRaw(t, n)
	get := getRequest(t, "k")
	for call, change := range []func([]byte) []byte{
		func(b []byte) []byte { b[0] = 9 + 1; return b },
		func(b []byte) []byte { b[0] = 250; return b },
		func(b []byte) []byte { b[1] |= 1 << 7; return b },
	} {
		l.write(frame(wire.TypeRequest, uint64(call), change(append([]byte(nil), get...))))
		if code := l.code(uint64(call)); code != wire.Unsupported {
			t.Errorf("change %d: code %d", call, code)
		}
	}
	l.write(frame(wire.Type(77), 5, []byte("of a later version")), frame(wire.TypeRequest, 0, get))
	if f := l.next(); f.Type != wire.TypeAnswer {
		t.Errorf("a get is answered with a frame of type %d", f.Type)
	}
}

func TestStatsOf(t *testing.T) { bothWays(t, testStatsOf) }

func testStatsOf(t *testing.T, pair pairing) {
	a, b, ab := pair(t, nil)
	b.attach(t, responder{})
	mustGet(t, ab, "k")
	s, err := a.StatsOf(t.Context(), b.Self())
	if err != nil || s.Self != b.Self() || s.Served == 0 || len(s.Peers) != 1 || s.Peers[0].URL != a.Self() || s.Epoch != b.Stats().Epoch {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := a.StatsOf(t.Context(), a.Self()); err != nil || s.Self != a.Self() {
		t.Errorf("its own: %+v, %v", s, err)
	}
	if _, err := a.StatsOf(t.Context(), "http://nobody:hunter2@nowhere"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a stranger's: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = a.StatsOf(ctx, b.Self())
	wantErr(t, err, context.Canceled)
	b.Pool.Close()
	_, err = a.StatsOf(t.Context(), b.Self())
	if err == nil {
		t.Error("an instance that is closed tells its Stats")
	}
}
