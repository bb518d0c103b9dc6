package skew

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// A popularity draws keys, by their numbers.
type popularity interface{ draw(rng *rand.Rand) int }

// zipf draws 0 most often, and n 1/(n+1)^s times as often. It takes the same time however many there are: each place of a table is for one
// number with a certain chance, and else for another one (Walker's alias method).
type zipf struct {
	chance []float64
	other  []int32
}

func newZipf(n int, s float64) zipf {
	weights, sum := make([]float64, n), 0.0
	for i := range weights {
		weights[i] = math.Pow(float64(i+1), -s)
		sum += weights[i]
	}
	z := zipf{make([]float64, n), make([]int32, n)}
	var small, large []int32
	for i := range weights {
		z.chance[i], z.other[i] = weights[i]/sum*float64(n), int32(i)
		if z.chance[i] < 1 {
			small = append(small, int32(i))
		} else {
			large = append(large, int32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		z.other[s] = l
		if z.chance[l] -= 1 - z.chance[s]; z.chance[l] < 1 {
			small, large = append(small, l), large[:len(large)-1]
		}
	}
	for _, i := range append(small, large...) { // 1 but for rounding
		z.chance[i] = 1
	}
	return z
}

func (z zipf) draw(rng *rand.Rand) int {
	i := rng.IntN(len(z.chance))
	if rng.Float64() < z.chance[i] {
		return i
	}
	return int(z.other[i])
}

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
