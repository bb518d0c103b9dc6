package cache_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// fleet is instances that share one cache of strings, and their origin.
type fleet struct {
	*peerstest.Fleet
	t      *testing.T
	origin *origin
	caches []*cache.Cache[string, string]

	restarts sync.Mutex // of one instance at a time; nothing waits under it
}

type config = cache.Config[string, string]

// inFleet runs test in a bubble with a fleet of n instances whose configs change has had its way with.
func inFleet(t *testing.T, n int, change func(i int, c *config), test func(f *fleet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{Fleet: peerstest.NewFleet(n), t: t, origin: newOrigin()}
		for i := range n {
			f.caches = append(f.caches, f.newCache(i, change))
		}
		synctest.Wait()
		test(f)
		for i, c := range f.caches {
			if err := c.Close(); err != nil {
				t.Errorf("Close of %d: %v", i, err)
			}
		}
	})
}

func (f *fleet) newCache(i int, change func(i int, c *config)) *cache.Cache[string, string] {
	f.t.Helper()
	c := config{
		Name:  "test",
		Peers: f.Instance(i),
		Load: func(ctx context.Context, key string) (cache.Entry[string], error) {
			v, err := f.origin.load(ctx, i, key)
			return cache.Entry[string]{Value: v, Tags: []string{"all", fmt.Sprintf("tag of %.100s", key)}}, err
		},
	}
	if change != nil {
		change(i, &c)
	}
	made, err := cache.New(c)
	if err != nil {
		f.t.Fatal(err)
	}
	return made
}

// ownedBy returns a key whose owner, and those who take over from it, are the instances given, in turn.
func (f *fleet) ownedBy(order ...int) string {
	f.t.Helper()
	for n := range 100_000 {
		key := "key-" + strconv.Itoa(n)
		if owners := f.owners(key); len(owners) >= len(order) && fmt.Sprint(owners[:len(order)]) == fmt.Sprint(order) {
			return key
		}
	}
	f.t.Fatalf("no key is owned by %v", order)
	return ""
}

// owners returns the instances in the order in which instance 0 asks them for key.
func (f *fleet) owners(key string) []int {
	var owners []int
	for p := range f.Instance(0).Owners(key) {
		i := 0
		for p != nil && (i == 0 || p != f.Instance(0).Peer(i)) {
			i++
		}
		owners = append(owners, i)
	}
	return owners
}

// get gets key at instance i, which must succeed.
func (f *fleet) get(i int, key string) string {
	f.t.Helper()
	v, err := f.caches[i].Get(f.t.Context(), key)
	if err != nil {
		f.t.Errorf("Get(%q) at %d: %v", key, i, err)
	}
	return v
}

// mirror gets key at instance i as often as it takes to be mirrored there.
func (f *fleet) mirror(i int, key string) {
	f.t.Helper()
	for range 3 {
		f.get(i, key)
	}
	if _, ok := f.caches[i].Peek(key); !ok {
		f.t.Errorf("%q is not mirrored at %d", key, i)
	}
}

func (f *fleet) remove(i int, key string) {
	f.t.Helper()
	if err := f.caches[i].Remove(f.t.Context(), key); err != nil {
		f.t.Errorf("Remove(%q) at %d: %v", key, i, err)
	}
}

// loads fails the test unless key was loaded n times.
func (f *fleet) loads(key string, n int) {
	f.t.Helper()
	if got := f.origin.loads(key); got != n {
		f.t.Errorf("%q was loaded %d times, want %d", key, got, n)
	}
}

// origin has a version of every key, which its values name.
type origin struct {
	// mu guards everything below.
	mu       sync.Mutex
	versions map[string]int
	count    map[string]int
	by       map[string][]int // which instances loaded a key
	running  map[string]int
	overlaps []string // keys of which two loads ran at a time
	delay    func(key string) time.Duration
	fail     func(key string) error
}

func newOrigin() *origin {
	return &origin{versions: make(map[string]int), count: make(map[string]int), by: make(map[string][]int), running: make(map[string]int)}
}

// load reads the version first, and takes its time afterwards: so it is as old as it can be when it is returned.
func (o *origin) load(ctx context.Context, instance int, key string) (string, error) {
	o.mu.Lock()
	o.count[key]++
	o.by[key] = append(o.by[key], instance)
	o.running[key]++
	if o.running[key] > 1 {
		o.overlaps = append(o.overlaps, key)
	}
	v := fmt.Sprintf("%s@%d", key, o.versions[key])
	delay, fail := o.delay, o.fail
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.running[key]--
	}()
	if delay != nil {
		if d := delay(key); d > 0 {
			select {
			case <-time.After(d):
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
	}
	if fail != nil {
		if err := fail(key); err != nil {
			return "", err
		}
	}
	return v, nil
}

// takes makes every load take d.
func (o *origin) takes(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.delay = func(string) time.Duration { return d }
}

func (o *origin) fails(fail func(key string) error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail = fail
}

func (o *origin) loads(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.count[key]
}

func (o *origin) loadedBy(key string) []int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]int(nil), o.by[key]...)
}

// write makes a new version of key and returns its value.
func (o *origin) write(key string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.versions[key]++
	return fmt.Sprintf("%s@%d", key, o.versions[key])
}

func (o *origin) value(key string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return fmt.Sprintf("%s@%d", key, o.versions[key])
}

// version returns the version that a value names.
func version(value string) int {
	_, v, _ := strings.Cut(value, "@")
	n, err := strconv.Atoi(v)
	if err != nil {
		return -1
	}
	return n
}
