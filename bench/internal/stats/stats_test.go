package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{7}, 7},
		{[]float64{9, 1}, 5},
		{[]float64{3, 100, 1}, 3},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		before := slices.Clone(c.values)
		if got := Median(c.values); got != c.want {
			t.Errorf("Median(%v) = %v, want %v", c.values, got, c.want)
		}
		if !slices.Equal(before, c.values) {
			t.Errorf("Median changed its argument %v to %v", before, c.values)
		}
	}
	if got := MedianOf([]string{"a", "ccc", "bb"}, func(s string) float64 { return float64(len(s)) }); got != 2 {
		t.Errorf("MedianOf = %v, want 2", got)
	}
}

// The ratio is of pairs: a slow round is slow for both.
func TestRatioPairsRounds(t *testing.T) {
	got, ok := Ratio([]float64{10, 1, 40}, []float64{5, 0.5, 20})
	if got != 2 || !ok {
		t.Errorf("Ratio = %v, %v, want 2, true", got, ok)
	}
	if got, ok := Ratio([]float64{3, 8}, []float64{0, 2}); got != 4 || !ok {
		t.Errorf("Ratio with a zero = %v, %v, want 4, true", got, ok)
	}
	if _, ok := Ratio([]float64{3}, nil); ok {
		t.Error("Ratio without a pair is ok")
	}
}

func TestBucketsFitTogether(t *testing.T) {
	var next uint64
	for i := range buckets {
		low, width := bounds(i)
		if low != next {
			t.Fatalf("bucket %d begins at %d, and the one before ends at %d", i, low, next)
		}
		next = low + width
		for _, v := range []uint64{low, low + width/2, next - 1} {
			if got := bucket(time.Duration(v)); got != i {
				t.Fatalf("bucket(%d) = %d, want %d", v, got, i)
			}
		}
	}
	if next != 1<<maxBits {
		t.Errorf("the last bucket ends at %d, want %d", next, uint64(1)<<maxBits)
	}
	if first, last := bucket(-time.Second), bucket(math.MaxInt64); first != 0 || last != buckets-1 {
		t.Errorf("the extremes are in buckets %d and %d, want 0 and %d", first, last, buckets-1)
	}
}

func TestQuantilesAreCloseToExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var parts [3]Histogram
	var exact []time.Duration
	for i := range 30_000 {
		d := time.Duration(math.Exp(rng.Float64()*15) * 100)
		exact = append(exact, d)
		parts[i%len(parts)].Record(d)
	}
	parts[0].RecordN(time.Hour, 3)
	exact = append(exact, time.Hour, time.Hour, time.Hour)
	slices.Sort(exact)
	var h Histogram
	for i := range parts {
		h.Merge(&parts[i])
	}
	if h.Count() != uint64(len(exact)) {
		t.Fatalf("Count = %d, want %d", h.Count(), len(exact))
	}
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := exact[max(int(math.Ceil(q*float64(len(exact))))-1, 0)]
		if got := h.Quantile(q); math.Abs(float64(got-want)) > 0.01*float64(want) {
			t.Errorf("Quantile(%v) = %v, want %v to within 1 %%", q, got, want)
		}
	}
	if got := new(Histogram).Quantile(0.5); got != 0 {
		t.Errorf("Quantile of nothing = %v, want 0", got)
	}
}

func TestRecordAllocatesNothing(t *testing.T) {
	var h Histogram
	if n := testing.AllocsPerRun(100, func() { h.Record(time.Millisecond) }); n != 0 {
		t.Errorf("Record allocates %v times", n)
	}
}
