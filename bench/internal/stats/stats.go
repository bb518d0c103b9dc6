// Package stats has the little statistics that comparisons need: a histogram of latencies, medians, ratios.
package stats

import "slices"

// Median returns the median of values, the mean of the middle two if their number is even. It is
// 0 for no values, and leaves them as they are.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// MedianOf returns the median of what f gives for each of items.
func MedianOf[T any](items []T, f func(T) float64) float64 {
	return Median(Values(items, f))
}

// Values returns what f gives for each of items.
func Values[T any](items []T, f func(T) float64) []float64 {
	values := make([]float64, len(items))
	for i, item := range items {
		values[i] = f(item)
	}
	return values
}

// Ratio returns the median of the ratios a[i]/b[i]. Values of one index were measured in one round, so that
// what disturbs a round disturbs both sides of a ratio. A pair with a b of 0, or without a partner, does not count;
// ok is false if none is left.
func Ratio(a, b []float64) (ratio float64, ok bool) {
	var ratios []float64
	for i := range min(len(a), len(b)) {
		if b[i] != 0 {
			ratios = append(ratios, a[i]/b[i])
		}
	}
	return Median(ratios), len(ratios) > 0
}
