package zipf

import (
	"math"
	"testing"
)

func TestDraw(t *testing.T) {
	const draws = 25_000
	for _, exponent := range []float64{0, 0.99, 2} {
		z := New(4, exponent)
		var drawn [4]int
		for i := range draws {
			drawn[z.Draw(float64(i)/draws)]++
		}
		for i, n := range drawn {
			want := draws * math.Pow(float64(i+1), -exponent) / z[3]
			if math.Abs(float64(n)-want) > 2 {
				t.Errorf("exponent %v: %d is drawn %d times, want %.0f", exponent, i, n, want)
			}
		}
	}
	if n := New(3, 1).Draw(math.Nextafter(1, 0)); n != 2 {
		t.Errorf("the last of all draws gives %d", n)
	}
}
