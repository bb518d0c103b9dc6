package peers_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/seed-0f2aaebe/fleetcache/peers"
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
