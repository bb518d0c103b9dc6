package kind

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/golang/groupcache"
	pb "github.com/golang/groupcache/groupcachepb"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/payload"
)

// golang/groupcache. Tuned: a Transport of its own with an idle connection for each caller (the default
// keeps 2, and dials for all others), no compression and no proxy; on the server, a cache that holds
// everything; on the client, one of no bytes, so that the hot cache keeps nothing and every call
// crosses. The pool can be made once a process only, that is the package's rule.
var (
	groupcacheHTTP = Kind{
		Name:  "groupcache",
		About: "golang/groupcache: HTTPPool.PickPeer and the ProtoGetter's Get; an idle connection for each caller",
		Serve: serveGroupcache,
		Dial: func(_ context.Context, addr string, _ Setup) (Client, error) {
			return dialGroupcache(addr, func(c *groupClient) Caller { return pickCaller{c} }), nil
		},
	}
	groupcacheGet = Kind{
		Name:  "groupcache-get",
		About: "golang/groupcache: Group.Get without hot cache, so that every call crosses; an idle connection for each caller",
		Serve: serveGroupcache,
		Dial: func(_ context.Context, addr string, _ Setup) (Client, error) {
			return dialGroupcache(addr, func(c *groupClient) Caller { return groupCaller{c.group} }), nil
		},
	}
)

const groupPath = "/_groupcache/"

func serveGroupcache(context.Context, Setup) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	self := "http://" + l.Addr().String()
	pool := groupcache.NewHTTPPoolOpts(self, &groupcache.HTTPPoolOptions{BasePath: groupPath})
	pool.Set(self)
	groupcache.NewGroup(cacheName, heldBytes, groupcache.GetterFunc(
		func(_ context.Context, key string, dest groupcache.Sink) error {
			value, err := payload.Value(key)
			if err != nil {
				return err
			}
			return dest.SetBytes(value)
		}))
	mux := http.NewServeMux()
	mux.Handle(groupPath, pool)
	server := &http.Server{Handler: mux}
	serveHTTP(server, l)
	return &Server{Addr: self, Close: server.Close}, nil
}

type groupClient struct {
	pool      *groupcache.HTTPPool
	group     *groupcache.Group
	transport atomic.Pointer[http.Transport]
	caller    func(*groupClient) Caller
}

func dialGroupcache(addr string, caller func(*groupClient) Caller) Client {
	c := &groupClient{caller: caller}
	c.transport.Store(httpTransport(1))
	c.pool = groupcache.NewHTTPPoolOpts("http://not.a.member", &groupcache.HTTPPoolOptions{BasePath: groupPath})
	c.pool.Transport = func(context.Context) http.RoundTripper { return c.transport.Load() }
	c.pool.Set(addr) // after Transport, which it copies
	c.group = groupcache.NewGroup(cacheName, 0, groupcache.GetterFunc(
		func(context.Context, string, groupcache.Sink) error {
			return errors.New("the server did not answer, and the client was asked to load")
		}))
	return c
}

func (c *groupClient) Callers(n int) ([]Caller, error) {
	c.transport.Swap(httpTransport(n)).CloseIdleConnections()
	return repeat(n, c.caller(c)), nil
}

func (c *groupClient) Close() error {
	c.transport.Load().CloseIdleConnections()
	return nil
}

// A pickCaller goes as far as the HTTPPool, as Group.Get does inside.
type pickCaller struct{ *groupClient }

func (c pickCaller) Get(ctx context.Context, key string) ([]byte, error) {
	peer, ok := c.pool.PickPeer(key)
	if !ok {
		return nil, errors.New("the pool has no peer for the key")
	}
	group := cacheName
	var resp pb.GetResponse
	if err := peer.Get(ctx, &pb.GetRequest{Group: &group, Key: &key}, &resp); err != nil {
		return nil, err
	}
	return resp.Value, nil
}

type groupCaller struct{ group *groupcache.Group }

func (c groupCaller) Get(ctx context.Context, key string) (value []byte, err error) {
	err = c.group.Get(ctx, key, groupcache.AllocatingByteSliceSink(&value))
	return value, err
}

// repeat returns c n times, for clients whose callers have nothing of their own.
func repeat(n int, c Caller) []Caller {
	callers := make([]Caller, n)
	for i := range callers {
		callers[i] = c
	}
	return callers
}
