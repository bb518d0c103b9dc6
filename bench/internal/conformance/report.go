package conformance

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
)

// failures are the outcomes of what did not pass, in the order in which they are reported.
var failures = []struct{ outcome, title string }{
	{"fail", "Required, and failed (fail)"},
	{"optional_fail", "Optimal, and failed (optional_fail)"},
	{"setup_fail", "Not come to the question (setup_fail)"},
	{"dependency_fail", "Not asked, as what it depends on did not pass (dependency_fail)"},
	{"harness_fail", "Errors of the suite (harness_fail)"},
	{"retry", "Asked twice by the client (retry)"},
}

func newReport(runs []*Measured, notes []string, exceptions []exception) *report.Report {
	r := &report.Report{
		Name: "conformance",
		About: fmt.Sprintf("The tests of %s %s that are not for browsers only, through processes of example/webcache on this machine's loopback, as its own command-line client has them. With three instances each request of a test, "+
			"those by which it sets up the origin included, goes to the next of them.", packageName, packageVersion),
		Notes: notes,
		Raw:   runs,
	}
	for _, run := range runs {
		for _, kind := range []string{required, optimal} {
			if passed, all := run.score(ofKind(kind)); all > 0 {
				r.Ratios = append(r.Ratios, report.Ratio{Name: "conformance/" + run.Name() + "/" + kind, Value: float64(passed), Of: all})
			}
		}
	}
	r.Tables = append(r.Tables, totals(runs))
	r.Tables = append(r.Tables, failed(runs)...)
	if t := expectedTable(exceptions); len(t.Rows) > 0 {
		r.Tables = append(r.Tables, t)
	}
	if t := checks(runs); len(t.Rows) > 0 {
		r.Tables = append(r.Tables, t)
	}
	return r
}

// totals has a row for each run. Nearly no cache knows Surrogate-Control, so its tests are counted apart as well.
func totals(runs []*Measured) report.Table {
	t := report.Table{
		Title:   "Passed",
		Columns: []string{"run", required, optimal, "of these, not of " + surrogate + ": " + required, optimal, "of " + surrogate},
	}
	for _, run := range runs {
		count := func(pick func(*Result) bool) string {
			passed, all := run.score(pick)
			return fmt.Sprintf("%d/%d", passed, all)
		}
		other := func(kind string) func(*Result) bool {
			return func(r *Result) bool { return r.Kind == kind && r.Suite != surrogate }
		}
		t.Rows = append(t.Rows, []string{run.Name(), count(ofKind(required)), count(ofKind(optimal)), count(other(required)), count(other(optimal)),
			count(func(r *Result) bool { return r.Suite == surrogate && r.Kind != check })})
	}
	return t
}

// failed has a table for each way not to pass, with a row for each test, which is in the table of the first run in which it did not pass.
func failed(runs []*Measured) []report.Table {
	rows := make(map[string][][]string) // by outcome
	for _, id := range ids(runs, func(r *Result) bool { return r.Kind != check }) {
		i := slices.IndexFunc(runs, func(run *Measured) bool { r := run.result(id); return r != nil && !r.Passed() })
		if i < 0 {
			continue
		}
		first := runs[i].result(id)
		rows[first.Outcome] = append(rows[first.Outcome], slices.Concat([]string{id, first.Kind}, outcomes(runs, id), []string{first.reason()}))
	}
	var tables []report.Table
	for _, f := range failures {
		if len(rows[f.outcome]) > 0 {
			tables = append(tables, report.Table{Title: f.title, Columns: slices.Concat([]string{"test", "kind"}, names(runs), []string{"why"}), Rows: rows[f.outcome]})
		}
	}
	return tables
}

// expectedTable is what expected.txt says.
func expectedTable(exceptions []exception) report.Table {
	t := report.Table{Title: "What is expected not to pass, and why", Columns: []string{"why", "runs", "tests"}}
	for _, e := range exceptions {
		t.Rows = append(t.Rows, []string{e.why, strings.ReplaceAll(strings.Join(e.runs, ", "), "*", `\*`), strings.Join(e.ids, " ")})
	}
	return t
}

// checks has the answers to what is neither right nor wrong.
func checks(runs []*Measured) report.Table {
	t := report.Table{Title: "What the cache does where both is right", Columns: append([]string{"check"}, names(runs)...)}
	for _, id := range ids(runs, ofKind(check)) {
		t.Rows = append(t.Rows, append([]string{id}, outcomes(runs, id)...))
	}
	return t
}

// ids returns those of the tests that a filter picks, in the suite's order.
func ids(runs []*Measured, pick func(*Result) bool) []string {
	var found []string
	for i := range runs[0].Results {
		if r := &runs[0].Results[i]; pick(r) {
			found = append(found, r.ID)
		}
	}
	return found
}

func names(runs []*Measured) []string {
	var all []string
	for _, run := range runs {
		all = append(all, run.Name())
	}
	return all
}

// outcomes returns those of a test in all runs.
func outcomes(runs []*Measured, id string) []string {
	var all []string
	for _, run := range runs {
		outcome := "-"
		if r := run.result(id); r != nil {
			outcome = r.Outcome
		}
		all = append(all, outcome)
	}
	return all
}
