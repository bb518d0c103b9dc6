package peers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// limits are low ones.
func limits(c *Config) {
	c.MaxValueBytes, c.MaxInFlight, c.ReadTimeout = 1<<10, 1, 200*time.Millisecond
}

func TestG11LimitsValue(t *testing.T) { bothWays(t, testG11LimitsValue) }

func testG11LimitsValue(t *testing.T, pair pairing) {
	a, b, ab := pair(t, limits)
	b.attach(t, responder{get: func(_ context.Context, q *cache.GetRequest, deliver func(int, cache.Answer)) error {
		for i, k := range q.Keys {
			deliver(i, cache.Answer{Value: bytes.Repeat([]byte("v"), 1<<10+len(k))})
		}
		return nil
	}})
	answers, err := get(t.Context(), ab, "", "k")
	if err != nil || answers[0].Status != cache.StatusOK || len(answers[0].Value) != 1<<10 {
		t.Errorf("a value of just that size: %v, %v", answers[0].Status, err)
	}
	if answers[1].Status != cache.StatusTooLarge || len(answers[1].Value) > 0 || !strings.Contains(answers[1].Message, "MaxValueBytes") {
		t.Errorf("a longer one: %+v", answers[1])
	}
	err = ab.Store(t.Context(), &cache.StoreRequest{Cache: "c", Value: make([]byte, 1<<10+1)})
	wantErr(t, err, ErrTooLarge)
	if s := a.Stats().Peers[0]; !s.Up {
		t.Errorf("a limit takes a peer down: %+v", s)
	}
}

func TestG11LimitsLowerLimitOfTheTwo(t *testing.T) { eitherWay(t, testG11LimitsLowerLimitOfTheTwo) }

func testG11LimitsLowerLimitOfTheTwo(t *testing.T, upgraded bool) {
	a := newNode(t, limits)
	b := newNode(t, nil)
	b.upgrades.Store(upgraded)
	if err := a.Set(Member{URL: b.Self()}); err != nil {
		t.Fatal(err)
	}
	b.attach(t, responder{get: func(_ context.Context, q *cache.GetRequest, deliver func(int, cache.Answer)) error {
		deliver(0, cache.Answer{Value: make([]byte, 1<<20)})
		return nil
	}})
	answers, err := get(t.Context(), a.to(t, b.Self()), "k")
	if err != nil || answers[0].Status != cache.StatusTooLarge {
		t.Errorf("%+v, %v", answers[0].Status, err)
	}
}

func TestG11LimitsRequest(t *testing.T) { bothWays(t, testG11LimitsRequest) }

func testG11LimitsRequest(t *testing.T, pair pairing) {
	_, b, ab := pair(t, limits)
	var got atomic.Int64
	b.attach(t, responder{get: func(_ context.Context, q *cache.GetRequest, deliver func(int, cache.Answer)) error {
		got.Add(1)
		for i := range q.Keys {
			deliver(i, cache.Answer{})
		}
		return nil
	}})
	long := slices.Repeat([]string{strings.Repeat("x", cache.MaxKeyBytes)}, 300)
	err := ab.Fence(t.Context(), &cache.FenceRequest{Cache: "c", Keys: long})
	wantErr(t, err, ErrTooLarge)
	if err == nil || !strings.Contains(err.Error(), "was not sent") {
		t.Errorf("a request that is too long was sent: %v", err)
	}
	seen := map[int]bool{} // a get becomes several
	err = ask(t.Context(), ab, &cache.GetRequest{Cache: "c", Keys: long}, func(i int, _ cache.Answer) { seen[i] = true })
	if err != nil || len(seen) != len(long) || got.Load() < 2 {
		t.Errorf("%d answers from %d requests, %v", len(seen), got.Load(), err)
	}
}

func TestG11LimitsCarried(t *testing.T) { bothWays(t, testG11LimitsCarried) }

func testG11LimitsCarried(t *testing.T, pair pairing) {
	_, b, ab := pair(t, limits)
	b.attach(t, responder{})
	err := ask(t.Context(), ab, &cache.GetRequest{Cache: "c", Keys: []string{"k"}, Carried: map[string]string{"k": strings.Repeat("x", wire.MaxCarriedBytes)}}, nil)
	wantErr(t, err, ErrTooLarge)
}

func TestG11LimitsInFlight(t *testing.T) { bothWays(t, testG11LimitsInFlight) }

func testG11LimitsInFlight(t *testing.T, pair pairing) {
	_, b, ab := pair(t, limits)
	asked, release := make(chan struct{}), make(chan struct{})
	b.attach(t, responder{fence: func(context.Context, *cache.FenceRequest) error { close(asked); <-release; return nil }})
	done := make(chan error, 1)
	go func() { done <- verbs["fence"](context.Background(), ab) }()
	receive(t, asked, "the first request")
	_, err := get(t.Context(), ab, "k")
	wantErr(t, err, ErrOverloaded)
	if s := b.Stats(); s.RejectedLimit != 1 || s.InFlight != 1 {
		t.Errorf("%+v", s)
	}
	close(release)
	if err := receive(t, done, "the first call"); err != nil {
		t.Error(err)
	}
}

func TestG11LimitsSlowBody(t *testing.T) {
	b := newNode(t, func(c *Config) { limits(c); c.Secret = nil; c.Insecure = true })
	conn, err := net.Dial("tcp", b.srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n%s: %s\r\nContent-Length: 1000\r\n\r\nx", contentType, headerTo, b.Self())
	conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("the connection is still there: %v", err)
	}
	if s := b.Stats(); s.RejectedLimit != 1 || s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
}

func TestG11LimitsSlowBodyWithoutCredential(t *testing.T) {
	b := newNode(t, limits)
	conn, err := net.Dial("tcp", b.srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 1000\r\n\r\nx", contentType)
	conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("the connection is still there: %v", err)
	}
}
