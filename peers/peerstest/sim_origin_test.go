package peerstest_test

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// simOrigin has a version of each key. Its values name the key, the version, and the load.
type simOrigin struct {
	takes time.Duration

	// mu guards what follows.
	mu       sync.Mutex
	versions map[string]int
	running  map[string]int
	loads    map[string]int // that were not cancelled, and how many ran beside another one
	ended    []time.Time    // of a load, by its number
}

func newSimOrigin() *simOrigin {
	return &simOrigin{versions: make(map[string]int), running: make(map[string]int), loads: make(map[string]int)}
}

// load reads the version first, and takes its time afterwards: so it is as old as it can be when it is returned.
func (o *simOrigin) load(ctx context.Context, by, key string) (string, error) {
	o.mu.Lock()
	if o.running[key]++; o.running[key] > 1 {
		o.loads[key]++
	}
	version := o.versions[key]
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.running[key]--
	}()
	select {
	case <-time.After(o.takes):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.loads[key]++
	o.ended = append(o.ended, time.Now())
	return formatValue(key, version, len(o.ended)-1, by), nil
}

func formatValue(key string, version, load int, by string) string {
	return fmt.Sprintf("%s %d %d %s", key, version, load, by)
}

// write makes a new version of key.
func (o *simOrigin) write(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.versions[key]++
	return o.versions[key]
}

// set is what a Set of the newest version of key gives.
func (o *simOrigin) set(key string, version int, by string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = append(o.ended, time.Now())
	return formatValue(key, version, len(o.ended)-1, by)
}

// endOf returns when a load ended.
func (o *simOrigin) endOf(load int) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ended[load]
}

func parseValue(value string) (key string, version, load int) {
	var by string
	if _, err := fmt.Sscan(value, &key, &version, &load, &by); err != nil {
		return "", -1, 0
	}
	return key, version, load
}
