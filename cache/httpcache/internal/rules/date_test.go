package rules

import (
	"net/http"
	"testing"
	"time"
)

// RFC 9110, 5.6.7, and RFC 9111, 4.2.
func TestParseDate(t *testing.T) {
	want := time.Date(2050, 8, 18, 2, 1, 18, 0, time.UTC)
	for _, tt := range []struct {
		s  string
		ok bool
	}{
		{"Thu, 18 Aug 2050 02:01:18 GMT", true},
		{"Thursday, 18-Aug-50 02:01:18 GMT", true},
		{"Thu Aug 18 02:01:18 2050", true},
		{"THU, 18 Aug 2050 02:01:18 GMT", true},
		{"Thu, 18 AUG 2050 02:01:18 GMT", true},
		{"Thu, 18 Aug 2050 02:01:18 gMT", true},
		{"Thu, 18 Aug 2050 02:01:18 UTC", false},
		{"Thu, 18 Aug 2050 02:01:18 AEST", false},
		{"Thu, 18 Aug 50 02:01:18 GMT", false},
		{"Thu 18 Aug 2050 02:01:18 GMT", false},
		{"Thu, 18  Aug  2050 02:01:18 GMT", false},
		{"Thu, 18-Aug-2050 02:01:18 GMT", false},
		{"Thu, 18 Aug 2050 02.01.18 GMT", false},
		{"Thu, 18 Aug 2050 2:01:18 GMT", false},
		{"Thursday, 18 Aug 2050 02:01:18 GMT", false},
		{"Thu, 32 Aug 2050 02:01:18 GMT", false},
		{"Thu, 31 Feb 2050 02:01:18 GMT", false},
		{"Thu, 18 Aug 2050 24:01:18 GMT", false},
		{"Thu, +8 Aug 2050 02:01:18 GMT", false},
		{"Thu, 18 Aug 2050 02:01:18 GMT ", false},
		{"", false},
		{"0", false},
	} {
		got, ok := ParseDate(tt.s, now)
		if ok != tt.ok || ok && !got.Equal(want) {
			t.Errorf("%q: %v, %v", tt.s, got, ok)
		}
	}
	for s, year := range map[string]int{
		"Sunday, 06-Nov-94 08:49:37 GMT": 1994, "Sunday, 06-Nov-76 08:49:37 GMT": 2076,
		"Sunday, 06-Nov-77 08:49:37 GMT": 1977, "Sunday, 06-Nov-26 08:49:37 GMT": 2026,
	} {
		if got, ok := ParseDate(s, now); !ok || got.Year() != year {
			t.Errorf("%q: %v, %v, want the year %d", s, got, ok, year)
		}
	}
	if got, ok := ParseDate("Thu Aug  8 02:01:18 2050", now); !ok || got.Day() != 8 {
		t.Errorf("asctime: %v, %v", got, ok)
	}
}

// What is parsed is what net/http takes it for, and an IMF-fixdate is what it is written as.
func FuzzParseDate(f *testing.F) {
	f.Add("Thu, 18 Aug 2050 02:01:18 GMT")
	f.Add("Thursday, 18-Aug-50 02:01:18 GMT")
	f.Add("Thu Aug  8 02:01:18 2050")
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := ParseDate(s, now)
		if !ok {
			return
		}
		if again, ok := ParseDate(got.Format(http.TimeFormat), now); !ok || !again.Equal(got) {
			t.Errorf("%q: %v, then %v", s, got, again)
		}
		want, err := http.ParseTime(s)
		if err == nil && !want.Equal(got) && want.Sub(got)%(24*time.Hour) != 0 { // by years, of two digits
			t.Errorf("%q: %v, and by net/http %v", s, got, want)
		}
	})
}
