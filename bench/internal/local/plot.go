package local

import (
	"fmt"
	"path/filepath"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/plot"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/rival"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/stats"
)

// plotSpeed draws operations a second by workload and kind, to a file for each number of goroutines in folder.
func plotSpeed(found []Speed, kinds []string, folder string) ([]report.Plot, error) {
	var plots []report.Plot
	for _, n := range perCore {
		b := bars(found, kinds, n)
		if len(b.Groups) == 0 {
			continue
		}
		p := report.Plot{Title: b.Title, File: filepath.Join(folder, fmt.Sprintf("local-g%d.svg", n))}
		if err := b.Save(p.File); err != nil {
			return nil, err
		}
		plots = append(plots, p)
	}
	return plots, nil
}

func bars(found []Speed, kinds []string, perCore int) plot.Bars {
	b := plot.Bars{Title: "Speed, " + goroutinesPerCore(perCore), YLabel: "million operations a second"}
	for _, kind := range kinds {
		b.Series = append(b.Series, plot.Series{Name: kind, Bold: kind == rival.Fleetcache})
	}
	for _, m := range found {
		if m.PerCore != perCore {
			continue
		}
		b.Groups = append(b.Groups, m.Workload)
		for i, kind := range kinds {
			b.Series[i].Y = append(b.Series[i].Y, stats.MedianOf(m.Samples[kind], Sample.Rate)/1e6)
		}
	}
	return b
}
