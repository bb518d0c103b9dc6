package rules

import (
	"net/http"
	"slices"
	"testing"
)

// RFC 9111, 4.1.
func TestVaryValues(t *testing.T) {
	for _, tt := range []struct {
		name, field string
		a, b        []string // nil: not there
		match       bool
	}{
		{"vary-match", "Foo", []string{"1"}, []string{"1"}, true},
		{"vary-no-match", "Foo", []string{"1"}, []string{"2"}, false},
		{"vary-omit", "Foo", []string{"1"}, nil, false},
		{"vary-3-omit", "Foo", nil, nil, true},
		{"empty is there", "Foo", []string{""}, nil, false},
		{"vary-normalise-combine", "Foo", []string{"1, 2"}, []string{"1", "2"}, true},
		{"vary-normalise-space", "Foo", []string{"1,2"}, []string{" 1, 2 "}, true},
		{"the order counts", "Foo", []string{"1,2"}, []string{"2,1"}, false},
		{"quoted", "Foo", []string{`"1,2"`}, []string{`"1, 2"`}, false},
		{"behind a quoted-string", "Foo", []string{`"1, 2",3`}, []string{`"1, 2" , 3`}, true},
		{"inner space", "Foo", []string{"1 2"}, []string{"12"}, false},
		{"an empty member", "Foo", []string{"1,,2"}, []string{"1,2"}, false},
		{"a trailing comma", "Foo", []string{"1,"}, []string{"1"}, false},
		{"vary-normalise-lang-order", "Accept-Language", []string{"en, de"}, []string{"de, en"}, true},
		{"vary-normalise-lang-case", "Accept-Language", []string{"en, de"}, []string{"eN, De"}, true},
		{"vary-normalise-lang-space", "Accept-Language", []string{"en, de"}, []string{" en ,   de"}, true},
		{"lang weights", "Accept-Language", []string{"en;q=0.50, de"}, []string{"de ;q=1.0,en; q=0.5"}, true},
		{"lang other weights", "Accept-Language", []string{"en;q=0.5, de"}, []string{"en, de"}, false},
		{"lang refused", "Accept-Language", []string{"en;q=0, de"}, []string{"de"}, false},
		{"lang malformed", "Accept-Language", []string{"en;q=2, de"}, []string{"de,en;q=2"}, false},
		{"coding order", "Accept-Encoding", []string{"gzip, br"}, []string{"BR,x-gzip"}, true},
		{"coding preferred", "Accept-Encoding", []string{"gzip, br;q=0.9"}, []string{"gzip;q=1.0, br;q=0.5"}, true},
		{"coding other preference", "Accept-Encoding", []string{"gzip, br;q=0.9"}, []string{"gzip, br"}, false},
		{"coding unknown", "Accept-Encoding", []string{"gzip, sdch"}, []string{"gzip"}, true},
		{"coding refused", "Accept-Encoding", []string{"gzip;q=0"}, []string{"identity"}, true},
		{"coding none", "Accept-Encoding", []string{""}, nil, false},
		{"coding any", "Accept-Encoding", []string{"*"}, []string{"br,gzip,zstd,deflate,identity"}, true},
		{"coding no identity", "Accept-Encoding", []string{"gzip, *;q=0"}, []string{"gzip"}, false},
		{"coding malformed", "Accept-Encoding", []string{"gzip;q=x"}, []string{"gzip"}, false},
		{"coding in its normal form", "Accept-Encoding", []string{"br>identity"}, []string{"br"}, false},
		{"coding of another name", "Accept-Encoding", []string{"x-br"}, []string{"br"}, false},
		{"lang in its normal form", "Accept-Language", []string{"en;q=500"}, []string{"en;q=0.5"}, false},
		{"cookies", "Cookie", []string{"a=1", "b=2"}, []string{"a=1; b=2"}, true},
	} {
		request := func(lines []string) http.Header {
			if lines == nil {
				return nil
			}
			return http.Header{tt.field: lines}
		}
		a, b := VaryValues([]string{tt.field}, request(tt.a)), VaryValues([]string{tt.field}, request(tt.b))
		if (a == b) != tt.match {
			t.Errorf("%s: %q, %q", tt.name, a, b)
		}
	}
	two := []string{"Bar", "Foo"}
	if VaryValues(two, header("Bar: 1")) == VaryValues(two, header("Foo: 1")) {
		t.Error("vary-2-no-match")
	}
}

// RFC 9110, 12.5.4.
func TestPreferredLanguage(t *testing.T) {
	for s, want := range map[string]string{"fr;q=0.5, de;q=1.0": "de", "en, DE": "", "De": "de", "*": "", "en;q=0": "", "": "", "de, de": ""} {
		if got := PreferredLanguage(header("Accept-Language: " + s)); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

// Requests that say the same match themselves, and a normalised value is its own normal form; and different values of a field without
// whitespace, quotes and commas never match.
func FuzzVaryValues(f *testing.F) {
	f.Add("gzip, br;q=0.5, *;q=0", "en, de;q=0.3")
	f.Add(`"a, b" , c`, `"a`)
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, name := range []string{"Foo", "Accept-Language", "Cookie"} {
			once := normalise(name, []string{a, b})
			if name == "Foo" && !slices.Contains([]byte(a+b), '"') || name == "Cookie" {
				if twice := normalise(name, []string{once}); twice != once {
					t.Errorf("%s %q, %q: %q, then %q", name, a, b, once, twice)
				}
			}
		}
		if _, ok := normaliseCodings([]string{a, b}); !ok && malformed+joinLines([]string{a, b}) != normalise("Accept-Encoding", []string{a, b}) {
			t.Errorf("%q, %q: malformed, and not taken as it is", a, b)
		}
		plain := func(s string) bool {
			for i := range len(s) {
				if !isTokenByte(s[i]) {
					return false
				}
			}
			return true
		}
		fields := []string{"Bar", "Foo"}
		one := VaryValues(fields, http.Header{"Foo": {a}, "Bar": {b}})
		if other := VaryValues(fields, http.Header{"Foo": {b}, "Bar": {a}}); plain(a) && plain(b) && (one == other) != (a == b) {
			t.Errorf("%q, %q: %q, %q", a, b, one, other)
		}
	})
}
