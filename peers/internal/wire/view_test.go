package wire

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// compareView fails if a view of b says other than DecodeRequest.
func compareView(t rapid.TB, b []byte) {
	t.Helper()
	before := bytes.Clone(b)
	q, err := DecodeRequest(b)
	v, ok := ViewGet(b)
	var keys []string
	if ok {
		for range v.Keys {
			keys = append(keys, string(v.Key()))
		}
		ok = v.Err() == nil
	}
	switch {
	case !bytes.Equal(before, b):
		t.Fatalf("%x was changed", before)
	case ok != (err == nil && q.Verb == Get):
		t.Fatalf("%x: the view is ok: %v (%v); decoding says %v", b, ok, v.Err(), err)
	case !ok:
		return
	}
	g := q.Get
	if v.Epoch != q.Epoch || v.MaxValue != q.MaxValue || string(v.Cache) != g.Cache || string(v.Version) != g.Version || v.Reload != g.Reload || len(keys) != len(g.Keys) {
		t.Fatalf("%x: the view is %+v, and the request %+v", b, v, g)
	}
	for i, k := range keys {
		if k != g.Keys[i] {
			t.Fatalf("%x: key %d is %q to the view, and %q", b, i, k, g.Keys[i])
		}
	}
}

func TestPropertyViewAgrees(t *testing.T) {
	for _, q := range samples() {
		b := encoded(t, q)
		for i := range b {
			compareView(t, b[:i])
		}
		compareView(t, b)
		compareView(t, append(b, 0))
	}
	rapid.Check(t, func(t *rapid.T) {
		b, err := AppendRequest(nil, drawRequest(t))
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			b[rapid.IntRange(0, len(b)-1).Draw(t, "where")] = rapid.Byte().Draw(t, "byte")
		}
		compareView(t, b[:rapid.IntRange(0, len(b)).Draw(t, "length")])
		compareView(t, b)
	})
}

// A view's key is what has its length: what follows in the request is not reached by appending to it.
func TestViewsEndWhereTheyEnd(t *testing.T) {
	b := encoded(t, samples()["get_many"])
	before := bytes.Clone(b)
	v, ok := ViewGet(b)
	_ = append(v.Cache, "over"...)
	_ = append(v.Version, "over"...)
	for range v.Keys {
		_ = append(v.Key(), "over"...)
	}
	if !ok || v.Err() != nil || !bytes.Equal(b, before) {
		t.Errorf("ok: %v, %v; the request is %q, was %q", ok, v.Err(), b, before)
	}
}
