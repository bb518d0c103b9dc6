package conformance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// A Result is how a test of the suite came out, as the runner tells it.
type Result struct {
	ID      string
	Suite   string // the group of tests that it is of
	Name    string
	Kind    string   // required, optimal or check
	Outcome string   // pass, or yes and no of a check; fail, optional_fail, setup_fail, dependency_fail, harness_fail, retry
	Why     string   // it did not pass
	Failed  []string // what it depends on and did not pass
}

// Kinds of tests.
const (
	required = "required"
	optimal  = "optimal"
	check    = "check" // asks what a cache does, where nothing is right or wrong
)

// surrogate is the group of tests of a header that few caches know.
const surrogate = "surrogate-control"

// parseResults reads what the runner wrote.
func parseResults(raw []byte) ([]Result, error) {
	var results []Result
	if err := json.Unmarshal(raw, &results); err != nil {
		return nil, fmt.Errorf("the runner's results: %w", err)
	}
	for _, r := range results {
		switch {
		case r.ID == "" || r.Outcome == "":
			return nil, fmt.Errorf("the runner's results: %+v has no ID or no outcome", r)
		case !slices.Contains([]string{required, optimal, check}, r.Kind):
			return nil, fmt.Errorf("the runner's results: %s is %q, which is no kind that is known", r.ID, r.Kind)
		}
	}
	return results, nil
}

// Passed reports whether the cache did what the test wants; of a check, that it was answered by yes.
func (r *Result) Passed() bool { return r.Outcome == "pass" || r.Outcome == "yes" }

// reason is why the test did not pass, in one line of a table.
func (r *Result) reason() string {
	why := r.Why
	if len(r.Failed) > 0 {
		why = strings.TrimPrefix(why+"; depends on "+strings.Join(r.Failed, ", "), "; ")
	}
	return strings.Join(strings.Fields(strings.ReplaceAll(why, "|", `\|`)), " ")
}

// A Measured is a run of the tests through instances with a profile.
type Measured struct {
	Profile   string
	Instances int
	Results   []Result
}

// Name is how the run is called in ratios, by -cells, and in the list of what is expected.
func (r *Measured) Name() string { return runName(r.Profile, r.Instances) }

func runName(profile string, instances int) string { return fmt.Sprintf("%s/%d", profile, instances) }

// result returns that of a test, or nil.
func (r *Measured) result(id string) *Result {
	if i := slices.IndexFunc(r.Results, func(res Result) bool { return res.ID == id }); i >= 0 {
		return &r.Results[i]
	}
	return nil
}

// score counts the tests that a filter picks.
func (r *Measured) score(pick func(*Result) bool) (passed, all int) {
	for i := range r.Results {
		res := &r.Results[i]
		if !pick(res) {
			continue
		}
		all++
		if res.Passed() {
			passed++
		}
	}
	return passed, all
}

func ofKind(kind string) func(*Result) bool {
	return func(r *Result) bool { return r.Kind == kind }
}
