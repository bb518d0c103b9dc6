package invalidate

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers"
)

const (
	// keyCount is small, so that nearly all reads are of what the reader's process has in memory, for others as a mirror.
	keyCount = 200

	// maxLoad is what a load takes at most, after it has read the origin: it is the time in which a Remove can overtake it.
	maxLoad = time.Millisecond

	joinTimeout = 10 * time.Second
)

var secret = []byte("the secret of a fleet that forgets")

// An instance is a process's part of the fleet.
type instance struct {
	number int
	url    string
	ledger *ledger
	server *http.Server
	pool   *peers.Pool
	cache  *cache.Cache[string, []byte]
	loads  atomic.Int64
}

// A Setup is what a process is told when it begins.
type Setup struct {
	Number int
	Ledger string
}

func newInstance(s Setup) (*instance, error) {
	in := &instance{number: s.Number}
	var err error
	if in.ledger, err = openLedger(s.Ledger); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, in.ledger.unmap())
	}
	in.url = "http://" + l.Addr().String()
	if in.pool, err = peers.New(peers.Config{Self: in.url, Secret: secret}); err != nil {
		return nil, errors.Join(err, l.Close(), in.ledger.unmap())
	}
	in.cache, err = cache.New(cache.Config[string, []byte]{Name: "invalidate", Peers: in.pool, Load: cache.LoadFunc(in.load)})
	if err != nil {
		return nil, errors.Join(err, l.Close(), in.pool.Close(), in.ledger.unmap())
	}
	mux := http.NewServeMux()
	mux.Handle(peers.DefaultPath, in.pool)
	in.server = &http.Server{Handler: mux}
	go func() { _ = in.server.Serve(l) }() // the error is that it was closed
	return in, nil
}

func keyName(key int) string { return "key-" + strconv.Itoa(key) }

// names are the names of all keys, for those who read more often than they could be made.
var names = func() (names [keyCount]string) {
	for key := range names {
		names[key] = keyName(key)
	}
	return names
}()

// load reads a key's version, and takes its time with the answer.
func (in *instance) load(ctx context.Context, name string) ([]byte, error) {
	key, err := strconv.Atoi(name[len("key-"):])
	if err != nil || key < 0 || key >= keyCount {
		return nil, fmt.Errorf("there is no %q", name)
	}
	in.loads.Add(1)
	value := binary.BigEndian.AppendUint64(nil, in.ledger.version(key).Load())
	select {
	case <-time.After(rand.N(maxLoad)):
		return value, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// URL implements process.Instance, as do Join and Close.
func (in *instance) URL() string { return in.url }

// Join makes urls the members, and returns when this instance shares what it gets with them.
func (in *instance) Join(ctx context.Context, urls []string) error {
	if err := in.pool.Set(process.Members(urls)...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	return process.AwaitJoin(ctx, func() bool { return !in.cache.Stats().Joining })
}

// Close ends the instance.
func (in *instance) Close() error {
	return errors.Join(in.server.Close(), in.cache.Close(), in.pool.Close(), in.ledger.unmap())
}
