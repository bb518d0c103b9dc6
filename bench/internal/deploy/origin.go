package deploy

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// loadTakes is how long the origin takes for a load.
	loadTakes = 5 * time.Millisecond

	valueBytes = 256

	ttlHeader = "TTL" // of a value, in nanoseconds
)

// An origin is what all ways load from: it is in the process that measures, so that what it counts outlives who asked.
type origin struct {
	url    string
	server *http.Server
	ttl    time.Duration
	begun  time.Time

	// mu guards what follows.
	mu    sync.Mutex
	until map[string]time.Time // when what was loaded of a way's key is over
	loads map[string][]loaded  // by way
}

// A loaded is a load that the origin was asked for.
type loaded struct {
	at    time.Duration // since the origin began
	again bool          // what was loaded before was far from over
}

func newOrigin(ttl time.Duration) (*origin, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o := &origin{
		url: "http://" + l.Addr().String(), ttl: ttl, begun: time.Now(),
		until: make(map[string]time.Time), loads: make(map[string][]loaded),
	}
	o.server = &http.Server{Handler: o}
	go func() { _ = o.server.Serve(l) }() // the error is that it was closed
	return o, nil
}

func (o *origin) close() error { return o.server.Close() }

func (o *origin) now() time.Duration { return time.Since(o.begun) }

// ServeHTTP answers a load of /way/key.
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	way, _, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if !ok {
		http.NotFound(w, r)
		return
	}
	ttl := o.count(way, r.URL.Path)
	time.Sleep(loadTakes)
	w.Header().Set(ttlHeader, strconv.FormatInt(int64(ttl), 10))
	_, _ = w.Write(make([]byte, valueBytes)) // who has gone needs no answer
}

// count notes a load, and returns the TTL of its value. All values are loaded for the first time within moments, and would
// all be over at one moment, too, again and again: so the first TTL of each is a random part of it.
func (o *origin) count(way, path string) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	now, ttl := time.Now(), o.ttl
	until, known := o.until[path]
	if !known && now.Sub(o.begun) < o.ttl {
		ttl = max(time.Duration(rand.Float64()*float64(ttl)), time.Millisecond)
	}
	o.until[path] = now.Add(ttl)
	o.loads[way] = append(o.loads[way], loaded{now.Sub(o.begun), until.Sub(now) > o.ttl/20})
	return ttl
}

// between returns the loads of a way from one time to another.
func (o *origin) between(way string, from, to time.Duration) []loaded {
	o.mu.Lock()
	defer o.mu.Unlock()
	var found []loaded
	for _, l := range o.loads[way] {
		if l.at >= from && l.at < to {
			found = append(found, l)
		}
	}
	return found
}

// A source is how a process loads from an origin.
type source struct {
	client *http.Client
	url    string
}

func newSource(url string) *source {
	return &source{&http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}, url}
}

func (s *source) load(ctx context.Context, way, key string) (value []byte, ttl time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/"+way+"/"+key, nil)
	if err != nil {
		return nil, 0, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("the origin answers %s", resp.Status)
	}
	ns, err := strconv.ParseInt(resp.Header.Get(ttlHeader), 10, 64)
	if err != nil {
		return nil, 0, err
	}
	value, err = io.ReadAll(resp.Body)
	return value, time.Duration(ns), err
}
