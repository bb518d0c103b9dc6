package payload

import (
	"bytes"
	"testing"
)

func TestValuesAreTheirKeys(t *testing.T) {
	for _, size := range []int{8, 9, 100, 1 << 10, 64 << 10} {
		a, b := Key(size, 1), Key(size, 2)
		v, err := Value(a)
		if err != nil || len(v) != size {
			t.Fatalf("Value(%q) has %d bytes, %v", a, len(v), err)
		}
		if err := Check(a, size, v); err != nil {
			t.Error(err)
		}
		if err := CheckAll(a, v); err != nil {
			t.Error(err)
		}
		if Check(b, size, v) == nil || CheckAll(b, v) == nil {
			t.Errorf("the value of %s passes for that of %s", a, b)
		}
		if Check(a, size, v[:size-1]) == nil {
			t.Errorf("a truncated value of %s passes", a)
		}
		wrong := bytes.Clone(v)
		wrong[size-1] ^= 1
		if CheckAll(a, wrong) == nil {
			t.Errorf("a value of %s whose last bit is wrong passes", a)
		}
	}
}

func TestKeysWithoutASize(t *testing.T) {
	for _, key := range []string{"", "x-1", "-1", "7-1", "99999999999-1"} {
		if v, err := Value(key); err == nil {
			t.Errorf("Value(%q) has %d bytes, want an error", key, len(v))
		}
		if _, err := new(Held).Get([]byte(key)); err == nil {
			t.Errorf("Held.Get(%q) succeeds", key)
		}
	}
}

func TestHeldKeeps(t *testing.T) {
	var h Held
	key := []byte(Key(100, 3))
	first, err := h.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckAll(string(key), first); err != nil {
		t.Error(err)
	}
	var second []byte
	if n := testing.AllocsPerRun(10, func() { second, _ = h.Get(key) }); n != 0 {
		t.Errorf("Get of what is held allocates %v times", n)
	}
	if &first[0] != &second[0] {
		t.Error("the value was made twice")
	}
}
