package kind

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/payload"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNamed(t *testing.T) {
	all, err := Named()
	if err != nil || len(all) != len(All()) {
		t.Errorf("Named() = %d kinds, %v", len(all), err)
	}
	seen := make(map[string]bool)
	for _, k := range all {
		if seen[k.Name] || k.About == "" || strings.ContainsAny(k.Name, " ,/") {
			t.Errorf("kind %q is there twice, or has a bad name, or no text", k.Name)
		}
		seen[k.Name] = true
	}
	two, err := Named("h2c", "floor")
	if err != nil || fmt.Sprint(Names(two)) != "[h2c floor]" {
		t.Errorf("Named(h2c, floor) = %v, %v", Names(two), err)
	}
	if _, err := Named("nothing"); err == nil || !strings.Contains(err.Error(), "use some of fleetcache, ") {
		t.Errorf("Named(nothing) = %v", err)
	}
}

// open starts both sides of a kind in this process.
func open(t *testing.T, k Kind) Client {
	t.Helper()
	if err := k.Missing(); err != nil {
		t.Log(err)
		return nil
	}
	s, err := k.Serve(t.Context(), Setup{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if s.PID != 0 && !errors.Is(syscall.Kill(s.PID, 0), syscall.ESRCH) {
			t.Errorf("%s: process %d is left", k.Name, s.PID)
		}
	})
	c, err := k.Dial(t.Context(), s.Addr, Setup{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if m, ok := c.(Member); ok {
		if err := s.Join(m.URL()); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// What a kind cannot get is an error, and not another value.
func TestErrorsAreErrors(t *testing.T) {
	for _, k := range []Kind{fleetcache, fleetcacheGet, grpcUnary, http1, h2c, memcached, redisRueidis, redisGo, floor} {
		t.Run(k.Name, func(t *testing.T) {
			c := open(t, k)
			if c == nil {
				return
			}
			callers, err := c.Callers(1)
			if err != nil {
				t.Fatal(err)
			}
			key := crossing(c, func(i int) string { return fmt.Sprint("no_size_", i) })
			if value, err := callers[0].Get(t.Context(), key); err == nil {
				t.Errorf("Get brought %d bytes", len(value))
			}
		})
	}
}

// crossing returns the first of keys that the server owns.
func crossing(c Client, keys func(i int) string) string {
	m, ok := c.(Member)
	for i := 0; ; i++ {
		if key := keys(i); !ok || m.Crosses(key) {
			return key
		}
	}
}

func TestCallsAfterAnother(t *testing.T) {
	for _, k := range []Kind{fleetcache, fleetcacheGet, grpcUnary, http1, h2c, floor} {
		t.Run(k.Name, func(t *testing.T) {
			c := open(t, k)
			for range 2 { // callers that replace others
				callers, err := c.Callers(1)
				if err != nil {
					t.Fatal(err)
				}
				for i := range 50 {
					key := payload.Key(300+i, i)
					if m, ok := c.(Member); ok && !m.Crosses(key) {
						continue
					}
					value, err := callers[0].Get(t.Context(), key)
					if err != nil {
						t.Fatal(err)
					}
					if err := payload.CheckAll(key, value); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}

func TestContextsAreHeeded(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, k := range []Kind{fleetcache, grpcUnary, http1, h2c, redisRueidis, floor} {
		t.Run(k.Name, func(t *testing.T) {
			c := open(t, k)
			if c == nil {
				return
			}
			callers, err := c.Callers(1)
			if err != nil {
				t.Fatal(err)
			}
			key := crossing(c, func(i int) string { return payload.Key(100, i) })
			if _, err := callers[0].Get(ctx, key); err == nil {
				t.Error("Get with a context that has ended succeeds")
			}
		})
	}
}
