package peerstest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// Two caches of one fleet: each key is loaded once, by its owner, whoever asks.
func Example() {
	fleet := peerstest.NewFleet(2)
	loads := 0
	var caches []*cache.Cache[string, string]
	for i := range fleet.Len() {
		c, err := cache.New(cache.Config[string, string]{
			Name:  "greetings",
			Peers: fleet.Instance(i),
			Load: func(_ context.Context, name string) (cache.Entry[string], error) {
				loads++
				return cache.Entry[string]{Value: "hello " + name}, nil
			},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer c.Close()
		caches = append(caches, c)
	}
	for _, c := range caches {
		fmt.Println(c.Get(context.Background(), "world"))
	}
	fmt.Println("loads:", loads)
	// Output:
	// hello world <nil>
	// hello world <nil>
	// loads: 1
}

// A Responder stands in for the cache of another instance.
func ExampleResponder() {
	fleet := peerstest.NewFleetOf("paris", "tokyo")
	detach, err := fleet.Instance(1).Attach("time", peerstest.Responder{
		GetFunc: func(_ context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
			for i, key := range req.Keys {
				deliver(i, cache.Answer{Value: []byte(key + " o'clock"), TTL: cache.Forever})
			}
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer detach()

	tokyo := fleet.Instance(0).Peer(1)
	err = peerstest.Get(context.Background(), tokyo, &cache.GetRequest{Cache: "time", Keys: []string{"nine", "ten"}}, func(i int, a cache.Answer) {
		fmt.Println(i, string(a.Value))
	})
	fmt.Println(err)
	// Output:
	// 0 nine o'clock
	// 1 ten o'clock
	// <nil>
}

// Stop makes an instance refuse calls, as a process that is gone does.
func ExampleFleet_Stop() {
	fleet := peerstest.NewFleetOf("paris", "tokyo")
	fleet.Stop(1)
	tokyo := fleet.Instance(0).Peer(1)
	for range 2 {
		err := tokyo.Fence(context.Background(), &cache.FenceRequest{Cache: "time", Keys: []string{"nine"}})
		fmt.Println(errors.Is(err, cache.ErrPeerDown), err)
	}
	// Output:
	// false peerstest: tokyo is unreachable: connection refused
	// true peerstest: tokyo is unreachable: cache: the instance is down
}

// Hold stops a message at an exact point: here a value on its way, while a fence overtakes it.
func ExampleFleet_Hold() {
	fleet := peerstest.NewFleet(2)
	detach, err := fleet.Instance(1).Attach("c", peerstest.Responder{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer detach()
	peer, ctx := fleet.Instance(0).Peer(1), context.Background()

	hold := fleet.Hold(func(m peerstest.Message) bool { return m.Kind == peerstest.KindGet && m.Reply })
	fetched := make(chan error)
	go func() {
		fetched <- peerstest.Get(ctx, peer, &cache.GetRequest{Cache: "c", Keys: []string{"k"}}, func(int, cache.Answer) {
			fmt.Println("the answer arrives")
		})
	}()
	m, err := hold.Await(ctx)
	fmt.Println("held:", m, err)
	err = peer.Fence(ctx, &cache.FenceRequest{Cache: "c", ID: 1, Keys: []string{"k"}})
	fmt.Println("fenced:", err)
	hold.Release()
	fmt.Println(<-fetched)
	// Output:
	// held: #1 0<-1 Get "c" ["k"] status 1, 0 bytes <nil>
	// fenced: <nil>
	// the answer arrives
	// <nil>
}
