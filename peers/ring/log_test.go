package ring

import (
	"math"
	"math/rand/v2"
	"testing"
)

// hashes returns hashes where mistakes would be: at both ends, around powers of
// two and the borders of the table's segments, and at random.
func hashes() []uint32 {
	var hs []uint32
	around := func(h uint32) {
		for d := range uint32(8) {
			hs = append(hs, h+d-4)
		}
	}
	for e := range 32 {
		for i := range uint32(256) {
			around((1<<31 | i<<23) >> e)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		hs = append(hs, rng.Uint32())
	}
	return hs
}

func checkNegLog2(t *testing.T, h uint32) {
	t.Helper()
	got := negLog2(h)
	// Floating point is a judge here, not a part: 1-u is exact, so Log1p is as
	// good near u = 1 as anywhere.
	want := -math.Log1p(-float64(1<<33-(uint64(h)<<1|1))/(1<<33)) / math.Ln2 * (1 << fracBits)
	if diff := math.Abs(float64(got) - want); diff > 4 || diff > want/(1<<15) {
		t.Fatalf("negLog2(%#x) = %d, %.2f off", h, got, float64(got)-want)
	}
	if h > 0 && negLog2(h-1) <= got {
		t.Fatalf("negLog2(%#x) = %d is not below negLog2(%#x) = %d", h, got, h-1, negLog2(h-1))
	}
	for _, weight := range []int{1, 2, 3, 7, 999, MaxWeight} {
		c := newScorer(Member{ID: "a", Weight: weight})
		cost := c.cost(h)
		if cost > maxCost {
			t.Fatalf("weight %d: cost(%#x) = %#x does not fit 48 bits", weight, h, cost)
		}
		if exact := float64(got) / 64 / float64(weight); math.Abs(float64(cost)-exact) > 1.01 {
			t.Fatalf("weight %d: cost(%#x) = %d, want %.2f", weight, h, cost, exact)
		}
		if h > 0 && c.cost(h-1) <= cost {
			t.Fatalf("weight %d: the cost does not decrease at %#x", weight, h)
		}
	}
}

func TestNegLog2(t *testing.T) {
	for _, h := range hashes() {
		checkNegLog2(t, h)
	}
}

func FuzzNegLog2(f *testing.F) {
	for _, h := range []uint32{0, 1, 1 << 30, 1<<31 - 1, 1 << 31, math.MaxUint32} {
		f.Add(h)
	}
	f.Fuzz(checkNegLog2)
}

func TestNegLog2Pinned(t *testing.T) {
	for h, want := range map[uint32]uint64{
		0:              33 << fracBits, // u = 2^-33
		math.MaxUint32: negLog2Top,
		1 << 31:        negLog2Half,
	} {
		if got := negLog2(h); got != want {
			t.Errorf("negLog2(%#x) = %d, want %d", h, got, want)
		}
	}
}

const (
	negLog2Top  = 47274         // 2^-33 * log2(e) * 2^48 = 47274.15
	negLog2Half = 1<<48 - 94548 // 1 - 2^-32 * log2(e)
)

// The words every splitmix64 starts with from seed 0.
func TestWord(t *testing.T) {
	for i, want := range []uint64{0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f} {
		if got := word(0, uint64(i)); got != want {
			t.Errorf("word(0, %d) = %#x, want %#x", i, got, want)
		}
	}
}

// A lane passes a filter just if some hash that starts with it is within the
// limit.
func TestLanesBelow(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		c := newScorer(Member{ID: "a", Weight: 1 + rng.IntN(MaxWeight)})
		limit := rng.Uint64() >> (16 + rng.IntN(48))
		if rng.IntN(2) == 0 {
			limit = c.cost(rng.Uint32() | (1<<lowBits - 1)) // exactly what a lane can reach
		}
		bias, values := c.lanesBelow(limit)
		for i := range 20 {
			w := rng.Uint64()
			if i == 0 {
				w = uint64(1<<15-values) & 0x7fff * laneOnes // the border
			}
			for lane := range lanes {
				high := uint32(w >> (lane * laneBits) & 0x7fff)
				passes := (w&laneMask+bias)&laneGuard>>(lane*laneBits)>>(laneBits-1)&1 == 1
				within := c.cost(high<<lowBits|(1<<lowBits-1)) <= limit
				if passes != within || within != (int(high) >= 1<<15-values) {
					t.Fatalf("limit %d: lane %#x passes: %v, within: %v, %d values", limit, high, passes, within, values)
				}
			}
		}
	}
}
