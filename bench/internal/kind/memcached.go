package kind

import (
	"context"
	"os/user"
	"runtime"
	"strconv"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
)

// memcached by bradfitz/gomemcache. Tuned: an idle connection for each caller (the default keeps 2), a thread for each
// core, memory for everything, a client that is told one address.
var memcached = Kind{
	Name:  "memcached",
	About: "memcached by gomemcache: an idle connection for each caller, a server thread for each core",
	Needs: "memcached",
	Serve: func(ctx context.Context, _ Setup) (*Server, error) {
		who, err := user.Current()
		if err != nil {
			return nil, err
		}
		return startExternal(ctx, "memcached", func(port string) []string {
			return []string{
				"-l", "127.0.0.1", "-p", port, "-U", "0",
				"-u", who.Username, // root must say so
				"-m", "1024", "-c", "4096", "-t", strconv.Itoa(runtime.NumCPU()),
			}
		})
	},
	Dial: func(_ context.Context, addr string, _ Setup) (Client, error) {
		return &memcachedClient{addr: addr}, nil
	},
}

type memcachedClient struct {
	addr string
	c    *memcache.Client
}

func (c *memcachedClient) Callers(n int) ([]Caller, error) {
	if err := c.Close(); err != nil {
		return nil, err
	}
	c.c = memcache.New(c.addr)
	c.c.MaxIdleConns = n
	c.c.Timeout = 10 * time.Second
	return repeat(n, memcachedCaller{c.c}), nil
}

func (c *memcachedClient) Close() error {
	if c.c == nil {
		return nil
	}
	return c.c.Close()
}

// A memcachedCaller does not heed contexts, since its client does not: its Timeout bounds each call.
type memcachedCaller struct{ c *memcache.Client }

func (c memcachedCaller) Get(_ context.Context, key string) ([]byte, error) {
	item, err := c.c.Get(key)
	if err != nil {
		return nil, err
	}
	return item.Value, nil
}

func (c memcachedCaller) Store(_ context.Context, key string, value []byte) error {
	return c.c.Set(&memcache.Item{Key: key, Value: value})
}
