// Package zipf draws numbers as requests come for keys: some often, and many seldom.
package zipf

import (
	"math"
	"sort"
)

// Sums are the weights of the numbers up to each, added up.
type Sums []float64

// New returns the Sums of n numbers, of which i has the weight (i+1)^-exponent.
func New(n int, exponent float64) Sums {
	z := make(Sums, n)
	sum := 0.0
	for i := range z {
		sum += math.Pow(float64(i+1), -exponent)
		z[i] = sum
	}
	return z
}

// Draw returns the number that u stands for, which is drawn from [0, 1): each as often as its weight says.
func (z Sums) Draw(u float64) int {
	last := len(z) - 1
	return min(sort.SearchFloat64s(z, u*z[last]), last)
}
