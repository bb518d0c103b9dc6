package stampede

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/golang/groupcache"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers"
)

const groupPath = "/_groupcache/"

var secret = []byte("the secret of a fleet of ten")

// An instance is a process's part of each way.
type instance struct {
	url    string
	server *http.Server
	pool   *peers.Pool
	group  *groupcache.HTTPPool
	caches []*cache.Cache[string, []byte]
	ways   []way
}

// A way is one that this instance has of getting values.
type way struct {
	name string
	get  func(ctx context.Context, key string) ([]byte, error)
	*origin
}

// An origin takes its time, and counts the loads of one way here. A value is the moment at which its load ended.
type origin struct {
	takes time.Duration
	loads atomic.Int64
}

func (o *origin) load(ctx context.Context, _ string) ([]byte, error) {
	o.loads.Add(1)
	select {
	case <-time.After(o.takes):
		return binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano())), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// loadedAt returns the moment at which a value's load ended.
func loadedAt(value []byte) (time.Time, error) {
	if len(value) != 8 {
		return time.Time{}, fmt.Errorf("a value has %d bytes, want 8", len(value))
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(value))), nil
}

func newInstance(ttl time.Duration) (_ *instance, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	in := &instance{url: "http://" + l.Addr().String()}
	in.group = groupcache.NewHTTPPoolOpts(in.url, &groupcache.HTTPPoolOptions{BasePath: groupPath})
	if in.pool, err = peers.New(peers.Config{Self: in.url, Secret: secret}); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	mux := http.NewServeMux()
	mux.Handle(peers.DefaultPath, in.pool)
	mux.Handle(groupPath, in.group)
	in.server = &http.Server{Handler: mux}
	go func() { _ = in.server.Serve(l) }() // the error is that it was closed

	for _, stale := range []time.Duration{0, ttl} {
		if err := in.addCache(ttl, stale); err != nil {
			return nil, errors.Join(err, in.Close())
		}
	}
	in.addGroup(ttl)
	in.add(onceWay, func(o *origin) getter { return newOnce(ttl, o).get })
	in.add(asideWay, func(o *origin) getter { return newAside(ttl, o).get })
	for i := range in.ways {
		in.ways[i].takes = ttl / loadShare
	}
	return in, nil
}

type getter = func(ctx context.Context, key string) ([]byte, error)

func (in *instance) add(name string, open func(o *origin) getter) {
	o := new(origin)
	in.ways = append(in.ways, way{name, open(o), o})
}

func (in *instance) addCache(ttl, stale time.Duration) error {
	name := cacheWay
	if stale > 0 {
		name = staleWay
	}
	o := new(origin)
	c, err := cache.New(cache.Config[string, []byte]{Name: name, TTL: ttl, Stale: stale, Peers: in.pool, Load: cache.LoadFunc(o.load)})
	if err != nil {
		return err
	}
	in.caches = append(in.caches, c)
	in.ways = append(in.ways, way{name, c.Get, o})
	return nil
}

func (in *instance) addGroup(ttl time.Duration) {
	in.add(groupWay, func(o *origin) getter {
		group := groupcache.NewGroup(groupWay, cache.DefaultMaxBytes, groupcache.GetterFunc(
			func(ctx context.Context, key string, dest groupcache.Sink) error {
				value, err := o.load(ctx, key)
				if err != nil {
					return err
				}
				return dest.SetBytes(value)
			}))
		return func(ctx context.Context, key string) (value []byte, err error) {
			key = fmt.Sprint(key, "@", time.Now().UnixNano()/int64(ttl))
			err = group.Get(ctx, key, groupcache.AllocatingByteSliceSink(&value))
			return value, err
		}
	})
}

// URL implements process.Instance, as do Join and Close.
func (in *instance) URL() string { return in.url }

// Join makes urls the members, and returns when this instance shares what it gets with them.
func (in *instance) Join(ctx context.Context, urls []string) error {
	in.group.Set(urls...)
	if err := in.pool.Set(process.Members(urls)...); err != nil {
		return err
	}
	for range in.pool.Former("key") { // which takes its time when it is asked first
		break
	}
	for _, c := range in.caches { // which share nothing before that
		if err := process.AwaitJoin(ctx, func() bool { return !c.Stats().Joining }); err != nil {
			return err
		}
	}
	return nil
}

// Close ends the instance.
func (in *instance) Close() error {
	errs := []error{in.server.Close()}
	for _, c := range in.caches {
		errs = append(errs, c.Close())
	}
	return errors.Join(append(errs, in.pool.Close())...)
}
