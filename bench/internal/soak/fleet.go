package soak

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers"
)

const (
	instances   = 3
	maxBytes    = 64 << 20 // of each cache, far less than all values together
	loadTimeout = 5 * time.Second
)

// An instance is a service with one cache.
type instance struct {
	proxy  *proxy
	server *http.Server
	served sync.WaitGroup
	pool   *peers.Pool
	cache  *cache.Cache[string, []byte]
}

// A fleet is three instances in this process, that reach each other through proxies alone.
type fleet struct {
	members []*instance
	calm    context.CancelFunc // ends what the proxies do to connections
}

func newFleet(seed uint64, count *counts) (_ *fleet, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	f := &fleet{calm: cancel}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	var members []peers.Member
	for i := range instances {
		in := &instance{}
		f.members = append(f.members, in)
		if err := in.start(ctx, rand.New(rand.NewPCG(seed, uint64(i))), count); err != nil {
			return nil, err
		}
		members = append(members, peers.Member{URL: in.pool.Self()})
	}
	for _, in := range f.members {
		if err := in.pool.Set(members...); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (in *instance) start(ctx context.Context, rng *rand.Rand, count *counts) (err error) {
	if in.proxy, err = listenProxy(count, rng); err != nil {
		return err
	}
	in.pool, err = peers.New(peers.Config{
		Self:   "http://" + in.proxy.addr(),
		Secret: []byte("the secret of the fleet that is soaked"),
	})
	if err != nil {
		return err
	}
	in.cache, err = cache.New(cache.Config[string, []byte]{
		Name:        "soak",
		Load:        cache.LoadFunc(count.load),
		TTL:         2 * time.Second,
		Stale:       time.Second,
		MirrorTTL:   500 * time.Millisecond,
		LoadTimeout: loadTimeout,
		MaxBytes:    maxBytes,
		Peers:       in.pool,
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle(peers.DefaultPath, in.pool)
	in.server = &http.Server{Handler: mux}
	in.served.Go(func() { _ = in.server.Serve(l) }) // until it is shut down
	in.proxy.start(ctx, l.Addr().String())
	return nil
}

// load is the loader: it takes a moment, and now and then a while.
func (c *counts) load(ctx context.Context, key string) ([]byte, error) {
	c.loads.Add(1)
	wait := time.Duration(rand.Int64N(int64(3 * time.Millisecond)))
	if rand.IntN(50) == 0 {
		wait = 50*time.Millisecond + 80*wait
	}
	if !pause(ctx.Done(), wait) {
		return nil, context.Cause(ctx)
	}
	return makeValue(key, rand.Uint64()), nil
}

// close ends the fleet as a service ends: server, cache, pool, one instance after the other. The network comes last.
func (f *fleet) close() error {
	f.calm()
	var errs []error
	for _, in := range f.members {
		errs = append(errs, in.close())
	}
	for _, in := range f.members {
		if in.proxy != nil {
			in.proxy.close()
		}
	}
	return errors.Join(errs...)
}

func (in *instance) close() error {
	var errs []error
	if in.server != nil {
		// All calls have returned. What is left are connections that were never used.
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		if err := in.server.Shutdown(ctx); err != nil {
			errs = append(errs, in.server.Close())
		}
		in.served.Wait()
	}
	if in.cache != nil {
		errs = append(errs, in.cache.Close())
	}
	if in.pool != nil {
		errs = append(errs, in.pool.Close())
	}
	return errors.Join(errs...)
}
