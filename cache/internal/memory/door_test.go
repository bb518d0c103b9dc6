package memory

import "testing"

func TestDoorKnowsWhatCameLast(t *testing.T) {
	d := newDoor(16) // 8 places
	if len(d) != 8 || d.bytes() != 16 {
		t.Fatalf("%d places, %d bytes", len(d), d.bytes())
	}
	const a, b, sameAsA, beside = 0x10001, 0x20001, 0x10009, 0x30002
	for _, step := range []struct {
		hash uint64
		want bool
	}{
		{a, false}, {a, true}, {beside, false}, {a, true}, // each has a place
		{b, false}, {a, false}, // one takes the other's
		{sameAsA, true}, // which is what two bytes cannot tell
	} {
		if got := d.knows(step.hash); got != step.want {
			t.Errorf("knows(%#x) = %v, want %v", step.hash, got, step.want)
		}
	}
}

func TestDoorSizes(t *testing.T) {
	for _, c := range []struct {
		bytes int64
		want  int
	}{{-1, 0}, {0, 0}, {1, 0}, {2, 1}, {255, 64}, {256, 128}, {1 << 40, maxDoor}} {
		if got := len(newDoor(c.bytes)); got != c.want {
			t.Errorf("%d bytes: %d places, want %d", c.bytes, got, c.want)
		}
	}
	if newDoor(0).knows(1) {
		t.Error("the door without places knows a key")
	}
}
