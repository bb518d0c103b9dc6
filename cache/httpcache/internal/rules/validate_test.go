package rules

import (
	"reflect"
	"testing"
)

// RFC 9111, 3.2.
func TestFreshen(t *testing.T) {
	stored := header("A: 1", "B: 1", "B: 2", "C: 1", "Content-Encoding: gzip", "Content-Md5: x", "Content-Type: a/b", `ETag: "a"`, "Date: x", "Age: 5")
	update := header("A: 2", "A: 3", "Content-Encoding: br", "Content-Length: 10", "Content-Md5: y", "Content-Range: z", "Content-Type: c/d",
		`ETag: "b"`, "Connection: D", "D: 1", "E: 1", "F: 1", "G: 1", `Cache-Control: private="E", no-cache="F"`, "Set-Cookie: a=b")
	want := header("A: 2", "A: 3", "B: 1", "B: 2", "C: 1", "Content-Encoding: gzip", "Content-Md5: x", "Content-Type: c/d", `ETag: "a"`,
		`Cache-Control: private="E", no-cache="F"`, "G: 1", "Set-Cookie: a=b")
	before := stored.Clone()
	if got := Freshen(stored, update); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if !reflect.DeepEqual(stored, before) {
		t.Error("the stored header has changed")
	}
	if got := Freshen(header("A: 1"), header(`ETag: W/"a"`, "Age: 1", "Date: y")); !reflect.DeepEqual(got, header("A: 1", `ETag: W/"a"`, "Age: 1", "Date: y")) {
		t.Errorf("got %v", got)
	}
}

// RFC 9111, 4.3.4 and 4.3.5.
func TestCanFreshen(t *testing.T) {
	lm1, lm2 := "Last-Modified: "+httpDate(-20), "Last-Modified: "+httpDate(-10)
	for _, tt := range []struct {
		name           string
		stored, update []string
		head, want     bool
	}{
		{"4.3.4 the same ETag", []string{`ETag: "a"`}, []string{`ETag: "a"`}, false, true},
		{"4.3.4 the same weak ETag", []string{`ETag: W/"a"`, lm1}, []string{`ETag: "a"`}, false, true},
		{"4.3.4 another ETag, the stored one was asked for", []string{`ETag: "a"`}, []string{`ETag: "b"`}, false, true},
		{"4.3.4 another ETag, the date may have matched", []string{`ETag: "a"`, lm1}, []string{`ETag: "b"`, lm1}, false, false},
		{"4.3.4 an ETag that was not there", []string{lm1}, []string{`ETag: "b"`, lm1}, false, false},
		{"4.3.4 a weak one", []string{lm1}, []string{`ETag: W/"b"`, lm1}, false, true},
		{"4.3.4 the same date", []string{lm1}, []string{lm1}, false, true},
		{"4.3.4 another date", []string{lm1}, []string{lm2}, false, false},
		{"4.3.4 no validators", []string{`ETag: "a"`, lm1}, nil, false, true},
		{"4.3.5 nothing", []string{`ETag: "a"`, lm1}, nil, true, true},
		{"4.3.5 the same", []string{`ETag: "a"`, lm1}, []string{`ETag: "a"`, lm1, "Content-Length: 5"}, true, true},
		{"4.3.5 another ETag", []string{`ETag: "a"`}, []string{`ETag: "b"`}, true, false},
		{"4.3.5 an ETag that was not there", nil, []string{`ETag: "b"`}, true, false},
		{"4.3.5 another date", []string{lm1}, []string{lm2}, true, false},
		{"4.3.5 another length", nil, []string{"Content-Length: 6"}, true, false},
	} {
		if got := CanFreshen(header(tt.stored...), 5, header(tt.update...), tt.head); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// RFC 9111, 4.3.1.
func TestValidation(t *testing.T) {
	lm := httpDate(-9)
	got, ok := Validation(header(`ETag: W/"a"`, "Last-Modified: "+lm))
	if want := header(`If-None-Match: W/"a"`, "If-Modified-Since: "+lm); !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v", got, ok)
	}
	for _, stored := range [][]string{nil, {"Last-Modified: x"}, {`ETag: "a"`, `ETag: "b"`}} {
		if got, ok := Validation(header(stored...)); ok {
			t.Errorf("%v: %v", stored, got)
		}
	}
}

// RFC 9111, 4.3.2; RFC 9110, 13.
func TestConditions(t *testing.T) {
	lm := "Last-Modified: " + httpDate(-3000)
	since := func(s int64) string { return "If-Modified-Since: " + httpDate(s) }
	stored := []string{`ETag: "abcdef"`, lm, "Date: " + httpDate(0)}
	for _, tt := range []struct {
		name            string
		request, stored []string
		status          int
		want            Outcome
	}{
		{"none", nil, stored, 200, Serve},
		{"conditional-etag-strong-respond", []string{`If-None-Match: "abcdef"`}, stored, 200, NotModified},
		{"conditional-etag-precedence", []string{`If-None-Match: "abcdef"`, since(-5000)}, stored, 200, NotModified},
		{"13.1.3 is ignored", []string{`If-None-Match: "x"`, since(0)}, stored, 200, Serve},
		{"conditional-etag-weak-respond", []string{`If-None-Match: W/"abcdef"`}, []string{`ETag: W/"abcdef"`}, 200, NotModified},
		{"weak comparison", []string{`If-None-Match: W/"abcdef"`}, stored, 200, NotModified},
		{"conditional-etag-strong-respond-multiple-second", []string{`If-None-Match: "1234", "abcdef", "5678"`}, stored, 200, NotModified},
		{"conditional-etag-strong-respond-multiple-last", []string{`If-None-Match: "1,2", W/"x"`, `If-None-Match: "abcdef"`}, stored, 200, NotModified},
		{"conditional-etag-unquoted-respond-unquoted", []string{"If-None-Match: abcdef"}, []string{"ETag: abcdef"}, 200, NotModified},
		{"conditional-etag-quoted-respond-unquoted", []string{"If-None-Match: abcdef"}, stored, 200, Serve},
		{"any", []string{"If-None-Match: *"}, nil, 200, NotModified},
		{"without ETag", []string{`If-None-Match: "a"`}, []string{lm}, 200, Serve},
		{"a part of a tag", []string{`If-None-Match: "x"abcdef"`}, stored, 200, Serve},
		{"conditional-lm-fresh", []string{since(-3000)}, stored, 200, NotModified},
		{"conditional-lm-fresh-earlier", []string{since(-2000)}, stored, 200, NotModified},
		{"modified later", []string{since(-3001)}, stored, 200, Serve},
		{"by Date", []string{since(0)}, []string{"Date: " + httpDate(0)}, 200, NotModified},
		{"by Date, later", []string{since(-1)}, []string{"Date: " + httpDate(0)}, 200, Serve},
		{"conditional-lm-fresh-rfc850", []string{"If-Modified-Since: " + now.Format("Monday, 02-Jan-06 15:04:05 GMT")}, stored, 200, NotModified},
		{"no date", []string{"If-Modified-Since: 0"}, stored, 200, Serve},
		{"13.2.1", []string{`If-None-Match: "abcdef"`}, stored, 404, Serve},
		{"If-Match", []string{`If-Match: "abcdef"`}, stored, 200, Forward},
		{"If-Unmodified-Since", []string{"If-Unmodified-Since: " + httpDate(0)}, stored, 200, Forward},
	} {
		if got := Conditions(header(tt.request...), header(tt.stored...), tt.status); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// RFC 9111, 3.4.
func TestSameRepresentation(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{{`"a"`, `"a"`, true}, {`"a"`, `"b"`, false}, {`W/"a"`, `W/"a"`, false}, {"a", "a", false}, {"", "", false}, {`"`, `"`, false}} {
		if got := SameRepresentation(header("ETag: "+tt.a), header("ETag: "+tt.b)); got != tt.want {
			t.Errorf("%q, %q: %v", tt.a, tt.b, got)
		}
	}
}
