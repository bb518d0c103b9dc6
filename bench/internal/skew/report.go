package skew

import (
	"fmt"
	"slices"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
)

func newReport(measured []Measured) *report.Report {
	r := &report.Report{
		Name: "skew",
		About: fmt.Sprintf("Simulated fleets that are asked for values of %d B, with the real placement and the real caches. A member has %.1f times the memory that its share of the keys takes, an eighth of it for mirrors; "+
			"at first it has all of these. A lease lasts 30 s. Counting lasts as long, and begins when the first leases have run out.", valueBytes, slack),
		Notes: []string{
			"hottest is how often the member that others ask most is asked, over the mean of the plain scheme, in which nobody keeps what others own and each request for it is a call; " +
				"crossing is the share of the requests that are such a call; duplicated the share of the memory in use that mirrors take; calls-per-member how often a member asks for the key that nobody knew " +
				"before, in 30 s. All of them are costs: less is better",
			"groupcache is golang/groupcache's policy on its own consistenthash with 50 replicas: one value in ten that came from a peer is kept, and what its members' own values leave free is for these, an eighth of those at least. " +
				"Its entries are as large. They never expire, where a mirror is a lease; but they come one at a time in ten, and after a minute or less there are not yet as many as there will be",
		},
		Raw: measured,
	}
	var last []Measured
	for i, m := range measured {
		r.Ratios = append(r.Ratios, m.ratios()...)
		last = append(last, m)
		if i+1 == len(measured) || measured[i+1].Setting.Members != m.Setting.Members {
			r.Tables = append(r.Tables, table(last))
			last = nil
		}
	}
	if t := flashTable(measured); len(t.Rows) > 0 {
		r.Tables = append(r.Tables, t)
	}
	about := report.Table{Title: "What is asked for", Columns: []string{"name", "what it is"}}
	for _, p := range popularities {
		about.Rows = append(about.Rows, []string{p.name, p.about})
	}
	r.Tables = append(r.Tables, about)
	return r
}

// total sums counts up.
func total(counts []int64) (sum int64) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

// Hottest returns the largest of counts over the mean of the plain scheme.
func (m Measured) Hottest(counts []int64) float64 {
	return float64(slices.Max(counts)) * float64(len(m.Plain)) / float64(max(total(m.Plain), 1))
}

// Crossing returns the share of the requests that counts are.
func (m Measured) Crossing(counts []int64) float64 {
	return float64(total(counts)) / float64(max(m.Requests, 1))
}

// PerMember returns the mean of counts, of members that do not own the key.
func (m Measured) PerMember(counts []int64) float64 {
	return float64(total(counts)) / float64(max(len(counts)-1, 1))
}

func (m Measured) ratios() []report.Ratio {
	prefix := "skew/" + m.Setting.Name() + "/"
	ratios := []report.Ratio{
		{Name: prefix + "hottest", Value: m.Hottest(m.Calls)},
		{Name: prefix + "hottest-groupcache", Value: m.Hottest(m.Group)},
		{Name: prefix + "hottest-plain", Value: m.Hottest(m.Plain)},
		{Name: prefix + "crossing", Value: m.Crossing(m.Calls)},
		{Name: prefix + "crossing-groupcache", Value: m.Crossing(m.Group)},
		{Name: prefix + "duplicated", Value: m.Duplicated},
		{Name: prefix + "duplicated-groupcache", Value: m.GroupDuplicated},
	}
	if m.Setting.Popularity == "flash" {
		ratios = append(ratios,
			report.Ratio{Name: prefix + "calls-per-member", Value: m.PerMember(m.FlashCalls)},
			report.Ratio{Name: prefix + "calls-per-member-groupcache", Value: m.PerMember(m.GroupFlashCalls)})
	}
	return ratios
}

// table is of settings with the same members.
func table(measured []Measured) report.Table {
	s := measured[0].Setting
	t := report.Table{
		Title: fmt.Sprintf("%d members, %d keys, %d requests a second to each member, which has %.3g MB: mirrors for %d values, where 8 n ln n is %d",
			s.Members, s.Keys, s.Rate, float64(s.MaxBytes())/1e6, s.mirrors(), s.bound()),
		Columns: []string{"popularity", "hottest", "groupcache", "plain", "plain groupcache", "crossing", "groupcache", "plain", "duplicated", "groupcache", "mirrors"},
	}
	percent := func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) }
	for _, m := range measured {
		t.Rows = append(t.Rows, []string{
			m.Setting.Popularity,
			report.Number(m.Hottest(m.Calls)), report.Number(m.Hottest(m.Group)), report.Number(m.Hottest(m.Plain)), report.Number(m.Hottest(m.GroupPlain)),
			percent(m.Crossing(m.Calls)), percent(m.Crossing(m.Group)), percent(m.Crossing(m.Plain)),
			percent(m.Duplicated), percent(m.GroupDuplicated),
			fmt.Sprint(m.Mirrors),
		})
	}
	return t
}

func flashTable(measured []Measured) report.Table {
	t := report.Table{
		Title:   "Calls of a member for the key that nobody knew before",
		Columns: []string{"members", "fleetcache", "most of one", "groupcache", "most of one"},
	}
	for _, m := range measured {
		if m.Setting.Popularity == "flash" {
			t.Rows = append(t.Rows, []string{
				fmt.Sprint(m.Setting.Members),
				report.Number(m.PerMember(m.FlashCalls)), fmt.Sprint(slices.Max(m.FlashCalls)),
				report.Number(m.PerMember(m.GroupFlashCalls)), fmt.Sprint(slices.Max(m.GroupFlashCalls)),
			})
		}
	}
	return t
}
