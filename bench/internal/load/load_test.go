package load

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/kind"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/payload"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fakeClient makes values itself, and remembers who asked for what.
type fakeClient struct {
	spoil func(key string, value []byte) ([]byte, error) // nil: leave values as they are
	owns  func(key string) bool                          // nil: all keys

	// mu guards askers.
	mu     sync.Mutex
	askers map[string]map[int]bool
}

type fakeCaller struct {
	*fakeClient
	i int
}

func (c *fakeClient) Callers(n int) ([]kind.Caller, error) {
	callers := make([]kind.Caller, n)
	for i := range callers {
		callers[i] = fakeCaller{c, i}
	}
	return callers, nil
}

func (c *fakeClient) Close() error { return nil }

func (c *fakeClient) URL() string { return "" }

func (c *fakeClient) Crosses(key string) bool { return c.owns == nil || c.owns(key) }

func (c fakeCaller) Get(ctx context.Context, key string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.askers == nil {
		c.askers = make(map[string]map[int]bool)
	}
	if c.askers[key] == nil {
		c.askers[key] = make(map[int]bool)
	}
	c.askers[key][c.i] = true
	value, err := payload.Value(key)
	if err == nil && c.spoil != nil {
		return c.spoil(key, value)
	}
	return value, err
}

func (c fakeCaller) GetMany(ctx context.Context, keys []string, got func(int, []byte) error) error {
	seen := make(map[string]bool)
	for i, key := range keys {
		if seen[key] {
			return errors.New("a call has a key twice")
		}
		seen[key] = true
		value, err := c.Get(ctx, key)
		if err != nil {
			return err
		}
		if err := got(i, value); err != nil {
			return err
		}
	}
	return nil
}

func prepared(t *testing.T, c kind.Client, pipelined bool, s Shape) *Generator {
	t.Helper()
	g := New(c, pipelined)
	if err := g.Prepare(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	return g
}

// If two callers asked for the same key, they would wait for one call, and look fast.
func TestNoTwoCallersShareAKey(t *testing.T) {
	c := &fakeClient{owns: func(key string) bool { return strings.HasSuffix(key, "1") }}
	for _, s := range []Shape{{Size: 100, Callers: 256}, {Size: 100, Callers: 16, Many: 100}, {Size: 200, Callers: 7}} {
		clear(c.askers)
		g := prepared(t, c, false, s)
		clear(c.askers) // of those who filled
		if _, err := g.Run(t.Context(), Limit{Ops: 5000}); err != nil {
			t.Fatal(err)
		}
		for key, askers := range c.askers {
			if len(askers) != 1 || !c.owns(key) {
				t.Errorf("%+v: %s was asked for by %d callers", s, key, len(askers))
			}
		}
		if len(c.askers) < max(256, s.Callers*s.Many) {
			t.Errorf("%+v: %d keys were asked for", s, len(c.askers))
		}
	}
}

func TestOpsEndARun(t *testing.T) {
	g := prepared(t, new(fakeClient), false, Shape{Size: 100, Callers: 4})
	for _, ops := range []int64{1, 4, 10, 999} {
		r, err := g.Run(t.Context(), Limit{Ops: ops})
		if err != nil || r.Ops < ops || r.Ops >= ops+4 {
			t.Errorf("%d operations of %d, %v", r.Ops, ops, err)
		}
	}
	pipelined := prepared(t, new(fakeClient), true, Shape{Size: 100, Callers: 64})
	r, err := pipelined.Run(t.Context(), Limit{Ops: 65})
	if err != nil || r.Ops != 128 {
		t.Errorf("%d operations, %v, want two batches of 64", r.Ops, err)
	}
	if r, err := g.Run(t.Context(), Limit{Duration: 20 * time.Millisecond}); err != nil || r.Elapsed < 20*time.Millisecond || r.P50 <= 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestWrongValuesEndARun(t *testing.T) {
	boom := errors.New("boom")
	for name, spoil := range map[string]func(string, []byte) ([]byte, error){
		"too short":    func(_ string, v []byte) ([]byte, error) { return v[1:], nil },
		"another's":    func(_ string, v []byte) ([]byte, error) { v[3]++; return v, nil },
		"no value":     func(string, []byte) ([]byte, error) { return nil, nil },
		"just failing": func(string, []byte) ([]byte, error) { return nil, boom },
	} {
		for _, s := range []Shape{{Size: 100, Callers: 3}, {Size: 100, Callers: 3, Many: 5}, {Size: 100, Callers: 3, Bulk: 2 * mib}} {
			c := new(fakeClient)
			g := prepared(t, c, false, s)
			c.spoil = func(key string, v []byte) ([]byte, error) {
				if size, _ := payload.Size(key); s.Bulk > 0 && size != s.Bulk {
					return v, nil
				}
				return spoil(key, v)
			}
			if _, err := g.Run(t.Context(), Limit{Duration: 5 * time.Second}); err == nil || strings.Contains(err.Error(), context.Canceled.Error()) {
				t.Errorf("%s, %+v: error %v", name, s, err)
			}
		}
	}
}

// What is wrong anywhere in a value is found before anything is measured.
func TestWrongValuesEndAPrepare(t *testing.T) {
	c := &fakeClient{spoil: func(_ string, v []byte) ([]byte, error) { v[len(v)-1]++; return v, nil }}
	g := New(c, false)
	if err := g.Prepare(t.Context(), Shape{Size: 100, Callers: 2}); err == nil {
		t.Error("Prepare succeeds")
	}
	c.spoil = nil
	if err := g.Prepare(t.Context(), Shape{Size: 100, Callers: 2}); err != nil {
		t.Errorf("Prepare once more: %v", err)
	}
	if _, err := New(c, false).Run(t.Context(), Limit{Ops: 1}); err == nil {
		t.Error("Run before Prepare succeeds")
	}
}

func TestContextEndsARun(t *testing.T) {
	g := prepared(t, new(fakeClient), false, Shape{Size: 100, Callers: 2, Bulk: 2 * mib})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := g.Run(ctx, Limit{Duration: time.Minute}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run = %v", err)
	}
}

func TestSpent(t *testing.T) {
	before, err := Spent()
	if err != nil {
		t.Fatal(err)
	}
	var kept [][]byte
	for begun := time.Now(); time.Since(begun) < 50*time.Millisecond; {
		kept = append(kept, make([]byte, 100))
	}
	after, err := Spent()
	if err != nil {
		t.Fatal(err)
	}
	spent := after.Minus(before)
	if spent.Allocs < uint64(len(kept)) || spent.CPU < 0 || spent.CPU > 5*time.Second {
		t.Errorf("%d allocations cost %+v", len(kept), spent)
	}
	here, err := SpentBy(os.Getpid())
	if err != nil || after.CPU > 0 && (here.CPU < after.CPU-50*time.Millisecond || here.CPU > after.CPU+time.Second) {
		t.Errorf("%v by one way, %v by the other, %v", after.CPU, here.CPU, err)
	}
}
