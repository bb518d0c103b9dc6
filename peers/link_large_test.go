package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// valueOf returns the value of a key that says how long it is, such as "70000/x".
func valueOf(key string) []byte {
	size, _, _ := bytes.Cut([]byte(key), []byte("/"))
	n, err := strconv.Atoi(string(size))
	if err != nil {
		n = 0
	}
	return bytes.Repeat([]byte(key+"|"), n/(len(key)+1)+1)[:n]
}

// Values of every length, and of those about which the way of sending changes, go both ways and come out as they went in.
func TestLinkLargeValues(t *testing.T) {
	_, b, ab := upgradedPair(t, nil)
	b.attach(t, responder{
		hit: func(version, key string) (a cache.Answer, ok bool) {
			return cache.Answer{Value: valueOf(key)}, version == "hit"
		},
		get: func(_ context.Context, q *cache.GetRequest, deliver func(int, cache.Answer)) error {
			for i, k := range q.Keys {
				deliver(i, cache.Answer{Value: valueOf(k)})
			}
			return nil
		},
		store: func(_ context.Context, q *cache.StoreRequest) error {
			if !bytes.Equal(q.Value, valueOf(q.Key)) {
				return fmt.Errorf("the value of %q is not the one that was sent", q.Key)
			}
			return nil
		},
	})
	l := linkOf(t, ab)
	sizes := []int{0, 1, copyLimit, copyLimit + 1, 4 << 10, 60 << 10, 64 << 10, 1 << 20, 16 << 20}
	for d := -2; d <= 2; d++ {
		sizes = append(sizes, wire.PartSize+d, wire.MaxPayload-wire.AnswerOverhead+d, wire.Window+d)
	}
	for d := range 64 { // the heads of a request and of an answer are some dozens of bytes long
		sizes = append(sizes, wire.MaxPayload-d)
	}
	for _, n := range sizes {
		key := fmt.Sprint(n, "/k")
		for _, version := range []string{"hit", "miss"} {
			err := ask(t.Context(), ab, &cache.GetRequest{Cache: "c", Version: version, Keys: []string{key}}, func(_ int, a cache.Answer) {
				if !bytes.Equal(a.Value, valueOf(key)) {
					t.Errorf("a %s of %d bytes comes out as %d others", version, n, len(a.Value))
				}
			})
			if err != nil {
				t.Errorf("a %s of %d bytes: %v", version, n, err)
			}
		}
		if err := ab.Store(t.Context(), &cache.StoreRequest{Cache: "c", Key: key, Value: valueOf(key)}); err != nil {
			t.Errorf("a store of %d bytes: %v", n, err)
		}
	}
	atRest(t, l, b)
	if ab.link.Load() != l {
		t.Error("the connection did not last")
	}
}

// Large values of many calls share a connection, and small ones pass between them.
func TestLinkLargeValuesAtOnce(t *testing.T) {
	_, b, ab := upgradedPair(t, nil)
	b.attach(t, responder{get: func(_ context.Context, q *cache.GetRequest, deliver func(int, cache.Answer)) error {
		for i, k := range q.Keys {
			deliver(i, cache.Answer{Value: valueOf(k)})
		}
		return nil
	}, store: func(_ context.Context, q *cache.StoreRequest) error {
		if !bytes.Equal(q.Value, valueOf(q.Key)) {
			return errors.New("another value")
		}
		return nil
	}})
	l := linkOf(t, ab)
	var large, small sync.WaitGroup
	var done atomic.Bool
	var between atomic.Int64
	for i := range 12 {
		large.Go(func() {
			for _, n := range []int{100_000, 2 << 20, 300_000} {
				keys := []string{fmt.Sprint(n, "/", i), "10/small", fmt.Sprint(n+1, "/", i), "70000/x"}
				answers, err := get(t.Context(), ab, keys...)
				for j := range answers {
					if err != nil || !bytes.Equal(answers[j].Value, valueOf(keys[j])) {
						t.Errorf("%q: %d bytes, %v", keys[j], len(answers[j].Value), err)
					}
				}
				if err := ab.Store(t.Context(), &cache.StoreRequest{Cache: "c", Key: keys[0], Value: valueOf(keys[0])}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 4 {
		small.Go(func() {
			for !done.Load() {
				key := fmt.Sprint(10+i, "/s")
				if a, err := get(t.Context(), ab, key); err != nil || !bytes.Equal(a[0].Value, valueOf(key)) {
					t.Errorf("%q: %q, %v", key, a[0].Value, err)
					return
				}
				between.Add(1)
			}
		})
	}
	large.Wait()
	done.Store(true)
	small.Wait()
	if between.Load() < 10 {
		t.Errorf("only %d small values passed", between.Load())
	}
	atRest(t, l, b)
}

// As many long requests as there are callers may be sent at once.
func TestLinkManyLargeStores(t *testing.T) {
	_, b, ab := upgradedPair(t, nil)
	b.attach(t, responder{})
	l := linkOf(t, ab)
	value := make([]byte, 300_000)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			if err := ab.Store(t.Context(), &cache.StoreRequest{Cache: "c", Key: fmt.Sprint(i), Value: value}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	atRest(t, l, b)
}

// A value that nobody waits for any more leaves nothing behind.
func TestLinkCancelInMidValue(t *testing.T) {
	_, b, ab := upgradedPair(t, nil)
	b.attach(t, responder{
		hit: func(_, key string) (cache.Answer, bool) { return cache.Answer{Value: valueOf(key)}, key[0] != '9' },
		get: func(_ context.Context, q *cache.GetRequest, deliver func(int, cache.Answer)) error {
			for i, k := range q.Keys {
				deliver(i, cache.Answer{Value: valueOf(k)})
			}
			return nil
		},
	})
	l := linkOf(t, ab)
	for i := range 40 {
		keys := [][]string{{"8000000/hit"}, {"9000000/miss"}, {"50000/a", "9000000/b", "900000/c"}}[i%3]
		as := ab.Get(&cache.GetRequest{Cache: "c", Keys: keys}, cache.Forever)
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond/8)
		as.Next(ctx)
		cancel()
		as.Close()
		if i%4 == 0 {
			mustAnswer(t, ab, 0)
		}
	}
	for range 10 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		ab.Store(ctx, &cache.StoreRequest{Cache: "c", Key: "k", Value: make([]byte, 8<<20)})
		cancel()
	}
	mustAnswer(t, ab, 0)
	atRest(t, l, b)
	until(t, "nobody to read", func() bool {
		mustAnswer(t, ab, 0)
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.reading { // for what is read is whose role that is
			return false
		}
		if len(l.partial) > 0 {
			t.Fatalf("%d values that nobody waits for are kept", len(l.partial))
		}
		return true
	})
	if ab.link.Load() != l {
		t.Error("the connection did not last")
	}
}
