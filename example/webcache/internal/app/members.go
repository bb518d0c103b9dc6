package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers"
	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
)

// firstTime bounds what an instance waits at its start for who else there is.
const firstTime = 10 * time.Second

// A membership is what an instance that has others knows of them.
type membership struct {
	pool   *peers.Pool
	source discover.Source

	stop      context.CancelFunc // of following
	following sync.WaitGroup
}

// join returns a Pool that knows the members, as far as they can be found out soon, and that follows what becomes of them
// until close is called. If ctx ends it does not wait for them.
func join(ctx context.Context, opts *options, id *identity, log *slog.Logger) (_ *membership, err error) {
	m := &membership{stop: func() {}}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close())
		}
	}()
	cfg := peers.Config{Self: opts.self, Secret: opts.secret, Insecure: opts.insecure, DrainTime: opts.drain, Logger: log}
	id.secure(&cfg)
	if m.pool, err = peers.New(cfg); err != nil {
		return nil, err
	}
	if m.source, err = opts.find(log); err != nil {
		return nil, err
	}
	if err := m.setFirst(ctx, opts.findBy); err != nil {
		return nil, err
	}
	ctx, m.stop = context.WithCancel(context.Background())
	m.following.Go(func() { _ = m.pool.Follow(ctx, m.source) }) // which logs what is wrong, and ends with ctx
	return m, nil
}

// setFirst gives the pool the first list, before anything is cached. That there is none yet is not an error: a name may have no addresses
// before one of the instances is ready. Follow tries again, and logs why.
func (m *membership) setFirst(ctx context.Context, flag string) error {
	ctx, cancel := context.WithTimeout(ctx, firstTime)
	defer cancel()
	var refused error
	for members, err := range m.source.Members(ctx) {
		if err == nil {
			refused = m.pool.Set(members...)
		}
		break
	}
	if refused != nil {
		return fmt.Errorf("-%s: %s", flag, strings.ReplaceAll(refused.Error(), "peers: Set: ", ""))
	}
	return nil
}

// leave tells those who find each other as this instance does that it is gone.
func (m *membership) leave() error {
	if c, ok := m.source.(io.Closer); ok {
		return c.Close() // again, it does nothing
	}
	return nil
}

// close ends the search for members and the Pool, and waits for that.
func (m *membership) close() error {
	m.stop()
	m.following.Wait()
	err := m.leave()
	if m.pool != nil {
		err = errors.Join(err, m.pool.Close())
	}
	return err
}
