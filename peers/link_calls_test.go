package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// linkOf returns the link to p, after a first call.
func linkOf(t testing.TB, p *peer) *link {
	t.Helper()
	if _, err := get(t.Context(), p, "first"); err != nil {
		t.Fatal(err)
	}
	isUpgraded(t, p)
	return p.link.Load()
}

// atRest waits until nothing is left of any call at either end.
func atRest(t testing.TB, l *link, server *node) {
	t.Helper()
	until(t, "the client's end to be at rest", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.pending == 0 && l.pendingBytes == 0 && len(l.free) == len(l.calls) && len(l.long) == 0 && l.parked.last == nil && l.out.size == 0
	})
	for _, s := range server.allSessions() {
		until(t, "the server's end to be at rest", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.calls) == 0 && s.memory == 0 && len(s.long) == 0 && (s.out.size == 0 || s.err != nil)
		})
	}
	until(t, "no request to be in flight", func() bool { return server.Stats().InFlight == 0 })
}

// Many calls at a time, some of which are given up: each that ends well has its own answers, and nothing is left of any.
func TestLinkCallsGetTheirOwnAnswers(t *testing.T) {
	_, b, ab := upgradedPair(t, nil)
	value := func(key string) string { return strings.Repeat(key+",", len(key)*len(key)) }
	b.attach(t, responder{
		hit: func(_, key string) (a cache.Answer, ok bool) {
			if len(key)%2 == 0 {
				return a, false
			}
			return cache.Answer{Value: []byte(value(key))}, true
		},
		get: func(ctx context.Context, q *cache.GetRequest, deliver func(int, cache.Answer)) error {
			for _, i := range rand.Perm(len(q.Keys)) {
				if len(q.Keys[i])%3 == 0 {
					select {
					case <-time.After(time.Duration(len(q.Keys[i])) * time.Millisecond / 8):
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				deliver(i, cache.Answer{Value: []byte(value(q.Keys[i]))})
			}
			return nil
		},
	})
	l := linkOf(t, ab)
	var wg sync.WaitGroup
	var good atomic.Int64
	for c := range 32 {
		wg.Go(func() {
			for n := range 60 {
				keys := make([]string, 1+rand.IntN(3))
				for i := range keys {
					keys[i] = fmt.Sprint(strings.Repeat("k", rand.IntN(20)), c, "/", n, "/", i)
				}
				ctx, cancel := context.WithCancel(t.Context())
				if rand.IntN(3) == 0 {
					time.AfterFunc(rand.N(2*time.Millisecond), cancel)
				}
				answers, err := get(ctx, ab, keys...)
				cancel()
				switch {
				case err == nil:
					good.Add(1)
					for i, k := range keys {
						if string(answers[i].Value) != value(k) {
							t.Errorf("%q is answered with %.60q", k, answers[i].Value)
						}
					}
				case !errors.Is(err, context.Canceled):
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if good.Load() < 32*60/3 {
		t.Errorf("only %d calls ended well", good.Load())
	}
	atRest(t, l, b)
	if ab.link.Load() != l {
		t.Error("the connection did not last")
	}
}

// The number of a call that was given up is used again after the end of its reply, and not before.
func TestLinkNumbersAreFreeAfterTheReply(t *testing.T) {
	_, b, ab := upgradedPair(t, nil)
	type asked struct {
		call uint64
		key  string
	}
	got, cancelled, release := make(chan asked, 10), make(chan uint64, 10), make(chan []byte)
	b.takeOver(t, func(e *rawEnd) {
		e.serveFrames(func(f wire.Frame) []byte {
			switch f.Type {
			case wire.TypeRequest:
				q, err := wire.DecodeRequest(f.Payload)
				if err != nil {
					t.Error(err)
					return nil
				}
				got <- asked{f.Call, q.Get.Keys[0]}
				if q.Get.Keys[0] == "wait" {
					return nil
				}
				return lastAnswer(f.Call, []byte(q.Get.Keys[0]))
			case wire.TypeCancel:
				cancelled <- f.Call
				return <-release
			}
			return nil
		})
	})
	mustGet(t, ab, "first")
	receive(t, got, "a request")
	as := ab.Get(&cache.GetRequest{Cache: "c", Keys: []string{"wait"}}, cache.Forever)
	first := receive(t, got, "a request")
	as.Close()
	if n := receive(t, cancelled, "the word that it was given up"); n != first.call {
		t.Fatalf("call %d was given up, told %d", first.call, n)
	}
	release <- nil
	mustGet(t, ab, "second")
	if q := receive(t, got, "a request"); q.call == first.call {
		t.Errorf("the number of a call whose reply has not ended is used again")
	}
	second := ab.Get(&cache.GetRequest{Cache: "c", Keys: []string{"wait"}}, cache.Forever)
	other := receive(t, got, "a request")
	second.Close()
	receive(t, cancelled, "the word that it was given up")
	// Both end: one with a late answer, which nobody gets.
	release <- append(lastAnswer(first.call, []byte("too late")), endFrame(other.call, wire.Timeout)...)
	l := ab.link.Load()
	until(t, "all numbers to be free", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.free) == len(l.calls)
	})
	for i := range 10 {
		mustGet(t, ab, "k"+strconv.Itoa(i))
		if q := receive(t, got, "a request"); q.call > 2 {
			t.Errorf("call %d has number %d, though those before have ended", i, q.call)
		}
	}
}

// Next can be called again after a context of its has ended.
func TestLinkNextResumes(t *testing.T) { bothWays(t, testLinkNextResumes) }

func testLinkNextResumes(t *testing.T, pair pairing) {
	_, b, ab := pair(t, nil)
	release := make(chan struct{})
	b.attach(t, responder{get: func(ctx context.Context, q *cache.GetRequest, deliver func(int, cache.Answer)) error {
		deliver(1, cache.Answer{Value: []byte("1")})
		select {
		case <-release:
		case <-ctx.Done():
			return ctx.Err()
		}
		deliver(0, cache.Answer{Value: []byte("0")})
		return nil
	}})
	as := ab.Get(&cache.GetRequest{Cache: "c", Keys: []string{"a", "b"}}, patience)
	defer as.Close()
	next := func(want int) {
		t.Helper()
		for {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			i, a, err := as.Next(ctx)
			cancel()
			if errors.Is(err, context.DeadlineExceeded) && want == 1 {
				continue
			}
			if err != nil || i != want || string(a.Value) != strconv.Itoa(want) {
				t.Fatalf("got %d, %q, %v; want answer %d", i, a.Value, err, want)
			}
			return
		}
	}
	next(1)
	for range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, _, err := as.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("nothing comes, and Next returns %v", err)
		}
		cancel()
	}
	close(release)
	if i, a, err := as.Next(t.Context()); err != nil || i != 0 || string(a.Value) != "0" {
		t.Errorf("got %d, %q, %v", i, a.Value, err)
	}
	for range 2 {
		if _, _, err := as.Next(t.Context()); err != io.EOF {
			t.Errorf("after the last answer: %v", err)
		}
	}
}

// A lone caller reads its own answer: there is no goroutine besides.
func TestLinkLoneCallerHasNoGoroutine(t *testing.T) {
	_, b, ab := upgradedPair(t, func(c *Config) { c.PingAfter = time.Hour })
	during := make(chan int, 1)
	b.attach(t, responder{hit: func(_, key string) (cache.Answer, bool) {
		if key == "count" {
			during <- runtime.NumGoroutine()
		}
		return cache.Answer{}, true
	}})
	l := linkOf(t, ab)
	// A try in which the machine was too slow says nothing: it took longer than a caller reads.
	until(t, "a call that finds as many goroutines as before", func() bool {
		l.mu.Lock()
		reading := l.reading // by a goroutine, which has it while nobody calls
		l.mu.Unlock()
		if reading {
			get(t.Context(), ab, "k")
			return false
		}
		before := runtime.NumGoroutine()
		get(t.Context(), ab, "count")
		return <-during <= before
	})
}
