package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRun(t *testing.T) {
	var out bytes.Buffer
	run(&out)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 19 || lines[18] != "36 Gets of 12 values ran the loaders 12 times" {
		t.Errorf("got\n%s", &out)
	}
	owners := make(map[string]string) // by value
	for _, l := range lines[:18] {
		m := regexp.MustCompile(`^instance \d: ("Name of \w+" and "<h1>\w+"), owned by (http://127\.0\.0\.1:\d+/_fleetcache/)$`).FindStringSubmatch(l)
		if m == nil {
			t.Fatalf("line %q", l)
		}
		if owners[m[1]] == "" {
			owners[m[1]] = m[2]
		}
		if owners[m[1]] != m[2] {
			t.Errorf("%s has two owners, %s and %s", m[1], owners[m[1]], m[2])
		}
	}
	if len(owners) != 6 {
		t.Errorf("got\n%s", &out)
	}
}

// It is there to be read at a glance.
func TestUnderSixtyLines(t *testing.T) {
	src, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(src, []byte("\n")); n >= 60 {
		t.Errorf("main.go has %d lines", n)
	}
}
