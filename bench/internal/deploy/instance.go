package deploy

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang/groupcache"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers"
)

const (
	groupPath   = "/_groupcache/"
	callersPath = "/callers"

	getTimeout = 5 * time.Second
)

var secret = []byte("the secret of a fleet in change")

// An instance is a process's part of each way.
type instance struct {
	url     string
	server  *http.Server
	pool    *peers.Pool
	cache   *cache.Cache[string, []byte]
	group   *groupcache.HTTPPool
	ways    []way
	callers sync.WaitGroup
}

// A way is one that this instance has of getting values.
type way struct {
	name          string
	get           func(ctx context.Context, key int) error
	asked, failed atomic.Int64
	err           atomic.Pointer[error] // the last one
}

// A Setup is what a process is told when it begins. Members are those that are there, without itself.
type Setup struct {
	TTL     time.Duration
	Origin  string
	Members []string
}

func newInstance(s Setup) (_ *instance, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	in := &instance{url: "http://" + l.Addr().String()}
	in.group = groupcache.NewHTTPPoolOpts(in.url, &groupcache.HTTPPoolOptions{BasePath: groupPath})
	transport := &http.Transport{MaxIdleConnsPerHost: 64} // the default keeps two connections, and makes one for each other call
	in.group.Transport = func(context.Context) http.RoundTripper { return transport }
	if in.pool, err = peers.New(peers.Config{Self: in.url, Secret: secret}); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	from := newSource(s.Origin)
	if err := in.addCache(s.TTL, from); err != nil {
		return nil, errors.Join(err, l.Close(), in.pool.Close())
	}
	in.addGroup(s.TTL, from)
	mux := http.NewServeMux()
	mux.Handle(peers.DefaultPath, in.pool)
	mux.Handle(groupPath, in.group)
	mux.HandleFunc(callersPath, in.serveCallers)
	in.server = &http.Server{Handler: mux}
	go func() { _ = in.server.Serve(l) }() // the error is that it was closed
	if err := in.Join(context.Background(), append(s.Members, in.url)); err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return in, nil
}

func keyName(key int) string { return fmt.Sprint("key-", key) }

func (in *instance) addCache(ttl time.Duration, from *source) (err error) {
	in.cache, err = cache.New(cache.Config[string, []byte]{
		Name: cacheWay, TTL: ttl, Peers: in.pool,
		Load: func(ctx context.Context, key string) (cache.Entry[[]byte], error) {
			value, ttl, err := from.load(ctx, cacheWay, key)
			return cache.Entry[[]byte]{Value: value, TTL: ttl}, err
		},
	})
	in.ways = append(in.ways, way{name: cacheWay, get: func(ctx context.Context, key int) error {
		_, err := in.cache.Get(ctx, keyName(key))
		return err
	}})
	return err
}

// addGroup adds golang/groupcache, which has no TTL. The number of the TTL is a part of the key, as its users help themselves; it
// changes for each key at another moment.
func (in *instance) addGroup(ttl time.Duration, from *source) {
	group := groupcache.NewGroup(groupWay, cache.DefaultMaxBytes, groupcache.GetterFunc(
		func(ctx context.Context, key string, dest groupcache.Sink) error {
			value, _, err := from.load(ctx, groupWay, key)
			if err != nil {
				return err
			}
			return dest.SetBytes(value)
		}))
	in.ways = append(in.ways, way{name: groupWay, get: func(ctx context.Context, key int) error {
		_, phase := math.Modf(float64(key) * math.Phi)
		number := (time.Now().UnixNano() + int64(phase*float64(ttl))) / int64(ttl)
		var value []byte
		return group.Get(ctx, fmt.Sprint(keyName(key), "@", number), groupcache.AllocatingByteSliceSink(&value))
	}})
}

// serveCallers has callers come, one for each of the keys in the body: they get it by every way.
func (in *instance) serveCallers(w http.ResponseWriter, r *http.Request) {
	keys, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for ; len(keys) >= 4; keys = keys[4:] {
		key := int(binary.LittleEndian.Uint32(keys))
		for i := range in.ways {
			in.callers.Go(func() { in.ways[i].call(key) })
		}
	}
}

func (w *way) call(key int) {
	ctx, cancel := context.WithTimeout(context.Background(), getTimeout)
	defer cancel()
	w.asked.Add(1)
	if err := w.get(ctx, key); err != nil {
		w.failed.Add(1)
		w.err.Store(&err)
	}
}

// URL implements process.Instance, as do Join and Close.
func (in *instance) URL() string { return in.url }

// Join makes urls the members.
func (in *instance) Join(_ context.Context, urls []string) error {
	in.group.Set(urls...)
	return in.pool.Set(process.Members(urls)...)
}

// A Count is what came of one way's callers.
type Count struct {
	Asked, Failed int64
	Error         string // why one of them failed
}

func (c *Count) add(d Count) {
	c.Asked, c.Failed = c.Asked+d.Asked, c.Failed+d.Failed
	c.Error = cmp.Or(c.Error, d.Error)
}

// leave waits for the callers, of whom no more come, and returns what came of all.
func (in *instance) leave() map[string]Count {
	in.callers.Wait()
	counts := make(map[string]Count)
	for i := range in.ways {
		w := &in.ways[i]
		c := Count{Asked: w.asked.Load(), Failed: w.failed.Load()}
		if err := w.err.Load(); err != nil {
			c.Error = (*err).Error()
		}
		counts[w.name] = c
	}
	return counts
}

// Close ends the instance.
func (in *instance) Close() error {
	return errors.Join(in.server.Close(), in.cache.Close(), in.pool.Close())
}
