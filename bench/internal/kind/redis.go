package kind

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

// Redis, without persistence, by two clients.
var (
	// rueidis puts the commands of all callers on one connection. Tuned: with more than one caller, writes wait
	// 20 us for more commands, as its documentation proposes; with one, none is waited for; no cache in
	// the client, and larger buffers.
	redisRueidis = Kind{
		Name:  "rueidis",
		About: "Redis by rueidis: one connection, flushes delayed by 20 us with more than one caller, no cache in the client, buffers of 1 MiB",
		Needs: "redis-server",
		Many:  true,
		Serve: serveRedis,
		Dial: func(_ context.Context, addr string, _ Setup) (Client, error) {
			return &rueidisClient{addr: addr}, nil
		},
	}
	// go-redis has a connection for each caller. Tuned: as many in the pool as there are callers, no retries.
	redisGo = Kind{
		Name:  "goredis",
		About: "Redis by go-redis: a pooled connection for each caller, no retries",
		Needs: "redis-server",
		Serve: serveRedis,
		Dial: func(_ context.Context, addr string, _ Setup) (Client, error) {
			return &goredisClient{addr: addr}, nil
		},
	}
)

func serveRedis(ctx context.Context, _ Setup) (*Server, error) {
	return startExternal(ctx, "redis-server", func(port string) []string {
		return []string{
			"--bind", "127.0.0.1", "--port", port,
			"--save", "", "--appendonly", "no", "--dir", os.TempDir(),
			"--maxclients", "4096",
		}
	})
}

type rueidisClient struct {
	addr string
	c    rueidis.Client
}

func (c *rueidisClient) Callers(n int) ([]Caller, error) {
	if err := c.Close(); err != nil {
		return nil, err
	}
	opt := rueidis.ClientOption{
		InitAddress:         []string{c.addr},
		ForceSingleClient:   true,
		PipelineMultiplex:   -1, // one connection
		DisableCache:        true,
		DisableRetry:        true,
		ReadBufferEachConn:  1 << 20,
		WriteBufferEachConn: 1 << 20,
	}
	if n > 1 {
		opt.MaxFlushDelay = 20 * time.Microsecond
	}
	var err error
	if c.c, err = rueidis.NewClient(opt); err != nil {
		return nil, err
	}
	return repeat(n, rueidisCaller{c.c}), nil
}

func (c *rueidisClient) Close() error {
	if c.c != nil {
		c.c.Close()
	}
	return nil
}

type rueidisCaller struct{ c rueidis.Client }

func (c rueidisCaller) Get(ctx context.Context, key string) ([]byte, error) {
	return c.c.Do(ctx, c.c.B().Get().Key(key).Build()).AsBytes()
}

func (c rueidisCaller) GetMany(ctx context.Context, keys []string, got func(i int, value []byte) error) error {
	values, err := c.c.Do(ctx, c.c.B().Mget().Key(keys...).Build()).ToArray()
	if err != nil {
		return err
	}
	if len(values) != len(keys) {
		return errors.New("MGET returned another number of values than keys")
	}
	for i := range values {
		value, err := values[i].AsBytes()
		if err != nil {
			return err
		}
		if err := got(i, value); err != nil {
			return err
		}
	}
	return nil
}

func (c rueidisCaller) Store(ctx context.Context, key string, value []byte) error {
	return c.c.Do(ctx, c.c.B().Set().Key(key).Value(rueidis.BinaryString(value)).Build()).Error()
}

type goredisClient struct {
	addr string
	c    *redis.Client
}

func (c *goredisClient) Callers(n int) ([]Caller, error) {
	if err := c.Close(); err != nil {
		return nil, err
	}
	c.c = redis.NewClient(&redis.Options{Addr: c.addr, PoolSize: n, MaxRetries: -1})
	return repeat(n, goredisCaller{c.c}), nil
}

func (c *goredisClient) Close() error {
	if c.c == nil {
		return nil
	}
	return c.c.Close()
}

type goredisCaller struct{ c *redis.Client }

func (c goredisCaller) Get(ctx context.Context, key string) ([]byte, error) {
	return c.c.Get(ctx, key).Bytes()
}

func (c goredisCaller) Store(ctx context.Context, key string, value []byte) error {
	return c.c.Set(ctx, key, value, 0).Err()
}
