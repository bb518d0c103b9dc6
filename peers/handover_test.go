package peers

import "testing"

// An instance may have pulled a cache before its answer to Leave is read: it begins at once, on another goroutine. It must not be waited
// for then until DrainTime is over.
func TestG9PulledBeforeTheAnswer(t *testing.T) {
	var h handover
	h.pulled("b", "x") // of an earlier view, when nobody drains
	h.begin()
	h.tell("b")
	h.tell("c")
	h.pulled("b", "x")
	h.expect("b", []string{"x"})
	h.expect("c", []string{"x", "y"})
	if left, total := h.progress(); left != 1 || total != 2 {
		t.Errorf("%d of %d have not pulled all, want 1 of 2", left, total)
	}
	h.pulled("c", "y")
	h.pulled("c", "x")
	if left, total := h.progress(); left != 0 || total != 2 {
		t.Errorf("%d of %d have not pulled all, want 0 of 2", left, total)
	}
	h.begin() // another Drain
	h.tell("b")
	h.expect("b", []string{"x"})
	if left, _ := h.progress(); left != 1 {
		t.Error("what was pulled before the last Drain counts")
	}
}
