package kind

import (
	"context"
	"fmt"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// An asker asks a key's owner on the bare wire: cache.Peers, then cache.Peer.Get. No Cache is between, on
// this side. All that these benchmarks know of the shape of those two calls is in this file.
type asker struct {
	peers cache.Peers
	req   cache.GetRequest // one for all calls: the receiver does not keep it
	one   [1]string
	last  cache.Answers // of the last Get: its value is good until they are closed; nil: there was none
}

func newAsker(peers cache.Peers) *asker {
	return &asker{peers: peers, req: cache.GetRequest{Cache: cacheName}}
}

// Get returns a value that is good until the next Get, or Rest.
func (a *asker) Get(ctx context.Context, key string) ([]byte, error) {
	a.Rest()
	a.one[0] = key
	answers, err := a.ask(a.one[:])
	if err != nil {
		return nil, err
	}
	a.last = answers
	_, answer, err := answers.Next(ctx)
	if err == nil && answer.Status != cache.StatusOK {
		err = failure(key, answer)
	}
	return answer.Value, err
}

// Rest gives back what Get left.
func (a *asker) Rest() {
	if a.last != nil {
		a.last.Close()
		a.last = nil
	}
}

// GetMany asks the owner of the first key for all of them.
func (a *asker) GetMany(ctx context.Context, keys []string, got func(i int, value []byte) error) error {
	answers, err := a.ask(keys)
	if err != nil {
		return err
	}
	defer answers.Close()
	for range keys {
		i, answer, err := answers.Next(ctx)
		if err == nil && answer.Status != cache.StatusOK {
			err = failure(keys[i], answer)
		}
		if err == nil {
			err = got(i, answer.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *asker) ask(keys []string) (cache.Answers, error) {
	owner := a.peers.Owner(keys[0])
	if owner == nil {
		return nil, fmt.Errorf("the server does not own %q", keys[0])
	}
	a.req.Keys = keys
	return owner.Get(&a.req, cache.Forever), nil
}

func failure(key string, answer cache.Answer) error {
	return fmt.Errorf("key %q: status %d: %s", key, answer.Status, answer.Message)
}
