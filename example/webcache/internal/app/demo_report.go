package app

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A report is what the demo shows: what clients saw, and what the origin saw.
type report struct {
	*result
	fleet      *fleet
	loads      int                  // requests that the origin saw: distinct, reloaded and duplicates together
	distinct   int                  // objects that it was asked for
	duplicates int                  // of these, those that should not have been
	reloaded   int                  // objects that were loaded again because their owner was lost, or replaced
	owned      map[*instance]int    // objects by who loaded them first
	gone       map[string]*instance // instances that were lost, by name
}

func newReport(o *origin, f *fleet, res *result) *report {
	r := &report{result: res, fleet: f, owned: make(map[*instance]int), gone: make(map[string]*instance)}
	byName := make(map[string]*instance)
	for _, in := range f.instances {
		byName[in.name()] = in
		if in.isGone() {
			r.gone[in.name()] = in
		}
	}
	for path, by := range o.loaded() {
		r.loads += len(by)
		r.distinct++
		r.owned[byName[by[0]]]++
		allowed := 1
		// What an owner that was lost knew is lost; who takes over loads it once. Its own request may be seen last. So is what is large, and had
		// a chunk there.
		if slices.ContainsFunc(by, func(name string) bool { return r.gone[name] != nil }) || len(r.gone) > 0 && o.isLarge(path) {
			allowed = 2
			if len(by) > 1 {
				r.reloaded++
			}
		} else if f.replaced > 0 {
			allowed += f.replaced
			r.reloaded += len(by) - 1
		}
		if len(by) > allowed {
			r.duplicates += len(by) - allowed
			r.example = cmp.Or(r.example, fmt.Errorf("%s was loaded by %s", path, strings.Join(by, ", then by ")))
		}
	}
	return r
}

// err returns what is not as it should be.
func (r *report) err() error {
	if r.duplicates+r.errors+r.wrong == 0 {
		return nil
	}
	return fmt.Errorf("%d duplicate loads, %d errors and %d wrong bodies, such as: %w", r.duplicates, r.errors, r.wrong, r.example)
}

func (r *report) print(w io.Writer) {
	all := slices.Concat(r.took[:]...)
	fmt.Fprintf(w, "\n%d requests at %d instances in %.1f s, %.0f a second\n\n", len(all)+r.lost+r.errors+r.wrong, len(r.fleet.instances),
		r.elapsed.Seconds(), float64(len(all))/r.elapsed.Seconds())
	fmt.Fprintf(w, "%-26s%9s %9s %11s %11s\n", "", "requests", "share", "p50", "p99")
	for c, name := range []string{"hits in own memory", "hits at a peer", "misses, from the origin"} {
		printTimes(w, name, r.took[c], len(all))
	}
	printTimes(w, "all", all, len(all))

	count := func(what string, n int, note string) { fmt.Fprintf(w, "%-26s%9d%s\n", what, n, note) }
	fmt.Fprintln(w)
	count("origin loads", r.loads, "")
	count("distinct objects", r.distinct, "")
	if len(r.gone) > 0 {
		count("reloaded objects", r.reloaded, "   once each, after the loss of the instance that owned them")
		count("lost requests", r.lost, "   to the instance that was killed")
	}
	if n := r.fleet.replaced; n > 0 {
		count("replaced instances", n, "   by SIGTERM and a new process")
		count("more loads", r.reloaded, fmt.Sprintf("   %s of the objects; all would be %d", percent(r.reloaded, r.distinct), r.distinct))
	}
	count("duplicate loads", r.duplicates, "   must be 0")
	count("errors", r.errors, "   must be 0")
	count("wrong bodies", r.wrong, "   must be 0")

	total := 0
	for _, n := range r.owned {
		total += n
	}
	fmt.Fprintf(w, "\n%-26s%9s %9s %11s\n", "instance", "requests", "owns", "share")
	for _, in := range r.fleet.instances {
		note := ""
		if r.gone[in.name()] != nil {
			note = "   killed"
		}
		fmt.Fprintf(w, "%-26s%9d %9d %11s%s\n", in.url, r.at[in], r.owned[in], percent(r.owned[in], total), note)
	}
}

// printTimes prints the figures of requests that took so long.
func printTimes(w io.Writer, name string, took []time.Duration, all int) {
	slices.Sort(took)
	at := func(share float64) string {
		if len(took) == 0 {
			return "-"
		}
		return fmt.Sprintf("%.2f ms", took[int(share*float64(len(took)-1))].Seconds()*1000)
	}
	fmt.Fprintf(w, "%-26s%9d %9s %11s %11s\n", name, len(took), percent(len(took), all), at(0.50), at(0.99))
}

func percent(n, all int) string {
	return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(max(all, 1)))
}
