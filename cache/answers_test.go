package cache_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

type getFunc = func(context.Context, *cache.GetRequest, func(int, cache.Answer)) error

// goGet asks get for "a" and "b".
func goGet(get getFunc, timeout time.Duration) cache.Answers {
	return cache.GoGet(get, &cache.GetRequest{Keys: []string{"a", "b"}}, timeout)
}

// wantNext checks what Next returns: the answer to key i, or an error that says want if i is negative.
func wantNext(t *testing.T, a cache.Answers, i int, want string) {
	t.Helper()
	got, ans, err := a.Next(t.Context())
	switch {
	case i >= 0 && (got != i || string(ans.Value) != want || err != nil):
		t.Errorf("Next = %d, %q, %v; want %d, %q", got, ans.Value, err, i, want)
	case i < 0 && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("Next = %d, %q, %v; want an error with %q", got, ans.Value, err, want)
	}
}

func TestGoGetReturnsWhatGetDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		req := &cache.GetRequest{Keys: []string{"a", "b"}}
		a := cache.GoGet(func(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
			if _, ok := ctx.Deadline(); ok {
				t.Error("the context has a deadline")
			}
			time.Sleep(time.Second)
			deliver(1, cache.Answer{Value: []byte(req.Keys[1])})
			time.Sleep(time.Second)
			deliver(0, cache.Answer{Value: []byte(req.Keys[0])})
			time.Sleep(time.Second)
			return nil
		}, req, cache.Forever)
		defer a.Close()
		*req = cache.GetRequest{} // it is the caller's again
		wantNext(t, a, 1, "b")
		if time.Since(begin) != time.Second {
			t.Errorf("the first answer came after %v", time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		if _, _, err := a.Next(ctx); err != context.DeadlineExceeded || time.Since(begin) != 3*time.Second/2 {
			t.Errorf("Next: %v after %v", err, time.Since(begin))
		}
		wantNext(t, a, 0, "a")
		for range 2 {
			if _, _, err := a.Next(t.Context()); err != io.EOF {
				t.Errorf("at the end: %v, want io.EOF", err)
			}
		}
	})
}

func TestGoGetEndsAtItsTimeout(t *testing.T) {
	for _, heeds := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			a := goGet(func(ctx context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
				deliver(0, cache.Answer{Value: []byte("in time")})
				<-ctx.Done()
				if heeds {
					return errors.New("a socket was closed")
				}
				time.Sleep(time.Second)
				deliver(1, cache.Answer{})
				return nil
			}, 10*time.Second)
			defer a.Close()
			wantNext(t, a, 0, "in time")
			for range 2 {
				if _, _, err := a.Next(t.Context()); err != context.DeadlineExceeded || time.Since(begin) != 10*time.Second {
					t.Errorf("Next: %v after %v; want DeadlineExceeded after 10 s", err, time.Since(begin))
				}
			}
			time.Sleep(2 * time.Second)
			wantNext(t, a, -1, "deadline") // whatever came later
		})
	}
}

// What was delivered before the time was up stands, even if it is taken later.
func TestGoGetKeepsWhatWasDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := goGet(func(ctx context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
			deliver(0, cache.Answer{Value: []byte("0")})
			<-ctx.Done()
			return ctx.Err()
		}, time.Second)
		defer a.Close()
		time.Sleep(2 * time.Second)
		wantNext(t, a, 0, "0")
		wantNext(t, a, -1, "deadline")
	})
}

func TestGoGetFailures(t *testing.T) {
	for want, get := range map[string]getFunc{
		"left 1 of 2 keys unanswered": func(_ context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
			deliver(0, cache.Answer{})
			return nil
		},
		"no luck": func(_ context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
			deliver(0, cache.Answer{})
			return errors.New("no luck")
		},
		"panic: oops": func(_ context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
			deliver(0, cache.Answer{})
			panic("oops")
		},
		"Goexit": func(_ context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
			deliver(0, cache.Answer{})
			runtime.Goexit()
			return nil
		},
	} {
		a := goGet(get, time.Minute)
		wantNext(t, a, 0, "")
		wantNext(t, a, -1, want)
		wantNext(t, a, -1, want)
		a.Close()
	}
}

func TestGoGetCloseAndInterruptEndTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := 0
		get := func(ctx context.Context, _ *cache.GetRequest, _ func(int, cache.Answer)) error {
			<-ctx.Done()
			ended++
			return ctx.Err()
		}
		goGet(get, cache.Forever).Close()
		synctest.Wait()
		if ended != 1 {
			t.Error("Close did not end the call")
		}
		a := goGet(get, cache.Forever)
		go func() {
			time.Sleep(time.Second)
			a.(interface{ Interrupt() }).Interrupt()
		}()
		wantNext(t, a, -1, "canceled")
		a.Close()
		synctest.Wait()
		if ended != 2 {
			t.Error("Interrupt did not end the call")
		}
	})
}
