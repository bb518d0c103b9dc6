package peers_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers"
	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
)

// A Pool is mounted on the service's own mux, and told who the members are.
func ExampleNew() {
	mux := http.NewServeMux()
	service := httptest.NewServer(mux)
	defer service.Close()

	pool, err := peers.New(peers.Config{
		Self:   service.URL, // as the others reach it
		Secret: []byte("32 random bytes from a secret store"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	mux.Handle(peers.DefaultPath, pool)

	// The same list on every instance.
	err = pool.Set(
		peers.Member{URL: service.URL},
		peers.Member{URL: "http://10.0.0.2:8080"},
		peers.Member{URL: "http://10.0.0.3:8080", Weight: 2},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(pool.Others()), "others")
	n := 0
	for range pool.Owners("user:1000") {
		n++
	}
	fmt.Println(n, "instances in the order in which they are asked for a key")
	// Output:
	// 2 others
	// 3 instances in the order in which they are asked for a key
}

// Every bad field is named, with how to mend it.
func ExampleNew_error() {
	_, err := peers.New(peers.Config{Self: "10.0.0.1"})
	fmt.Println(err)
	// Output:
	// peers: Config.Self: the URL "10.0.0.1" does not begin with http:// or https://
	// peers: Config.Secret is empty, and so are Client and Authorize: give the fleet a shared Secret, or TLS client certificates, or say Insecure: true
}

// serve starts an instance on a port of its own.
func serve(secret []byte) (*peers.Pool, *httptest.Server) {
	mux := http.NewServeMux()
	service := httptest.NewServer(mux)
	pool, err := peers.New(peers.Config{Self: service.URL, Secret: secret})
	if err != nil {
		panic(err)
	}
	mux.Handle(peers.DefaultPath, pool)
	return pool, service
}

// The members are found by a Source: here a list that stands, else a file, DNS or gossip.
func ExamplePool_Follow() {
	pool, service := serve([]byte("32 random bytes from a secret store"))
	defer service.Close()
	defer pool.Close()

	source := discover.Static{{URL: pool.Self()}, {URL: "http://10.0.0.2:8080"}}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- pool.Follow(ctx, source) }()
	for len(pool.Others()) == 0 { // a service need not wait
		time.Sleep(time.Millisecond)
	}
	fmt.Println(len(pool.Others()), "other")
	stop()
	fmt.Println(<-done)
	// Output:
	// 1 other
	// context canceled
}

// What another instance has counted, asked on the connection that calls take.
func ExamplePool_StatsOf() {
	secret := []byte("32 random bytes from a secret store")
	a, serviceA := serve(secret)
	b, serviceB := serve(secret)
	defer serviceA.Close()
	defer serviceB.Close()
	defer a.Close()
	defer b.Close()
	for _, p := range []*peers.Pool{a, b} {
		if err := p.Set(peers.Member{URL: a.Self()}, peers.Member{URL: b.Self()}); err != nil {
			fmt.Println(err)
		}
	}
	stats, err := a.StatsOf(context.Background(), b.Self())
	fmt.Println(stats.Self == b.Self(), stats.Connections, err)
	fmt.Println(a.Stats().Peers[0].Transport)
	// Output:
	// true 1 <nil>
	// upgraded
}

// An instance that goes: no new requests, an answer to those that are there, and then the end.
func ExamplePool_Drain() {
	pool, service := serve([]byte("32 random bytes from a secret store"))
	defer service.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(service.Config.Shutdown(ctx))
	fmt.Println(pool.Drain(ctx))
	// ... close the caches ...
	fmt.Println(pool.Close())
	// Output:
	// <nil>
	// <nil>
	// <nil>
}
