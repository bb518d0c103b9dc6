package plot

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func saved(t *testing.T, save func(file string) error) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "folder", "plot.svg")
	if err := save(file); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestSameFiguresSameBytes(t *testing.T) {
	lines := Lines{Title: "A title", XLabel: "size", YLabel: "hit ratio", X: []float64{1, 5, 25}, Series: []Series{
		{Name: "bound", Y: []float64{40, 50, 60}, Grey: true}, {Name: "ours", Y: []float64{30, 45, 50}, Bold: true}, {Name: "theirs", Y: []float64{20, math.NaN(), 40}},
		{Name: "nobody", Y: []float64{math.NaN(), math.NaN(), math.NaN()}},
	}}
	bars := Bars{Title: "A title", YLabel: "Mop/s", Groups: []string{"hits", "fills"}, Series: []Series{
		{Name: "ours", Y: []float64{30, 45}, Bold: true}, {Name: "theirs", Y: []float64{20, 10}},
	}}
	for name, save := range map[string]func(string) error{"lines": lines.Save, "bars": bars.Save} {
		one, two := saved(t, save), saved(t, save)
		if !bytes.Equal(one, two) {
			t.Errorf("%s: two files differ", name)
		}
		for _, want := range []string{"<svg", "A title", "ours", "theirs"} {
			if !strings.Contains(string(one), want) {
				t.Errorf("%s: nothing says %q", name, want)
			}
		}
		if len(one) > 50_000 || strings.Contains(string(one), "nobody") || strings.Contains(string(one), "NaN") {
			t.Errorf("%s: %d bytes, or something that was not measured", name, len(one))
		}
	}
}

func TestSeriesThatDoNotFit(t *testing.T) {
	short := []Series{{Name: "ours", Y: []float64{1}}}
	file := filepath.Join(t.TempDir(), "plot.svg")
	for _, err := range []error{
		Lines{X: []float64{1, 2}, Series: short}.Save(file),
		Bars{Groups: []string{"a", "b"}, Series: short}.Save(file),
	} {
		if err == nil || !strings.Contains(err.Error(), "ours: it has 1 values for 2") {
			t.Errorf("%v", err)
		}
	}
}
