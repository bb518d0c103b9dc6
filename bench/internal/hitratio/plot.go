package hitratio

import (
	"math"
	"path/filepath"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/plot"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/rival"
)

// plot draws hit ratio against size, to a file for each trace in folder.
func (r *results) plot(folder string, kinds []string) ([]report.Plot, error) {
	var plots []report.Plot
	for _, t := range r.traces {
		if len(t.cells) == 0 {
			continue
		}
		p := report.Plot{Title: t.name, File: filepath.Join(folder, "hitratio-"+t.name+".svg")}
		if err := t.lines(kinds).Save(p.File); err != nil {
			return nil, err
		}
		plots = append(plots, p)
	}
	return plots, nil
}

func (t *measured) lines(kinds []string) plot.Lines {
	l := plot.Lines{Title: t.name, XLabel: "size of the cache, % of all " + t.unit(), YLabel: "hit ratio, %"}
	series := func(s plot.Series, hit func(*cell) float64) {
		for _, c := range t.cells {
			s.Y = append(s.Y, 100*hit(c))
		}
		l.Series = append(l.Series, s)
	}
	for _, c := range t.cells {
		l.X = append(l.X, float64(c.percent))
	}
	series(plot.Series{Name: "Belady", Grey: true}, func(c *cell) float64 { return c.opt })
	series(plot.Series{Name: "LRU", Grey: true}, func(c *cell) float64 { return c.lru })
	for _, kind := range kinds {
		if t.isLRU(kind) {
			continue // its line would hide that of LRU, or be hidden
		}
		series(plot.Series{Name: kind, Bold: kind == rival.Fleetcache}, func(c *cell) float64 {
			if h, ok := c.hit[kind]; ok {
				return h
			}
			return math.NaN()
		})
	}
	return l
}

// isLRU reports whether a kind has what exact LRU has, wherever it is measured.
func (t *measured) isLRU(kind string) bool {
	for _, c := range t.cells {
		if h, ok := c.hit[kind]; ok && h != c.lru {
			return false
		}
	}
	return true
}
