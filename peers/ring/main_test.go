package ring_test

import (
	"flag"
	"os"
	"strconv"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMain has rapid try 25 sets of members a property unless told otherwise: a
// set costs several tables, of several milliseconds each.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", strconv.Itoa(few(25))); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// few returns how many of n samples to take: a sixth under the race detector.
func few(n int) int {
	if raceEnabled {
		return max(1, n/6)
	}
	return n
}
