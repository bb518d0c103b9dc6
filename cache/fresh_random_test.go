package cache_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// A script is a random life of one key.
type script struct {
	ttl, stale time.Duration
	jitter     float64
	steps      []step
}

type step struct {
	wait  time.Duration // before the step
	takes time.Duration // a load that begins now
	fails bool
	call  string
}

var errScript = errors.New("the script says so")

func drawScript(t *rapid.T) script {
	upTo := func(d time.Duration, label string) time.Duration {
		return time.Duration(rapid.Int64Range(0, int64(d)).Draw(t, label))
	}
	s := script{
		ttl:    1 + upTo(time.Minute, "TTL"),
		stale:  rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(t, "Stale"),
		jitter: rapid.SampledFrom([]float64{0, 0.1, 0.9}).Draw(t, "Jitter"),
	}
	for range rapid.IntRange(2, 30).Draw(t, "steps") {
		st := step{
			fails: rapid.IntRange(0, 4).Draw(t, "fails") == 0,
			call:  rapid.SampledFrom([]string{"Get", "Get", "Get", "GetMany", "Refresh", "Peek"}).Draw(t, "call"),
		}
		// The interesting moments are around the ends of TTL and Stale.
		st.wait = rapid.SampledFrom([]time.Duration{0, 1, s.ttl - 1, s.ttl, s.stale, s.ttl + s.stale - 1, s.ttl + s.stale, -1}).Draw(t, "wait")
		if st.wait < 0 {
			st.wait = upTo(s.ttl+s.stale, "any wait")
		}
		if rapid.Bool().Draw(t, "slow") {
			st.takes = upTo(10*time.Second, "takes")
		}
		s.steps = append(s.steps, st)
	}
	return s
}

// Values are the times at which they were loaded.
func TestG7NothingIsServedPastTTLAndStale(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := drawScript(rt)
		failure := ""
		synctest.Test(t, func(t *testing.T) { failure = s.play(t) })
		if failure != "" {
			rt.Fatalf("%s\n%+v", failure, s)
		}
	})
}

// play returns what went wrong.
func (s *script) play(t *testing.T) (failure string) {
	var now atomic.Pointer[step]
	c := open(t, cache.Config[string, time.Time]{
		TTL: s.ttl, Stale: s.stale, Jitter: s.jitter,
		SizeOf: func(time.Time) int64 { return 24 },
		Load: func(ctx context.Context, _ string) (cache.Entry[time.Time], error) {
			st := now.Load()
			if err := pause(ctx, st.takes); err != nil {
				return cache.Entry[time.Time]{}, err
			}
			if st.fails {
				return cache.Entry[time.Time]{}, errScript
			}
			return cache.Entry[time.Time]{Value: time.Now()}, nil
		},
	})
	for i := range s.steps {
		st := &s.steps[i]
		time.Sleep(st.wait)
		now.Store(st)
		begin, before := time.Now(), awaited(c)
		v, ok, err := lookUp(t, c, st.call)
		age, loads := time.Since(v), awaited(c)-before
		switch {
		case err != nil && err != errScript || err == errScript && st.call == "Peek":
			return "an error that no loader returned: " + err.Error()
		case !ok:
			continue
		case age >= s.ttl+s.stale:
			return "served past TTL + Stale: " + age.String()
		case age >= s.ttl && time.Since(begin) > 0:
			return "waited for a stale value"
		case st.call != "Refresh" && age > 0 && age < s.ttl-time.Duration(s.jitter*float64(s.ttl)) && loads > 0:
			return "loaded although it was fresh"
		}
	}
	return ""
}

// awaited returns how many loads were no early refreshes.
func awaited(c *cache.Cache[string, time.Time]) uint64 {
	synctest.Wait() // until a refresh that was begun behind is counted as a load
	s := c.Stats()
	return s.Loads - s.EarlyRefreshes
}

func lookUp(t *testing.T, c *cache.Cache[string, time.Time], call string) (v time.Time, ok bool, err error) {
	switch call {
	case "Peek":
		v, ok = c.Peek("k")
		return v, ok, nil
	case "Refresh":
		v, err = c.Refresh(t.Context(), "k")
	case "GetMany":
		var values map[string]time.Time
		values, err = c.GetMany(t.Context(), []string{"k"})
		v = values["k"]
		var me *cache.ManyError
		if errors.As(err, &me) {
			err = me.Errors["k"]
		}
	default:
		v, err = c.Get(t.Context(), "k")
	}
	return v, err == nil, err
}
