package clients

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/internal/processtest"
)

// Objects that are written and purged while they are read at all instances.
const (
	objects = 24
	readers = 6
	writers = 4

	loadTime = 3 * time.Second
)

// A version is that of an object.
type version struct {
	latest atomic.Int64 // at the origin
	floor  atomic.Int64 // an older one must not be read: it was purged before the read began
}

// versions are an origin's, which answers with them.
type versions struct {
	of        [objects]version
	validated atomic.Int64 // requests that were answered with 304
}

// ServeHTTP answers with the version of an object, such as /object/7, in one of two groups.
func (v *versions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/object/"))
	if err != nil || i >= objects {
		http.NotFound(w, r)
		return
	}
	body := fmt.Sprint(v.of[i].latest.Load())
	w.Header().Set("Cache-Control", "max-age=3600")
	w.Header().Set("Surrogate-Key", fmt.Sprintf("object-%d group-%d", i, i%2))
	w.Header().Set("ETag", `"`+body+`"`)
	if r.Header.Get("If-None-Match") == `"`+body+`"` {
		v.validated.Add(1)
		w.WriteHeader(http.StatusNotModified)
		return
	}
	io.WriteString(w, body)
}

// read reads an object, and returns what is wrong with the answer.
func (v *versions) read(t *testing.T, c *http.Client, f *fleet, i int) error {
	floor := v.of[i].floor.Load()
	at := f.all[rand.IntN(len(f.all))].URL
	a, err := get(t.Context(), c, fmt.Sprintf("%s/object/%d", at, i))
	if err != nil {
		return err
	}
	got, err := strconv.ParseInt(a.body, 10, 64)
	if err != nil || a.status != 200 || got < floor {
		return fmt.Errorf("%s/object/%d: %d with version %q, want %d or newer: %s", at, i, a.status, a.body, floor, a.from())
	}
	return nil
}

// write makes a new version of an object, and purges it in one of the ways that there are.
func (v *versions) write(t *testing.T, c *http.Client, f *fleet, i int, soft bool) error {
	o := &v.of[i]
	latest := o.latest.Add(1)
	path := fmt.Sprintf("/object/%d", i)
	what := []map[string]any{
		{"url": path}, {"url": f.all[rand.IntN(len(f.all))].URL + path},
		{"keys": []string{fmt.Sprintf("object-%d", i)}}, {"keys": []string{"other", fmt.Sprintf("group-%d", i%2)}}, {"all": true},
	}
	n := rand.IntN(len(what))
	if n >= 3 && rand.IntN(10) > 0 { // those that purge other objects as well are rare, so that something is in the caches
		n %= 3
	}
	what[n]["soft"] = soft
	if err := f.purge(t.Context(), c, f.all[rand.IntN(len(f.all))], what[n]); err != nil {
		return err
	}
	o.floor.Store(latest) // it has one writer
	return nil
}

// run has writers make versions for a while, as fast as they can, while readers read.
func (v *versions) run(t *testing.T, f *fleet, soft bool) {
	c := newClient(t)
	begin, done := time.Now(), make(chan struct{})
	var purges, reads atomic.Int64
	var reading, writing sync.WaitGroup
	for range readers {
		reading.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := v.read(t, c, f, rand.IntN(objects)); err != nil {
					t.Error(err)
					return
				}
				reads.Add(1)
			}
		})
	}
	for n := range writers {
		writing.Go(func() {
			for time.Since(begin) < loadTime {
				i := n + writers*rand.IntN(objects/writers)
				err := v.write(t, c, f, i, soft)
				if purges.Add(1); err == nil {
					err = v.read(t, c, f, i)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	t.Logf("%d purges and %d reads in %v, %d validations", purges.Load(), reads.Load(), time.Since(begin), v.validated.Load())
}

// What has been purged is not read any more, at any instance, whatever is on its way meanwhile.
func TestPurgeUnderLoad(t *testing.T) {
	v := new(versions)
	f := startFleet(t, startOrigin(t, v.ServeHTTP))
	v.run(t, f, false)
}

// What has been purged softly is not read without the origin being asked whether it is still so.
func TestSoftPurgeUnderLoad(t *testing.T) {
	v := new(versions)
	o := startOrigin(t, v.ServeHTTP)
	f := startFleet(t, o)
	v.run(t, f, true)

	// And if it is, it is validated, once.
	c := newClient(t)
	if err := f.purge(t.Context(), c, f.all[0], map[string]any{"all": true}); err != nil {
		t.Fatal(err)
	}
	for _, w := range f.all {
		processtest.WaitFor(t, "it to be stored", func() bool {
			a, err := get(t.Context(), c, w.URL+"/object/0")
			return err == nil && strings.HasPrefix(a.from(), "fleetcache; hit")
		})
	}
	before, validated := len(o.requests("GET /object/0")), v.validated.Load()
	if err := f.purge(t.Context(), c, f.all[1], map[string]any{"url": "/object/0", "soft": true}); err != nil {
		t.Fatal(err)
	}
	for i, w := range f.all {
		a, err := get(t.Context(), c, w.URL+"/object/0")
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			a.wantFrom(t, 200, "fwd=stale; fwd-status=304")
		} else if !strings.Contains(a.from(), "; collapsed; ") { // an instance that mirrors what was purged asks its owner for what is better, and says so
			a.wantFrom(t, 200, "hit")
		}
	}
	if n, k := len(o.requests("GET /object/0"))-before, v.validated.Load()-validated; n != 1 || k != 1 {
		t.Errorf("the origin had %d requests, of which %d were validations; want one", n, k)
	}
}
