package rules

import (
	"fmt"
	"testing"
	"time"
)

// RFC 9111, 4.2.1, 5.1, 5.2.2.1, 5.2.2.10, 5.3. The names are those of the suite of cache-tests.fyi, where it has the case.
func TestFresh(t *testing.T) {
	hour := "Cache-Control: max-age=3600"
	for _, tt := range []struct {
		name     string
		response []string
		fresh    bool
	}{
		{"freshness-max-age", []string{hour}, true},
		{"freshness-max-age-0", []string{"Cache-Control: max-age=0"}, false},
		{"freshness-max-age-max-plus", []string{"Cache-Control: max-age=99999999999999999999999"}, true},
		{"freshness-max-age-age", []string{hour, "Age: 7200"}, false},
		{"freshness-max-age-date", []string{hour, "Date: " + httpDate(-7200)}, false},
		{"freshness-max-age-expires", []string{hour, "Expires: " + httpDate(-7200)}, true},
		{"freshness-max-age-expires-invalid", []string{hour, "Expires: 0"}, true},
		{"freshness-max-age-0-expires", []string{"Cache-Control: max-age=0", "Expires: " + httpDate(9)}, false},
		{"freshness-max-age-case-insenstive", []string{"Cache-Control: foobar, MaX-aGe=3600"}, true},
		{"freshness-max-age-negative", []string{"Cache-Control: max-age=-3600"}, false},
		{"freshness-max-age-s-maxage-shared-longer", []string{"Cache-Control: max-age=3600, s-maxage=0"}, false},
		{"freshness-max-age-s-maxage-shared-shorter", []string{"Cache-Control: max-age=0, s-maxage=9", "Expires: 0"}, true},
		{"freshness-max-age-quoted", []string{`Cache-Control: max-age="3600"`}, true},
		{"freshness-max-age-single-quoted", []string{"Cache-Control: max-age='3600'"}, false},
		{"freshness-max-age-ignore-quoted", []string{`Cache-Control: x="max-age=3600", max-age=0`}, false},
		{"freshness-max-age-ignore-quoted-only", []string{`Cache-Control: x="max-age=3600"`}, false},
		{"freshness-max-age-leading-zero", []string{"Cache-Control: max-age=003600"}, true},
		{"freshness-max-age-decimal-zero", []string{"Cache-Control: max-age=3600.0"}, false},
		{"freshness-max-age-space-before-equals", []string{"Cache-Control: max-age =3600"}, false},
		{"freshness-max-age-space-after-equals", []string{"Cache-Control: max-age= 3600"}, false},
		{"freshness-max-age-two-fresh-stale-sepline", []string{hour, "Cache-Control: max-age=0"}, false},
		{"freshness-max-age-two-stale-fresh-sameline", []string{"Cache-Control: max-age=0, max-age=3600"}, false},
		{"freshness-max-age-multiple-directive", []string{"Cache-Control: max-age=3600, max-age=1800"}, true},
		{"a bare max-age", []string{"Cache-Control: max-age", "Expires: " + httpDate(9)}, false},
		{"age-parse-nonnumeric", []string{hour, "Age: abc"}, false},
		{"age-parse-negative", []string{hour, "Age: -7200"}, false},
		{"age-parse-float", []string{hour, "Age: 7200.0"}, false},
		{"age-parse-suffix", []string{hour, "Age: 7200,0"}, false},
		{"age-parse-prefix", []string{hour, "Age: 0,7200"}, true},
		{"age-parse-suffix-twoline", []string{hour, "Age: 7200", "Age: 0"}, false},
		{"age-parse-prefix-twoline", []string{hour, "Age: 0", "Age: 7200"}, false},
		{"age-parse-dup-0", []string{hour, "Age: 0, 0"}, false},
		{"age-parse-dup-0-twoline", []string{hour, "Age: 0", "Age: 0"}, false},
		{"age-parse-dup-old", []string{"Cache-Control: max-age=10000", "Age: 3600, 3600"}, false},
		{"age-parse-parameter", []string{hour, "Age: 7200;foo=bar"}, false},
		{"an empty Age", []string{hour, "Age:"}, false},
		{"freshness-expires-future", []string{"Expires: " + httpDate(9)}, true},
		{"freshness-expires-past", []string{"Expires: " + httpDate(-9)}, false},
		{"freshness-expires-present", []string{"Expires: " + httpDate(0)}, false},
		{"freshness-expires-old-date", []string{"Expires: " + httpDate(300), "Date: " + httpDate(400)}, false},
		{"freshness-expires-invalid", []string{"Expires: 0"}, false},
		{"freshness-expires-invalid-date", []string{"Expires: " + httpDate(10), "Date: foo"}, true},
		{"freshness-expires-age-slow-date", []string{"Date: " + httpDate(-10), "Expires: " + httpDate(10), "Age: 25"}, false},
		{"freshness-expires-age-fast-date", []string{"Date: " + httpDate(10), "Expires: " + httpDate(20), "Age: 15"}, false},
		{"two Expires", []string{"Expires: " + httpDate(9), "Expires: 0"}, false},
		{"heuristic with an Expires", []string{"Expires: 0", "Last-Modified: " + httpDate(-9999)}, false},
		{"heuristic", []string{"Last-Modified: " + httpDate(-9999)}, true},
		{"heuristic from the future", []string{"Last-Modified: " + httpDate(9999)}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if p, _ := Judge(exchange(tt.response...), &Options{Heuristic: true}); (p.Lifetime > p.Age) != tt.fresh {
				t.Errorf("lifetime %v, age %v", p.Lifetime, p.Age)
			}
		})
	}
}

// The arithmetic of RFC 9111, 4.2, against a second one, in whole seconds. A value of less than 0 is not there, but for dates,
// which has tells of.
func FuzzFreshness(f *testing.F) {
	f.Add(int64(3600), int64(-1), int64(0), int64(0), int64(0), int64(7200), uint8(0), uint16(3))
	f.Add(int64(-1), int64(-1), int64(10), int64(20), int64(-9999), int64(15), uint8(7), uint16(0))
	f.Add(int64(-1), int64(-1), int64(-10), int64(20), int64(-1<<40), int64(15), uint8(4), uint16(0))
	f.Add(int64(1)<<40, int64(1)<<62, int64(0), int64(0), int64(0), int64(1)<<40, uint8(0), uint16(0))
	f.Fuzz(func(t *testing.T, maxAge, sMaxAge, date, expires, modified, age int64, has uint8, delay uint16) {
		const most, years = int64(1) << 31, int64(1) << 32
		date, expires, modified = date%years, expires%years, modified%years
		x := exchange()
		x.Sent = now.Add(-time.Duration(delay) * time.Second)
		set := func(ok bool, name, format string, v any) {
			if ok {
				x.Header.Add(name, fmt.Sprintf(format, v))
			}
		}
		hasDate, hasExpires, hasModified := has&1 != 0, has&2 != 0, has&4 != 0
		set(maxAge >= 0, "Cache-Control", "max-age=%d", maxAge)
		set(sMaxAge >= 0, "Cache-Control", "s-maxage=%d", sMaxAge)
		set(age >= 0, "Age", "%d", age)
		set(hasDate, "Date", "%s", httpDate(date))
		set(hasExpires, "Expires", "%s", httpDate(expires))
		set(hasModified, "Last-Modified", "%s", httpDate(modified))

		if !hasDate {
			date = 0
		}
		apparent := max(0, 0-date) // response_time is 0
		corrected := min(max(0, age), most) + int64(delay)
		wantAge := min(max(apparent, corrected), most)
		var want int64
		switch {
		case sMaxAge >= 0:
			want = min(sMaxAge, most)
		case maxAge >= 0:
			want = min(maxAge, most)
		case hasExpires:
			want = min(max(0, expires-date), most)
		case hasModified:
			want = min(max(0, (date-modified)/10), 86400)
		}
		p, _ := Judge(x, &Options{Heuristic: true})
		if got := int64(p.Age / time.Second); got != wantAge {
			t.Errorf("age %d, want %d: %v", got, wantAge, x.Header)
		}
		if got := int64(p.Lifetime / time.Second); got != want {
			t.Errorf("lifetime %d, want %d: %v", got, want, x.Header)
		}
	})
}
