package soak

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSoak(t *testing.T) {
	s, err := Run(t.Context(), Options{Duration: 2 * time.Second, Callers: 16, Seed: uint64(time.Now().UnixNano())})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := s.Print(&b); err != nil {
		t.Fatal(err)
	}
	t.Log(b.String())
	if err := s.Err(); err != nil {
		t.Error(err)
	}
}

func TestValuesAreChecked(t *testing.T) {
	small, large := 0, 0
	for i := range keyCount {
		key := keyName(i)
		n := sizeOf(key)
		if n < 1 || n > maxValue {
			t.Fatalf("%s has %d bytes", key, n)
		}
		if n < headBytes {
			small++
		} else if n > 1<<20 {
			large++
		}
		if n > 10_000 {
			continue
		}
		value := makeValue(key, uint64(i))
		if err := checkValue(key, value); err != nil {
			t.Error(err)
		}
		for _, at := range []int{0, n / 2, n - 1} {
			value[at] ^= 1
			if checkValue(key, value) == nil {
				t.Errorf("%s, %d bytes: a wrong bit in byte %d is not found", key, n, at)
			}
			value[at] ^= 1
		}
		if checkValue(key, value[:n-1]) == nil || n > 8 && checkValue(keyName(i+1), value) == nil {
			t.Errorf("%s: a value that is short, or another key's, is not found", key)
		}
	}
	if small < keyCount/20 || large < keyCount/20 {
		t.Errorf("%d values of less than %d bytes and %d of more than 1 MiB, of %d", small, headBytes, large, keyCount)
	}
}

// What the checks look for, they find.
func TestFindings(t *testing.T) {
	var f findings
	c := &caller{found: &f, count: new(counts)}
	c.begin("Get x", time.Now().Add(-time.Millisecond))
	if what, late := c.late(time.Now()); !late || what != "Get x" {
		t.Errorf("late = %q, %v", what, late)
	}
	c.end(t.Context(), nil)
	c.check(keyName(1), nil)
	c.end(t.Context(), errUnexpected{})
	c.end(t.Context(), context.DeadlineExceeded)
	c.end(t.Context(), &cache.ManyError{Errors: map[string]error{"a": context.DeadlineExceeded}})
	c.end(t.Context(), &cache.UnreachedError{Errors: map[string]error{"a": errUnexpected{}}})
	if c.count.timedOut.Load() != 2 || c.count.unreached.Load() != 1 {
		t.Errorf("%d loads took too long, %d invalidations did not reach everybody", c.count.timedOut.Load(), c.count.unreached.Load())
	}
	c.end(t.Context(), &cache.ManyError{Errors: map[string]error{"a": context.DeadlineExceeded, "b": errMixed{}}})
	before := takeBaseline()
	ballast := make([]byte, 2*slack)
	before.check(&f)
	ballast[0] = 1 // it is on the heap until here
	(&Summary{counts: new(counts), found: &f}).checkCounts()
	told := strings.Join(f.list, "\n")
	for _, want := range []string{"too late", "wrong bytes", "had not left: unexpected", "cache: 2 keys failed", "left on the heap", "not one Get"} {
		if !strings.Contains(told, want) {
			t.Errorf("nothing says %q in:\n%s", want, told)
		}
	}
	s := &Summary{found: &f}
	if s.Err() == nil {
		t.Error("no error")
	}
}

type errUnexpected struct{}

func (errUnexpected) Error() string { return "unexpected" }

type errMixed struct{}

func (errMixed) Error() string { return "mixed" }
