package rules

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// RFC 9110, 13.1.5, 14.1, 14.2.
func TestRanges(t *testing.T) {
	lm := httpDate(-20)
	stored := []string{`ETag: "a"`, "Last-Modified: " + lm, "Date: " + httpDate(0)}
	many := "bytes=" + strings.TrimSuffix(strings.Repeat("0-0,", maxRanges+1), ",")
	for _, tt := range []struct {
		name          string
		lines         []string
		want          []Range
		unsatisfiable bool
	}{
		{"none", nil, nil, false},
		{"first", []string{"Range: bytes=0-1"}, []Range{{0, 2}}, false},
		{"open", []string{"Range: bytes=1-"}, []Range{{1, 9}}, false},
		{"suffix", []string{"Range: bytes=-1"}, []Range{{9, 1}}, false},
		{"longer", []string{"Range: bytes=5-99999999999999999999999"}, []Range{{5, 5}}, false},
		{"suffix longer", []string{"Range: bytes=-99999999999999999999"}, []Range{{0, 10}}, false},
		{"several", []string{"Range: Bytes=8-9, 0-0 ,,20-, -1"}, []Range{{8, 2}, {0, 1}, {9, 1}}, false},
		{"in sum more than there is", []string{"Range: bytes=0-,0-"}, nil, false},
		{"too many", []string{"Range: " + many}, nil, false},
		{"unsatisfiable", []string{"Range: bytes=10-"}, nil, true},
		{"an empty suffix", []string{"Range: bytes=-0"}, nil, true},
		{"another unit", []string{"Range: lines=0-1"}, nil, false},
		{"reversed", []string{"Range: bytes=2-1"}, nil, false},
		{"malformed", []string{"Range: bytes=0-1,x"}, nil, false},
		{"no number", []string{"Range: bytes=+0-1"}, nil, false},
		{"only a dash", []string{"Range: bytes=-"}, nil, false},
		{"nothing", []string{"Range: bytes=,"}, nil, false},
		{"twice", []string{"Range: bytes=0-1", "Range: bytes=0-1"}, nil, false},
		{"13.1.5 ETag", []string{"Range: bytes=0-1", `If-Range: "a"`}, []Range{{0, 2}}, false},
		{"13.1.5 another ETag", []string{"Range: bytes=99-", `If-Range: "b"`}, nil, false},
		{"13.1.5 weak", []string{"Range: bytes=0-1", `If-Range: W/"a"`}, nil, false},
		{"13.1.5 date", []string{"Range: bytes=0-1", "If-Range: " + lm}, []Range{{0, 2}}, false},
		{"13.1.5 later date", []string{"Range: bytes=0-1", "If-Range: " + httpDate(0)}, nil, false},
	} {
		got, unsatisfiable := Ranges("GET", header(tt.lines...), header(stored...), 10)
		if !slices.Equal(got, tt.want) || unsatisfiable != tt.unsatisfiable {
			t.Errorf("%s: %v, %v", tt.name, got, unsatisfiable)
		}
	}
	if got, bad := Ranges("HEAD", header("Range: bytes=0-1"), nil, 10); got != nil || bad {
		t.Errorf("HEAD: %v, %v", got, bad)
	}
	if got, bad := Ranges("GET", header("Range: bytes=-5"), nil, 0); got != nil || bad {
		t.Errorf("a suffix of nothing: %v, %v", got, bad)
	}
	weak := header("Last-Modified: "+lm, "Date: "+lm) // 8.8.2.2
	if got, _ := Ranges("GET", header("Range: bytes=0-1", "If-Range: "+lm), weak, 10); got != nil {
		t.Errorf("a weak date: %v", got)
	}
}

// Ranges lie inside the representation, are at most so many, and are no more in sum than it is.
func FuzzRanges(f *testing.F) {
	f.Add("bytes=0-1,-5,3-", int64(10))
	f.Add("bytes=9223372036854775807-,-9223372036854775807", int64(9223372036854775807))
	f.Fuzz(func(t *testing.T, s string, size int64) {
		ranges, unsatisfiable := Ranges("GET", http.Header{"Range": {s}}, nil, size)
		if unsatisfiable && ranges != nil || len(ranges) > maxRanges {
			t.Errorf("%q: %v, %v", s, ranges, unsatisfiable)
		}
		left := size
		for _, r := range ranges {
			if left -= r.Length; r.Start < 0 || r.Length <= 0 || r.Start > size-r.Length || left < 0 {
				t.Errorf("%q of %d: %v", s, size, ranges)
			}
		}
		if r, ok := ParseContentRange(http.Header{"Content-Range": {s}}); ok {
			if r.Start < 0 || r.Length <= 0 || r.Start+r.Length < 0 || r.Size < -1 || r.Size >= 0 && r.Start > r.Size-r.Length {
				t.Errorf("%q: %+v", s, r)
			}
		}
	})
}

// RFC 9110, 14.4.
func TestParseContentRange(t *testing.T) {
	for s, want := range map[string]ContentRange{
		"bytes 4-9/10": {Range{4, 6}, 10}, "Bytes 0-0/*": {Range{0, 1}, -1},
		"bytes 4-10/10": {}, "bytes 5-4/10": {}, "bytes */10": {}, "bytes=0-1/2": {}, "lines 0-1/2": {}, "bytes 0-1": {}, "bytes 0-1/": {},
		"bytes 0-9223372036854775807/*": {}, "": {},
	} {
		if got, ok := ParseContentRange(header("Content-Range: " + s)); ok != (want.Length > 0) || ok && got != want {
			t.Errorf("%q: %+v, %v", s, got, ok)
		}
	}
}
