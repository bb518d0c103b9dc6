package conformance

import (
	_ "embed"
	"fmt"
	"path"
	"slices"
	"strings"
)

//go:embed expected.txt
var expectedText string

// An exception is tests that are expected not to pass.
type exception struct {
	runs []string // patterns of path.Match for their names
	why  string
	ids  []string
}

// parseExceptions reads what expected.txt says at its top that it has.
func parseExceptions(text string) ([]exception, error) {
	var all []exception
	for i, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || strings.HasPrefix(line, "#"):
		case strings.TrimLeft(line, " \t") != line:
			if len(all) == 0 {
				return nil, fmt.Errorf("expected.txt:%d: %q: there is no line of runs and a reason before it", i+1, line)
			}
			last := &all[len(all)-1]
			last.ids = append(last.ids, fields...)
		case len(fields) < 2:
			return nil, fmt.Errorf("expected.txt:%d: %q: want runs, and why", i+1, line)
		default:
			e := exception{runs: strings.Split(fields[0], ","), why: strings.Join(fields[1:], " ")}
			for _, pattern := range e.runs {
				if _, err := path.Match(pattern, ""); err != nil || strings.Count(pattern, "/") != 1 {
					return nil, fmt.Errorf("expected.txt:%d: %q is no pattern for a run, such as rfc/3, rfc/* or */*", i+1, pattern)
				}
			}
			all = append(all, e)
		}
	}
	return all, nil
}

// covers reports whether a test is expected not to pass in a run.
func (e *exception) covers(id string, run *Measured) bool {
	return slices.Contains(e.ids, id) && slices.ContainsFunc(e.runs, func(pattern string) bool {
		ok, err := path.Match(pattern, run.Name())
		return ok && err == nil
	})
}

// A verdict is how runs differ from what is expected: IDs of tests, with the runs if it is not all.
type verdict struct {
	regressions []string // required tests that did not pass
	worse       []string // optimal ones
	better      []string // that passed
	unknown     []string // of which the suite has none
}

func compare(runs []*Measured, exceptions []exception) verdict {
	var v verdict
	for _, id := range ids(runs, func(r *Result) bool { return r.Kind != check }) {
		var failed, passed []string
		for _, run := range runs {
			r := run.result(id)
			if r == nil {
				continue
			}
			is, should := r.Passed(), !slices.ContainsFunc(exceptions, func(e exception) bool { return e.covers(id, run) })
			if is && !should {
				passed = append(passed, run.Name())
			} else if !is && should {
				failed = append(failed, run.Name())
			}
		}
		if len(passed) > 0 {
			v.better = append(v.better, inRuns(id, passed, runs))
		}
		switch {
		case len(failed) == 0:
		case runs[0].result(id).Kind == required:
			v.regressions = append(v.regressions, inRuns(id, failed, runs))
		default:
			v.worse = append(v.worse, inRuns(id, failed, runs))
		}
	}
	for _, e := range exceptions {
		v.unknown = append(v.unknown, slices.DeleteFunc(slices.Clone(e.ids), func(id string) bool { return runs[0].result(id) != nil })...)
	}
	return v
}

func inRuns(id string, some []string, all []*Measured) string {
	if len(some) == len(all) {
		return id
	}
	return id + " (" + strings.Join(some, " ") + ")"
}

// err is that a required test failed that is not expected to, or that expected.txt has what there is not.
func (v verdict) err() error {
	switch {
	case len(v.regressions) > 0:
		return fmt.Errorf("required tests failed that are not in expected.txt: %d, such as %s", len(v.regressions), strings.Join(v.regressions[:min(5, len(v.regressions))], ", "))
	case len(v.unknown) > 0:
		return fmt.Errorf("expected.txt has what the suite has not: %s", strings.Join(v.unknown, ", "))
	}
	return nil
}

func (v verdict) notes() []string {
	var notes []string
	for _, n := range []struct {
		what string
		ids  []string
	}{
		{"REQUIRED, and failed, which is not in expected.txt", v.regressions},
		{"Optimal, and failed, which is not in expected.txt", v.worse},
		{"Passed, though expected.txt has it: take it out", v.better},
	} {
		if len(n.ids) > 0 {
			notes = append(notes, n.what+": "+strings.Join(n.ids, ", "))
		}
	}
	return notes
}
