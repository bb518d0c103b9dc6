package conformance

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/benchtest"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/webcache"
)

func TestMain(m *testing.M) { benchtest.Main(m, func() {}) }

// told is what the runner writes.
const told = `[
	{"id": "a", "suite": "cc", "name": "A", "kind": "required", "outcome": "pass", "why": "", "failed": []},
	{"id": "b", "suite": "cc", "name": "B", "kind": "required", "outcome": "fail", "why": "Response 2|\ncomes from cache", "failed": []},
	{"id": "c", "suite": "cc", "name": "C", "kind": "optimal", "outcome": "dependency_fail", "why": "", "failed": ["b"]},
	{"id": "d", "suite": "surrogate-control", "name": "D", "kind": "optimal", "outcome": "pass", "why": "", "failed": []},
	{"id": "e", "suite": "cc", "name": "E", "kind": "check", "outcome": "yes", "why": "", "failed": []},
	{"id": "f", "suite": "cc", "name": "F", "kind": "required", "outcome": "setup_fail", "why": "Response 1 status is 502, not 200", "failed": []}
]`

// sample returns two runs, which differ in b.
func sample(t *testing.T) []*Measured {
	t.Helper()
	var runs []*Measured
	for _, n := range sizes {
		results, err := parseResults([]byte(told))
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, &Measured{Profile: "rfc", Instances: n, Results: results})
	}
	b := runs[0].result("b")
	b.Outcome, b.Why = "pass", ""
	return runs
}

func TestParseResults(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{`{`, "unexpected end"},
		{`[{"id": "a", "kind": "required"}]`, "no outcome"},
		{`[{"id": "a", "kind": "novel", "outcome": "pass"}]`, `a is "novel"`},
	} {
		if _, err := parseResults([]byte(c.raw)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.raw, err, c.want)
		}
	}
}

func TestReport(t *testing.T) {
	exceptions, err := parseExceptions("rfc/* why not\n\tf\n")
	if err != nil {
		t.Fatal(err)
	}
	var text, markdown strings.Builder
	r := newReport(sample(t), []string{"A note"}, exceptions)
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	benchtest.WantLines(t, text.String(),
		`^ratio conformance/rfc/1/required 2/3$`, `^ratio conformance/rfc/1/optimal 1/2$`, `^ratio conformance/rfc/3/required 1/3$`,
		`^  rfc/1 +2/3 +1/2 +2/3 +0/1 +1/1$`, `^A note$`,
		`^Required, and failed \(fail\)$`, `^  b +required +pass +fail +Response 2\\\| comes from cache$`,
		`^  c +optimal +dependency_fail +dependency_fail +depends on b$`,
		`^  f +required +setup_fail +setup_fail +Response 1 status is 502, not 200$`,
		`^  why not +rfc/\\\* +f$`, `^  e +yes +yes$`)
	if err := r.Markdown(&markdown); err != nil {
		t.Fatal(err)
	}
	benchtest.WantLines(t, markdown.String(), `^\| conformance/rfc/3/required \| 1/3 \|$`, `^\| b \| required \| pass \| fail \| Response 2\\\| comes from cache \|$`)
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		name, expected string
		want           verdict
		err            string
	}{
		{"nothing", "", verdict{regressions: []string{"b (rfc/3)", "f"}, worse: []string{"c"}}, "not in expected.txt: 2, such as b (rfc/3), f"},
		{"all", "rfc/3 one\n\tb\nrfc/*,safe/* two\n\tc\n\tf", verdict{}, ""},
		{"what passes, or is none", "*/* x\n a b\n c f g", verdict{better: []string{"a", "b (rfc/1)"}, unknown: []string{"g"}}, "what the suite has not: g"},
		{"another run", "rfc/3 x\n b\n*/1 y\n c f", verdict{regressions: []string{"f (rfc/3)"}, worse: []string{"c (rfc/3)"}}, "f (rfc/3)"},
	} {
		exceptions, err := parseExceptions(c.expected)
		if err != nil {
			t.Fatal(err)
		}
		v := compare(sample(t), exceptions)
		if !slices.Equal(v.regressions, c.want.regressions) || !slices.Equal(v.worse, c.want.worse) ||
			!slices.Equal(v.better, c.want.better) || !slices.Equal(v.unknown, c.want.unknown) {
			t.Errorf("%s: %+v, want %+v", c.name, v, c.want)
		}
		if err := v.err(); (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, want %q", c.name, err, c.err)
		}
		if said := strings.Join(v.notes(), "\n"); strings.Contains(said, "take it out: a, b (rfc/1)") != (len(v.better) > 0) {
			t.Errorf("%s: the notes are %q", c.name, said)
		}
	}
}

func TestExpected(t *testing.T) {
	exceptions, err := parseExceptions(expectedText)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool) // with a run
	for _, e := range exceptions {
		for _, p := range profiles() {
			for _, n := range sizes {
				run := &Measured{Profile: p.name, Instances: n}
				for _, id := range e.ids {
					key := run.Name() + " " + id
					if e.covers(id, run) && seen[key] {
						t.Errorf("expected.txt has %s twice", key)
					}
					seen[key] = seen[key] || e.covers(id, run)
				}
			}
		}
	}
	for _, c := range []struct{ text, want string }{
		{"\tid", "expected.txt:1: "}, {"# x\nrfc/1", "expected.txt:2: "}, {"rfc why", `"rfc" is no pattern`}, {"rfc/[ why", `"rfc/[" is no pattern`},
	} {
		if _, err := parseExceptions(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestFlagsThatTheProgramLacks(t *testing.T) {
	b := &webcache.Binary{Help: "  -store-set-cookie\n    \tstore them, unlike -trust-client-cache-control-x\n"}
	for _, p := range profiles() {
		want := []string{"-store-post", "-trust-client-cache-control"}
		if p.name == "safe" {
			want = nil
		}
		if got := b.Lacks(p.flags); !slices.Equal(got, want) {
			t.Errorf("%s lacks %v, want %v", p.name, got, want)
		}
	}
}

func TestWithoutNode(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Run(context.Background(), Options{Folder: t.TempDir(), Progress: t.Logf})
	if err == nil || !strings.Contains(err.Error(), "needs Node.js") {
		t.Errorf("%v, want that it needs Node.js", err)
	}
}
