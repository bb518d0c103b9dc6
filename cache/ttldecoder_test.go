package cache_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// aged is a value that is told how long it is good.
type aged struct{ left time.Duration }

type agedCodec struct{}

func (agedCodec) Append(dst []byte, _ aged) ([]byte, error) { return append(dst, 'a'), nil }
func (agedCodec) Decode([]byte) (aged, error)               { return aged{-1}, nil }
func (agedCodec) DecodeTTL(_ []byte, ttl time.Duration) (aged, error) {
	return aged{ttl}, nil
}

func TestTTLDecoderIsToldWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := peerstest.NewFleet(2)
		fleet.SetViewAll(0)
		var caches []*cache.Cache[string, aged]
		for i := range 2 {
			c, err := cache.New(cache.Config[string, aged]{
				Name: "aged", Peers: fleet.Instance(i), Codec: agedCodec{}, TTL: 10 * time.Second, MirrorTTL: -1,
				SizeOf: func(aged) int64 { return 8 },
				Load:   cache.LoadFunc(func(context.Context, string) (aged, error) { return aged{}, nil }),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			caches = append(caches, c)
		}
		for _, want := range []time.Duration{10 * time.Second, 7 * time.Second, 4 * time.Second} {
			if v, err := caches[1].Get(t.Context(), "k"); err != nil || v.left != want {
				t.Errorf("told %v, %v; want %v", v.left, err, want)
			}
			time.Sleep(3 * time.Second)
		}
		if err := caches[1].Set(t.Context(), "k", cache.Entry[aged]{TTL: time.Minute}); err != nil {
			t.Error(err)
		}
		if v, ok := caches[0].Peek("k"); !ok || v.left != time.Minute {
			t.Errorf("the owner of what was set was told %v", v.left)
		}
	})
}
