package cache_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

var (
	randomRuns = flag.Int("random.runs", 60, "schedules of TestG4RandomSchedules")
	randomSeed = flag.Uint64("random.seed", 0, "replay the one schedule of TestG4RandomSchedules with this seed")
)

// TestG4RandomSchedules runs random calls over links of random speed in one view, and checks of every Get what G4
// promises: that its value is not older than any invalidation that had returned before the Get began.
// In some schedules instances are killed and begin a new life meanwhile. Every call returns (G5): the bubble
// would not end otherwise.
func TestG4RandomSchedules(t *testing.T) {
	if *randomSeed != 0 {
		runSchedule(t, *randomSeed)
		return
	}
	for range *randomRuns {
		seed := rand.Uint64()
		if !t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { runSchedule(t, seed) }) {
			t.Fatalf("replay with: go test ./cache -run TestG4RandomSchedules -random.seed %d", seed)
		}
	}
}

// history is what has been promised of one key so far.
type history struct {
	// mu guards floor and ceiling.
	mu      sync.Mutex
	floor   int // the oldest version that a Get that begins now may return
	ceiling int // the newest version there is
}

func runSchedule(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	n := 2 + rng.IntN(4)
	inFleet(t, n, nil, func(f *fleet) {
		slow := time.Duration(1+rng.IntN(200)) * time.Millisecond
		for from := range n {
			for to := range n {
				if from == to {
					continue
				}
				f.SetFaults(from, to, peerstest.Faults{
					// No invalidation takes no time: so who has written has called before another's call returns.
					RequestDelay:      peerstest.DelayBetween(rng.Uint64(), time.Millisecond, time.Millisecond+slow*time.Duration(rng.IntN(4))),
					ReplyDelay:        peerstest.DelayBetween(rng.Uint64(), 0, slow*time.Duration(rng.IntN(4))),
					DuplicateRequests: rng.IntN(4) == 0,
					DuplicateReplies:  rng.IntN(4) == 0,
				})
			}
		}
		f.origin.takes(time.Duration(rng.IntN(400)) * time.Millisecond)
		keys := []string{"a", "b", "c"}
		histories := make(map[string]*history)
		for _, key := range keys {
			histories[key] = new(history)
		}
		live := make([]atomic.Pointer[cache.Cache[string, string]], n)
		for i, c := range f.caches {
			live[i].Store(c)
		}
		var wg sync.WaitGroup
		for range rng.IntN(3) * rng.IntN(3) {
			i, after := rng.IntN(n), time.Duration(rng.IntN(3000))*time.Millisecond
			wg.Go(func() {
				time.Sleep(after)
				f.restart(i, live)
			})
		}
		for caller := range 3 * n {
			rng := rand.New(rand.NewPCG(seed, uint64(caller+2)))
			wg.Go(func() {
				for range 15 {
					time.Sleep(time.Duration(rng.IntN(300)) * time.Millisecond)
					key := keys[rng.IntN(len(keys))]
					i := rng.IntN(n)
					f.step(rng, i, live[i].Load(), key, histories)
				}
			})
		}
		wg.Wait()
		for i := range live {
			f.caches[i] = live[i].Load()
		}
		for _, key := range keys {
			for i := range n {
				if got, want := version(f.get(i, key)), histories[key].floor; got < want {
					t.Errorf("in the end, %q at %d has version %d, and %d was promised", key, i, got, want)
				}
			}
		}
	})
}

// restart kills instance i and begins a new life of it.
func (f *fleet) restart(i int, live []atomic.Pointer[cache.Cache[string, string]]) {
	f.restarts.Lock()
	defer f.restarts.Unlock()
	f.Restart(i)
	live[i].Load().Close()
	live[i].Store(f.newCache(i, nil))
}

// step does one random call at c, which is instance i, and checks what it returns.
func (f *fleet) step(rng *rand.Rand, i int, c *cache.Cache[string, string], key string, histories map[string]*history) {
	h := histories[key]
	ctx := f.t.Context()
	if rng.IntN(4) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(500))*time.Millisecond)
		defer cancel()
	}
	switch op := rng.IntN(20); {
	case op < 13:
		floor := h.promised()
		v, err := c.Get(ctx, key)
		f.checkValue(h, i, key, v, floor, err)
	case op < 14:
		floor := h.promised()
		v, err := c.Refresh(ctx, key)
		f.checkValue(h, i, key, v, floor, err)
	case op < 15:
		floors := make(map[string]int)
		var keys []string
		for key, h := range histories {
			keys = append(keys, key)
			floors[key] = h.promised()
		}
		values, err := c.GetMany(ctx, keys)
		var me *cache.ManyError
		if err != nil && !errors.As(err, &me) && !errors.Is(err, cache.ErrClosed) {
			f.t.Errorf("GetMany: %v", err)
		}
		for key, v := range values {
			f.checkValue(histories[key], i, key, v, floors[key], nil)
		}
	case op < 17:
		f.written(h, key, func(string) error { return c.Remove(ctx, key) })
	case op < 19:
		f.written(h, key, func(v string) error { return c.Set(ctx, key, cache.Entry[string]{Value: v}) })
	default:
		f.written(h, key, func(string) error { return c.Clear(ctx) })
	}
}

// promised returns the oldest version that a Get that begins now may return.
func (h *history) promised() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.floor
}

// written writes a version of key to the origin, invalidates, and notes what is promised if that succeeds.
func (f *fleet) written(h *history, key string, invalidate func(value string) error) {
	h.mu.Lock()
	value := f.origin.write(key)
	h.ceiling = version(value)
	h.mu.Unlock()
	err := invalidate(value)
	if err == nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.floor = max(h.floor, version(value))
		return
	}
	var ue *cache.UnreachedError
	if !errors.As(err, &ue) && !errors.Is(err, cache.ErrClosed) {
		f.t.Errorf("invalidation of %q: %v", key, err)
	}
}

func (f *fleet) checkValue(h *history, i int, key, value string, floor int, err error) {
	if err != nil {
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, cache.ErrClosed) {
			f.t.Errorf("Get(%q) at %d: %v", key, i, err)
		}
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if v := version(value); v < floor || v > h.ceiling {
		f.t.Errorf("%q at %d has version %d; versions from %d to %d were allowed", key, i, v, floor, h.ceiling)
	}
}
