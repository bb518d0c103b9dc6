package discover

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/peers/internal/address"
)

func TestParse(t *testing.T) {
	for text, want := range map[string][]Member{
		"http://a":                       {{URL: "http://a"}},
		"http://b\nhttp://a\n":           {{URL: "http://b"}, {URL: "http://a"}},
		"\r\n# x\r\n\thttp://a \r\n":     {{URL: "http://a"}},
		"http://a weight=2 # two":        {{URL: "http://a", Weight: 2}},
		"http://a leaving weight=1000":   {{URL: "http://a", Weight: 1000, Leaving: true}},
		"http://a #leaving":              {{URL: "http://a"}},
		"http://a/x\nhttp://a/y leaving": {{URL: "http://a/x"}, {URL: "http://a/y", Leaving: true}},
	} {
		got, err := Parse(text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "no members",
		"# http://a\n\n":                  "no members",
		"http://a\n10.0.0.1":              "line 2: the URL",
		"\n\nhttp://u:secretpw@a":         "line 3: the URL has a user",
		"http://a#x":                      "line 1: the URL \"http://a#x\" has a fragment",
		"http://a weight=0":               "line 1: weight is \"0\"",
		"http://a weight=1001":            "line 1: weight is \"1001\"",
		"http://a weight=-1":              "line 1: weight is \"-1\"",
		"http://a weight=+1":              "line 1: weight is \"+1\"",
		"http://a weight=01":              "line 1: weight is \"01\"",
		"http://a weight=":                "line 1: weight is \"\"",
		"http://a weight=2 weight=2":      "line 1: \"weight=2\" comes after",
		"http://a leaving leaving":        "line 1: \"leaving\" comes after",
		"http://a Leaving":                "line 1: \"Leaving\" is not understood",
		"http://a http://b":               "line 1: \"http://b\" is not understood",
		"http://a\nhttp://b\nHTTP://A:80": "line 3: \"HTTP://A:80\" is listed twice, also in line 1",
		"x\nhttp://a\ny":                  "line 3: ",
		"\xef\xbb\xbfhttp://a":            "line 1: ",
		"http://a\x00b":                   "line 1: ",
	} {
		got, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) || got != nil || strings.Contains(err.Error(), "secretpw") {
			t.Errorf("%q: %v, error %v; want %q", text, got, err, want)
		}
	}
	_, err := Parse(strings.Repeat("x\n", 1000))
	if n := strings.Count(err.Error(), "\n"); n != maxErrors {
		t.Errorf("an error of %d lines: %v", n+1, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("http://10.0.0.1:8080\nhttp://10.0.0.2:8080 weight=2 # x\n")
	f.Add("# x\r\nhttps://[fd00::1]:8080/p leaving weight=1000")
	f.Add("http://a weight=2 weight=2\nhttp://A:80")
	f.Fuzz(func(t *testing.T, text string) {
		members, err := Parse(text)
		if (err == nil) != (len(members) > 0) {
			t.Fatalf("%v, %v", members, err)
		}
		if err != nil && strings.Count(err.Error(), "\n") > maxErrors {
			t.Errorf("an error that is too long: %v", err)
		}
		var again strings.Builder
		seen := make(map[string]bool)
		for _, m := range members {
			url, err := address.Normalize(m.URL)
			if err != nil || seen[url] || m.Weight < 0 || m.Weight > address.MaxWeight {
				t.Fatalf("%+v, %v: Set would refuse it", m, err)
			}
			seen[url] = true
			again.WriteString(m.URL)
			if m.Leaving {
				again.WriteString("\tleaving")
			}
			if m.Weight > 0 {
				fmt.Fprintf(&again, " weight=%d", m.Weight)
			}
			again.WriteString("\n")
		}
		if len(members) == 0 {
			return
		}
		if same, err := Parse(again.String()); err != nil || !slices.Equal(same, members) {
			t.Errorf("%v became %v, %v by way of %q", members, same, err, again.String())
		}
	})
}
