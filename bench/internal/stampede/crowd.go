package stampede

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/zipf"
)

// run has callers come to every way, as p says, and returns what became of those who came after the warming.
func (in *instance) run(ctx context.Context, p Plan) map[string]Count {
	warm := time.Now().Add(p.Warm)
	counts := make([]Count, len(in.ways))
	var wg sync.WaitGroup
	for i, w := range in.ways {
		wg.Go(func() { counts[i] = w.run(ctx, newKeys(p.Keys), warm, warm.Add(p.Duration)) })
	}
	wg.Wait()
	byName := make(map[string]Count)
	for i, w := range in.ways {
		byName[w.name] = counts[i]
	}
	return byName
}

// run counts from begin to end. Callers come by a Poisson process, whether or not those before them have their values.
func (w way) run(ctx context.Context, keys keys, begin, end time.Time) Count {
	var asked, waited, failed, oldest, before atomic.Int64
	warming := time.AfterFunc(time.Until(begin), func() { before.Store(w.loads.Load()) })
	defer warming.Stop()
	var wg sync.WaitGroup
	for next := time.Now(); next.Before(end) && ctx.Err() == nil; next = next.Add(time.Duration(rand.ExpFloat64() / rate * float64(time.Second))) {
		time.Sleep(time.Until(next))
		key := keys.draw()
		wg.Go(func() {
			came := time.Now()
			value, err := w.get(ctx, key)
			if came.Before(begin) {
				return
			}
			asked.Add(1)
			at, bad := loadedAt(value)
			switch {
			case err != nil || bad != nil:
				failed.Add(1)
			case at.After(came):
				waited.Add(1)
			default:
				atLeast(&oldest, int64(came.Sub(at)))
			}
		})
	}
	loads := w.loads.Load() - before.Load()
	wg.Wait()
	return Count{Asked: asked.Load(), Waited: waited.Load(), Failed: failed.Load(), Loads: loads, Oldest: time.Duration(oldest.Load())}
}

// atLeast makes a no less than n.
func atLeast(a *atomic.Int64, n int64) {
	for old := a.Load(); old < n && !a.CompareAndSwap(old, n); old = a.Load() {
	}
}

// keys are drawn from by popularity: the nth 1/n times as often as the first.
type keys struct {
	names []string
	zipf  zipf.Sums
}

func newKeys(n int) keys {
	k := keys{zipf: zipf.New(n, 1)}
	for i := range n {
		k.names = append(k.names, fmt.Sprint("key-", i))
	}
	return k
}

func (k keys) draw() string { return k.names[k.zipf.Draw(rand.Float64())] }
