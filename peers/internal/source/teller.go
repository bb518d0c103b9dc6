// Package source is what the Sources of members have in common.
package source

import "slices"

// A Teller yields what the receiver of a Source has not been told yet. M is discover.Member, whose package uses this one.
type Teller[M comparable] struct {
	Yield func([]M, error) bool

	last  []M
	known bool   // last was yielded
	wrong string // the kind of the trouble that was yielded since; "": none
}

// Tell takes in what is known now: the members, nil if they are not known, and what is wrong, of which kind is "" if nothing is. It yields the
// trouble, unless the last one that was yielded was of that kind; and the members, if they are others than the last time, in whatever order, or a
// trouble is over. It reports whether the receiver wants more.
func (t *Teller[M]) Tell(members []M, kind string, err error) bool {
	if kind != "" && kind != t.wrong {
		t.wrong = kind
		if !t.Yield(nil, err) {
			return false
		}
	}
	over := kind == "" && t.wrong != ""
	if members == nil || t.known && !over && same(t.last, members) {
		return true
	}
	if over {
		t.wrong = ""
	}
	t.last, t.known = slices.Clone(members), true // the receiver may change its list
	return t.Yield(members, nil)
}

// Known reports whether a list of members was yielded.
func (t *Teller[M]) Known() bool { return t.known }

// same reports whether two lists have the same members.
func same[M comparable](a, b []M) bool {
	if len(a) != len(b) {
		return false
	}
	count := make(map[M]int, len(a))
	for _, m := range a {
		count[m]++
	}
	for _, m := range b {
		if count[m]--; count[m] < 0 {
			return false
		}
	}
	return true
}
