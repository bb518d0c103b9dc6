package kubernetes

import (
	"slices"

	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
)

// A teller yields what the receiver of a Source has not been told yet. Its methods report whether the receiver wants more.
type teller struct {
	yield func([]discover.Member, error) bool

	last   []discover.Member
	wrong  string // with what the slices say, as it was yielded; "": nothing
	failed string // with the API server, as it was yielded; "": nothing
	doubt  bool   // an error was yielded since last was
}

// list tells of what the slices say: the members, and an error if those are not all, or none.
func (t *teller) list(members []discover.Member, err error) bool {
	over := t.doubt && t.failed == "" && err == nil
	if len(members) > 0 && (over || !slices.Equal(members, t.last)) {
		t.last, t.doubt = members, false
		if !t.yield(slices.Clone(members), nil) {
			return false
		}
	}
	was := t.wrong
	if t.wrong = ""; err != nil {
		t.wrong = err.Error()
	}
	if err == nil || t.wrong == was {
		return true
	}
	t.doubt = true
	return t.yield(nil, err)
}

// fail tells that the slices are not known any more.
func (t *teller) fail(err error) bool {
	if t.failed == err.Error() {
		return true
	}
	t.failed, t.doubt = err.Error(), true
	return t.yield(nil, err)
}

// recover is called when the slices are watched again. It reports whether they were not before.
func (t *teller) recover() bool {
	failed := t.failed != ""
	t.failed = ""
	return failed
}
