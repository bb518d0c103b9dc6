package skew

import (
	"fmt"
	"math/rand/v2"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/zipf"
)

// A popularity draws keys, by their numbers.
type popularity interface{ draw(rng *rand.Rand) int }

// popular draws 0 most often, and n 1/(n+1)^s times as often for some s.
type popular struct{ zipf.Sums }

func (p popular) draw(rng *rand.Rand) int { return p.Draw(rng.Float64()) }

// uniform draws each of its keys as often as the others.
type uniform []int32

func (u uniform) draw(rng *rand.Rand) int { return int(u[rng.IntN(len(u))]) }

// newKeys returns n names.
func newKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("key-%07d", i)
	}
	return keys
}
