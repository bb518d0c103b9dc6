// Package benchtest is what the tests of comparisons have in common.
package benchtest

import (
	"bytes"
	"compress/gzip"
	"regexp"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
)

// Main is a TestMain: it runs the part of a process that a test starts, and else the tests, which leave no goroutines.
func Main(m *testing.M, child func()) {
	child()
	goleak.VerifyTestMain(m)
}

// Gzipped returns raw, compressed.
func Gzipped(t *testing.T, raw []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// WantRatios fails the test for each name of a ratio that is not in the report.
func WantRatios(t *testing.T, r *report.Report, names ...string) {
	t.Helper()
	for _, name := range names {
		if !slices.ContainsFunc(r.Ratios, func(ratio report.Ratio) bool { return ratio.Name == name }) {
			t.Errorf("there is no %s among %v", name, r.Ratios)
		}
	}
}

// WantLines fails the test for each expression that matches no line of the text.
func WantLines(t *testing.T, text string, expressions ...string) {
	t.Helper()
	for _, e := range expressions {
		if !regexp.MustCompile("(?m)" + e).MatchString(text) {
			t.Errorf("nothing matches %s in:\n%s", e, text)
		}
	}
}
