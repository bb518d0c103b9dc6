//go:build linux

package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	workers     = 8
	objectCount = 60

	// pace is how long a worker pauses after a request, on the average.
	pace = 8 * time.Millisecond
)

// A world is a fleet with clients.
type world struct {
	t       *testing.T
	origin  *origin
	fleet   *fleet
	history *history
	paths   []string

	asked    atomic.Pointer[[]*instance] // those that clients turn to
	quiet    atomic.Bool                 // nobody writes
	writing  atomic.Int64                // writes under way
	stop     chan struct{}
	stopOnce sync.Once
	clients  sync.WaitGroup
}

// newWorld returns a world with a fleet that has all objects in its memory.
func newWorld(t *testing.T) (*world, []*instance) {
	t.Helper()
	o := startOrigin(t)
	w := &world{t: t, origin: o, fleet: newFleet(t, o), history: newHistory(), stop: make(chan struct{})}
	for i := range objectCount {
		w.paths = append(w.paths, fmt.Sprintf("/object/%d", i))
	}
	all := w.fleet.startAll()
	t.Cleanup(w.end) // before the instances end
	w.ask(all...)
	since := w.tally()
	var fill sync.WaitGroup
	for _, in := range all {
		fill.Go(func() {
			for _, path := range w.paths {
				w.do(in, "GET", path)
			}
		})
	}
	fill.Wait()
	w.once(w.paths, 1, since)
	return w, all
}

// ask makes instances those that clients turn to from now on.
func (w *world) ask(all ...*instance) {
	all = slices.Clone(all)
	w.asked.Store(&all)
}

// load has clients send requests until the test's end, or calm is called.
func (w *world) load() {
	for i := range workers {
		rng := rand.New(rand.NewPCG(uint64(i), 1))
		w.clients.Go(func() {
			for {
				select {
				case <-w.stop:
					return
				case <-time.After(time.Duration(rng.Int64N(int64(2 * pace)))):
				}
				all := *w.asked.Load()
				method := "GET"
				if !w.quiet.Load() && rng.IntN(8) == 0 {
					method = []string{"PUT", "POST"}[rng.IntN(2)]
				}
				w.do(all[rng.IntN(len(all))], method, w.paths[rng.IntN(len(w.paths))])
			}
		})
	}
}

// end ends what load began.
func (w *world) end() {
	w.stopOnce.Do(func() { close(w.stop) })
	w.clients.Wait()
}

// calm ends what load began, and tells what was wrong.
func (w *world) calm() {
	w.t.Helper()
	w.end()
	h := w.history
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, v := range h.violations {
		w.t.Error(v)
	}
	w.t.Logf("%d GETs and %d writes\n\t%s", h.gets, h.puts, strings.Join(h.events, "\n\t"))
}

// do sends a request, and checks its answer.
func (w *world) do(in *instance, method, path string) *answer {
	if method != "GET" {
		w.writing.Add(1)
		defer w.writing.Add(-1)
		if w.quiet.Load() {
			return nil
		}
	}
	p := w.history.begin(in, method, path)
	a := w.send(p)
	w.history.end(p, a, w.origin.latest(path))
	return a
}

func (w *world) send(p *op) *answer {
	req, err := http.NewRequest(p.method, p.in.url+p.path, nil)
	if err != nil {
		return &answer{err: err}
	}
	resp, err := p.in.client.Do(req)
	if err != nil {
		return &answer{err: err}
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, from: resp.Header.Get("Cache-Status")}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		a.err = err
		return a
	}
	a.path, _, _ = strings.Cut(string(body), " ")
	a.version, _ = strconv.Atoi(resp.Header.Get("X-Version"))
	return a
}

// happens notes that the fleet is cut, by do.
func (w *world) happens(what string, c *cut, do func()) {
	w.history.event(what, c, false)
	do()
}

// heals notes that a cut is healed, by do, and waits until the fleet, which is all, has settled.
func (w *world) heals(what string, all []*instance, do func() []*instance) []*instance {
	w.t.Helper()
	w.history.event(what, nil, true)
	if do != nil {
		all = do()
	}
	w.quiet.Store(true)
	defer w.quiet.Store(false)
	for w.writing.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
	begin := time.Now()
	w.fleet.await(all)
	ready := time.Since(begin)
	least := w.history.acked()
	for _, in := range all {
		for path, version := range least {
			for tries := 0; ; tries++ {
				p := w.history.begin(in, "GET", path)
				a := w.send(p)
				if w.history.end(p, a, w.origin.latest(path)); a.err == nil && a.status == 200 && a.version >= version {
					if tries > 0 {
						w.history.note(fmt.Sprintf("%v has version %d of %s now, %d tries after the fleet was ready", in, version, path, tries))
					}
					break
				}
				if tries == 0 {
					w.history.note(fmt.Sprintf("%v has version %d of %s still; %d was acknowledged: %s", in, a.version, path, version, a.from))
				}
				if time.Since(begin) > settleTime {
					w.t.Fatalf("%v after %s, %v has version %d of %s, %q; %d was acknowledged: %v\n%s", time.Since(begin), what, in, a.version, path, a.from, version, a.err, w.about(all, path))
				}
				time.Sleep(5 * time.Millisecond)
			}
		}
	}
	w.history.settle(least)
	w.history.event(fmt.Sprintf("settled (ready after %v, converged after %v)", ready.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond)), nil, false)
	w.ask(all...)
	return all
}

// about returns what each instance answers for an object now, and what was seen of that.
func (w *world) about(all []*instance, path string) string {
	var b strings.Builder
	for _, in := range all {
		a := w.send(&op{in: in, method: "GET", path: path})
		fmt.Fprintf(&b, "\t%v has version %d, %v, %s\n", in, a.version, a.err, a.from)
	}
	h := w.history
	h.mu.Lock()
	defer h.mu.Unlock()
	log := h.object(path).log
	fmt.Fprintf(&b, "the fleet:\n\t%s\nthe object, in the end of %d:\n", strings.Join(h.events, "\n\t"), len(log))
	last := ""
	for _, line := range log {
		_, what, _ := strings.Cut(line, " ") // without its times
		if what != last {
			fmt.Fprintf(&b, "\t%s\n", line)
		}
		last = what
	}
	return b.String()
}

// A tally is how often objects were loaded and written at a time.
type tally struct {
	loads, writes map[string]int // by path
	suspected     int            // how often instances were taken for dead
}

func (w *world) tally() tally {
	return tally{w.origin.loadsOf(w.paths), w.history.writesOf(w.paths), w.fleet.suspected()}
}

// once checks that paths were loaded at most so often since then, and once more for each write. It does not if instances, but for some, were taken for dead meanwhile.
func (w *world) once(paths []string, most int, since tally, but ...*instance) {
	w.t.Helper()
	writes := w.history.writesOf(paths)
	var wrong []string
	for path, n := range w.origin.loadsOf(paths) {
		if n, written := n-since.loads[path], writes[path]-since.writes[path]; n > most+written {
			wrong = append(wrong, fmt.Sprintf("%s was loaded %d times, and written %d times; %d loads and one for each write would do", path, n, written, most))
		}
	}
	tell := w.t.Error
	if w.fleet.suspected(but...) > since.suspected {
		tell = func(args ...any) {
			w.t.Log("instances were taken for dead meanwhile, so this counts for nothing:", fmt.Sprint(args...))
		}
	}
	for _, what := range wrong {
		tell(what)
	}
}

// stable checks for a while that nothing is loaded twice while the membership is stable, under load.
func (w *world) stable(d time.Duration) {
	w.t.Helper()
	since := w.tally()
	time.Sleep(d)
	w.once(w.paths, 1, since)
	w.history.mu.Lock()
	defer w.history.mu.Unlock()
	if n := len(w.history.violations); n > 0 {
		w.t.Logf("%d violations so far", n)
	}
}
