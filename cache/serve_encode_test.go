package cache_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// countingCodec counts what it encodes.
type countingCodec struct {
	panickyCodec
	n *atomic.Int32
}

func (c countingCodec) Append(dst []byte, p point) ([]byte, error) {
	c.n.Add(1)
	if p.Y < 0 {
		return dst, errors.New("no form for this")
	}
	return c.panickyCodec.Append(dst, p)
}

func TestServeEncodesOnceAndKeepsTheForm(t *testing.T) {
	var n atomic.Int32
	c, r := serving(t, cache.Config[string, point]{SizeOf: sizeOfPoint, Codec: countingCodec{n: &n}, Load: func(context.Context, string) (cache.Entry[point], error) {
		return cache.Entry[point]{Value: point{3, 4}}, nil
	}})
	before := c.Stats().Bytes
	for range 5 {
		if got := request(t, t.Context(), r, cache.GetRequest{}, "k")[0]; string(got.Value) != `{"X":3,"Y":4}` || got.Size != 16 {
			t.Errorf("answer: %+v", got)
		}
	}
	if n.Load() != 1 {
		t.Errorf("encoded %d times, want once", n.Load())
	}
	if more := c.Stats().Bytes - before; more < int64(16+len(`{"X":3,"Y":4}`)) {
		t.Errorf("%d bytes are accounted for value and form", more)
	}
	request(t, t.Context(), r, cache.GetRequest{Reload: true}, "k")
	if n.Load() != 2 {
		t.Errorf("encoded %d times, want a new value to be encoded anew", n.Load())
	}
}

func TestServeWhatDoesNotEncode(t *testing.T) {
	for _, tt := range []struct {
		v       point
		message string
	}{{point{0, -1}, "no form for this"}, {point{-1, 0}, "panic: negative"}} {
		_, r := serving(t, cache.Config[string, point]{SizeOf: sizeOfPoint, Codec: countingCodec{n: new(atomic.Int32)}, Load: func(context.Context, string) (cache.Entry[point], error) {
			return cache.Entry[point]{Value: tt.v}, nil
		}})
		got := request(t, t.Context(), r, cache.GetRequest{}, "some key")[0]
		if got.Status != cache.StatusEncodeFailed || !strings.Contains(got.Message, tt.message) || !strings.Contains(got.Message, "some key") {
			t.Errorf("answer: %+v; want an encoding that failed with %q", got, tt.message)
		}
	}
}
