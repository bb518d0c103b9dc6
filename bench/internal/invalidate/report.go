package invalidate

import (
	"fmt"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
)

func newReport(measured []Measured, d time.Duration) *report.Report {
	r := &report.Report{
		Name: "invalidate",
		About: fmt.Sprintf("What was removed, and is read once more: processes on this machine's loopback, with readers in each, over %d keys without a TTL. A remover writes a new version at the origin, and removes the key. "+
			"Once its Remove has returned nil that version is the floor: who gets an older one, in whatever process, and had seen the floor before he asked, has a stale read. "+
			"Every %dth read is of the key that was removed last. A load takes up to %v after it has read the origin. Each setting takes %v, or longer if that is not enough for the reads.",
			keyCount, latestShare, maxLoad, d),
		Notes: []string{
			"The times of single Removes and batches are of one remover at a time, in each process in turn, with a pause after each, and readers that leave the machine some time: where readers take all of it, as in the first setting, a Remove " +
				"takes as long as its processes wait for a core",
		},
		Raw: measured,
	}
	stale, reads := int64(0), int64(0)
	for _, m := range measured {
		stale, reads = stale+m.Found.StaleReads, reads+m.Found.Reads
		for _, s := range m.Found.Stale {
			r.Notes = append(r.Notes, fmt.Sprintf("STALE with %d instances, %s: %v", m.Instances, m.Setting.Name, s))
		}
	}
	r.Notes = append(r.Notes, fmt.Sprintf("Of %d reads %d were stale", reads, stale))
	r.Ratios = []report.Ratio{{Name: "invalidate/stale-reads", Value: float64(stale)}}
	for _, m := range measured {
		r.Ratios = append(r.Ratios, m.ratios()...)
	}
	for _, n := range sizes {
		r.Tables = append(r.Tables, table(n, measured))
	}
	return r
}

// ratios returns the figures of what is measured in a setting.
func (m Measured) ratios() []report.Ratio {
	prefix := fmt.Sprintf("invalidate/%d/", m.Instances)
	ms := func(q float64) float64 {
		return float64(m.Found.histogram().Quantile(q)) / float64(time.Millisecond)
	}
	switch m.Setting.Name {
	case "single":
		return []report.Ratio{{Name: prefix + "remove-p50-ms", Value: ms(.5)}, {Name: prefix + "remove-p99-ms", Value: ms(.99)}}
	case "batch":
		return []report.Ratio{{Name: prefix + "us-per-key-in-100", Value: float64(m.Found.mean()) / float64(time.Microsecond) / float64(m.Setting.Batch)}}
	}
	return nil
}

func table(instances int, measured []Measured) report.Table {
	t := report.Table{
		Title:   fmt.Sprintf("%d instances", instances),
		Columns: []string{"setting", "reads", "in memory", "stale", "loads", "removes", "p50", "p99", "mean a key"},
	}
	for _, m := range measured {
		if m.Instances != instances {
			continue
		}
		f, h := m.Found, m.Found.histogram()
		t.Rows = append(t.Rows, []string{
			m.Setting.Title, fmt.Sprint(f.Reads), fmt.Sprintf("%.1f %%", 100*float64(f.Hits)/float64(max(f.Hits+f.Misses, 1))), fmt.Sprint(f.StaleReads), fmt.Sprint(f.Loads),
			fmt.Sprint(f.Removes), report.Duration(h.Quantile(.5)), report.Duration(h.Quantile(.99)), report.Duration(f.mean() / time.Duration(m.Setting.Batch)),
		})
	}
	return t
}
