package rules

import (
	"strings"
	"time"
)

var months = [...]string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}

var weekdays = [...]string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}

// ParseDate parses an HTTP-date (RFC 9110, 5.6.7): an IMF-fixdate, or one of the obsolete RFC 850 and asctime formats. Letters may have any
// case, and no zone but GMT is taken (RFC 9111, 4.2); nor is anything else but the digits and separators of these
// formats. Whether the day of the week is the right one is not looked at. The two digits of RFC 850's year are those of a
// year at most 50 after now.
func ParseDate(s string, now time.Time) (t time.Time, ok bool) {
	if len(s) > len("Wednesday, 18-Aug-50 02:01:18 GMT") {
		return t, false
	}
	s = strings.ToLower(s)
	day, rest, comma := strings.Cut(s, ", ")
	switch {
	case !comma:
		return parseAsctime(s)
	case isWeekday(day, true):
		return parseFields(rest, "dd mmm yyyy hh:mm:ss gmt", now)
	case isWeekday(day, false):
		return parseFields(rest, "dd-mmm-yy hh:mm:ss gmt", now)
	}
	return t, false
}

// parseAsctime parses "Thu Aug  8 02:01:18 2050".
func parseAsctime(s string) (t time.Time, ok bool) {
	if len(s) != len("Thu Aug  8 02:01:18 2050") || !isWeekday(s[:3], true) || s[3] != ' ' {
		return t, false
	}
	b := []byte(s[4:])
	if b[4] == ' ' {
		b[4] = '0'
	}
	return parseFields(string(b), "mmm dd hh:mm:ss yyyy", t)
}

func isWeekday(s string, short bool) bool {
	for _, day := range weekdays {
		if short && s == day[:3] || !short && s == day {
			return true
		}
	}
	return false
}

// parseFields parses s by a layout of the same length, in which d, m (of months), y, h, m and s (of times) are
// digits, mmm is a month's name, and everything else is itself.
func parseFields(s, layout string, now time.Time) (t time.Time, ok bool) {
	if len(s) != len(layout) {
		return t, false
	}
	var day, month, year, clock int
	for i := 0; i < len(s); {
		n := 1
		for i+n < len(layout) && layout[i+n] == layout[i] {
			n++
		}
		part, c := s[i:i+n], layout[i]
		switch {
		case c == 'd':
			day, ok = number(part)
		case c == 'y':
			year, ok = number(part)
		case c == 'm' && n == 3:
			month, ok = monthOf(part)
		case c == 'h' || c == 's' || c == 'm' && layout[i-1] == ':':
			var v int
			v, ok = number(part)
			clock = clock*100 + v
		default:
			ok = part == layout[i:i+n]
		}
		if !ok {
			return t, false
		}
		i += n
	}
	hour, minute, second := clock/10000, clock/100%100, clock%100
	if !strings.Contains(layout, "yyyy") {
		year = fullYear(year, now)
	}
	if day < 1 || day > daysIn(month, year) || hour > 23 || minute > 59 || second > 60 {
		return t, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC), true
}

// fullYear is the year with these last two digits that is at most 50 years after now, and the last such.
func fullYear(year int, now time.Time) int {
	latest := now.UTC().Year() + 50
	return latest - ((latest-year)%100+100)%100
}

func daysIn(month, year int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

func monthOf(s string) (int, bool) {
	for i, m := range months {
		if s == m {
			return i + 1, true
		}
	}
	return 0, false
}

func number(s string) (n int, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int(s[i]-'0')
	}
	return n, true
}
