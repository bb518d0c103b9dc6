package memory_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
)

const (
	ms = memory.Instant(time.Millisecond)
	s  = memory.Instant(time.Second)
)

func TestTookFor(t *testing.T) {
	for _, tt := range []struct {
		d    time.Duration
		want memory.Took
	}{{-1, 0}, {0, 0}, {999, 0}, {1000, 1}, {time.Second, 1e6}, {time.Hour, 3600e6}, {2 * time.Hour, math.MaxUint32}, {math.MaxInt64, math.MaxUint32}, {math.MinInt64, 0}} {
		if got := memory.TookFor(tt.d); got != tt.want {
			t.Errorf("TookFor(%v) = %d, want %d", tt.d, got, tt.want)
		}
	}
}

func TestEarliest(t *testing.T) {
	took := func(i memory.Instant) memory.Took { return memory.TookFor(time.Duration(i)) }
	for _, tt := range []struct {
		name string
		item item
		want memory.Instant // of an item that is stored at 100 s
	}{
		{"five times the load", item{Fresh: 110 * s, Took: took(100 * ms)}, 109500 * ms},
		{"not in the first half", item{Fresh: 110 * s, Took: took(3 * s)}, 105 * s},
		{"a load longer than that", item{Fresh: 110 * s, Took: took(3600 * s)}, 105 * s},
		{"a load of no time", item{Fresh: 110 * s}, 110 * s},
		{"a mirror", item{Fresh: 110 * s, Took: took(s), Mirror: true}, memory.Never},
		{"for ever", item{Fresh: memory.Never, Took: took(s)}, memory.Never},
		{"over already", item{Fresh: 90 * s, Took: took(s)}, 90 * s},
		{"in a far future", item{Fresh: memory.Never - 1, Took: math.MaxUint32}, memory.Never - 1 - 5*math.MaxUint32*1000},
	} {
		if got := tt.item.Earliest(100 * s); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, time.Duration(got), time.Duration(tt.want))
		}
	}
}

// Of those who ask when a given time is left, the share that XFetch says is told to refresh.
func TestEarlyRefreshHasTheProbabilityOfXFetch(t *testing.T) {
	for _, tt := range []struct{ left, took memory.Instant }{
		{1 * ms, 100 * ms}, {50 * ms, 100 * ms}, {100 * ms, 100 * ms}, {300 * ms, 100 * ms}, {499 * ms, 100 * ms}, {2 * s, s}, {1, 1000},
	} {
		const n = 20_000
		told := 0
		for i := range n {
			now := memory.Instant(i*12_345) + s
			if memory.IsDue(&item{Fresh: now + tt.left, Took: memory.TookFor(time.Duration(tt.took))}, now) {
				told++
			}
		}
		want := math.Exp(-float64(tt.left) / float64(tt.took))
		if got := float64(told) / n; math.Abs(got-want) > 4*math.Sqrt(want*(1-want)/n) {
			t.Errorf("%v left, a load of %v: %.4f are told, want %.4f", time.Duration(tt.left), time.Duration(tt.took), got, want)
		}
	}
}

func TestEarlyRefreshTellsOneInRefreshEvery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memory.New[string](1<<20, false)
		it := keep(st, 20*time.Second)
		it.Took = memory.TookFor(2 * time.Second)
		st.Put("k", it, 0)
		told := make(map[time.Duration]int)
		for range 20_000 {
			if got, refresh, _ := st.Get("k"); got == nil {
				t.Fatal("the item is gone")
			} else if refresh {
				told[time.Duration(st.Now()).Truncate(time.Second)]++
			}
			time.Sleep(time.Millisecond)
		}
		total := 0
		for second, n := range told {
			if total += n; second < 10*time.Second || n > 1 {
				t.Errorf("%d were told in the second from %v on", n, second)
			}
		}
		if total < 7 {
			t.Errorf("%d were told in the last 10 s", total)
		}
	})
}

// Who asks by Hit is sent to Get, which is told without another draw.
func TestHitOfWhatIsDueEarlyIsLeftToGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memory.New[string](1<<20, false)
		it := keep(st, 10*time.Second)
		it.Took = memory.TookFor(100 * time.Millisecond)
		st.Put("k", it, 0)
		for st.Hit("k", false) != nil {
			time.Sleep(time.Millisecond)
		}
		if left := it.Fresh - st.Now(); left <= 0 || left > 500*ms {
			t.Fatalf("Hit answered until %v before the end", time.Duration(left))
		}
		if st.Hit("k", false) != nil {
			t.Error("Hit answers again before anybody has refreshed the item")
		}
		if got, refresh, _ := st.Get("k"); got == nil || !refresh {
			t.Error("Get is not told to refresh it")
		}
		if st.Hit("k", false) == nil {
			t.Error("Hit does not answer while it is refreshed")
		}
		if _, refresh, _ := st.Get("k"); refresh {
			t.Error("a second Get is told as well")
		}
	})
}
