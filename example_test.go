package fleetcache_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers"
)

type User struct{ Name string }

// This is the code sample of README.md.
func Example() {
	pool, err := peers.New(peers.Config{Self: "http://10.0.0.1:8080", Secret: []byte("the same on every instance")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	http.Handle(peers.DefaultPath, pool)                                        // on the service's own server
	if err := pool.Set(peers.Member{URL: "http://10.0.0.1:8080"}); err != nil { // and all other instances
		fmt.Println(err)
	}

	users, err := cache.New(cache.Config[string, User]{
		Name:   "users",
		Load:   cache.LoadFunc(func(ctx context.Context, id string) (User, error) { return User{"Ada"}, nil }), // from the database
		TTL:    time.Minute,
		SizeOf: func(u User) int64 { return int64(len(u.Name)) },
		Codec:  cache.JSON[User]{},
		Peers:  pool,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer users.Close()
	u, err := users.Get(context.Background(), "42") // loaded once in the whole fleet
	fmt.Println(u.Name, err)
	fmt.Println(users.Remove(context.Background(), "42")) // gone on every instance when it returns nil
	// Output:
	// Ada <nil>
	// <nil>
}
