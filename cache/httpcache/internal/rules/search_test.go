package rules

import (
	"slices"
	"testing"
)

// draft-ietf-httpbis-no-vary-search.
func TestNoVarySearch(t *testing.T) {
	for _, tt := range []struct {
		field, a, b string
		same        bool
	}{
		{"", "a=1&b=2", "b=2&a=1", false},
		{"", "a=%31", "a=1", false},
		{"x", "a=1", "b=1", false},
		{"key-order", "a=1&b=2", "b=2&a=1", true},
		{"key-order", "a=1&a=2", "a=2&a=1", false},
		{"key-order=?0", "a=1&b=2", "b=2&a=1", false},
		{`params=("utm")`, "a=1&utm=2", "utm=9&a=1", true},
		{`params=("utm")`, "a=1", "a=1", true},
		{`params=("utm")`, "a=1&b=2", "b=2&a=1", false},
		{`params=("utm")`, "a=%31", "a=1", true},
		{`params=("u+%C3%BC")`, "u%20%c3%bc=1", "", true},
		{"params", "a=1&b=2", "", true},
		{"params=?0", "a=1", "", false},
		{`params, except=("a")`, "a=1&b=2", "b=3&a=1", true},
		{`params, except=("a")`, "a=1", "a=2", false},
		{`params, except=("a" "b"), key-order`, "a=1&b=2&c=3", "b=2&a=1", true},
		{`params=("a"), key-order`, "a&b=&&c", "c&b", true},
	} {
		n, err := ParseNoVarySearch([]string{tt.field})
		if err != nil {
			t.Errorf("%s: %v", tt.field, err)
		}
		if a, b := n.Canonical(tt.a), n.Canonical(tt.b); (a == b) != tt.same {
			t.Errorf("%s: %q is %q, %q is %q", tt.field, tt.a, a, tt.b, b)
		}
	}
	for _, field := range []string{`except=("a")`, `params=("a"), except=("b")`, "params=(a)", "params=1", `key-order="a"`, "params, except=?1", "=", `params=("a"`} {
		if n, err := ParseNoVarySearch([]string{field}); err == nil || n != nil {
			t.Errorf("%s is taken: %v", field, n)
		}
	}
}

// The canonical form is its own, and does not depend on the order where that does not count.
func FuzzNoVarySearch(f *testing.F) {
	f.Add(`params=("a" "b%20"), key-order`, "a=1&b+=2&c=%zz")
	f.Add(`params, except=("a")`, "a=%26&b=1&&=")
	f.Fuzz(func(t *testing.T, field, query string) {
		n, err := ParseNoVarySearch([]string{field})
		if err != nil && n != nil {
			t.Errorf("%q: %v and %v", field, n, err)
		}
		once := n.Canonical(query)
		if twice := n.Canonical(once); twice != once {
			t.Errorf("%q of %q: %q, then %q", field, query, once, twice)
		}
		if n == nil && once != query {
			t.Errorf("the default makes %q of %q", once, query)
		}
	})
}

func TestSurrogateKeys(t *testing.T) {
	got := SurrogateKeys(header("Surrogate-Key: b  a", "Surrogate-Key: c", "Cache-Tag: a, d e,,"))
	if want := []string{"a", "b", "c", "d e"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := SurrogateKeys(nil); got != nil {
		t.Errorf("%q", got)
	}
}
