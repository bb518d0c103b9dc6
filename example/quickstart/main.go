// Quickstart is three instances of a service, in one process, that share two caches over loopback HTTP.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers"
)

func main() { run(os.Stdout) }

type user struct{ Name string }

func run(out io.Writer) {
	var loads atomic.Int64
	loadUser := func(_ context.Context, id string) (user, error) { loads.Add(1); return user{"Name of " + id}, nil }
	loadPage := func(_ context.Context, id string) ([]byte, error) { loads.Add(1); return []byte("<h1>" + id), nil }
	var members [3]peers.Member
	var pools [3]*peers.Pool
	users, pages := [3]*cache.Cache[string, user]{}, [3]*cache.Cache[string, []byte]{}
	for i := range members {
		l := must(net.Listen("tcp", "127.0.0.1:0"))
		defer l.Close()
		members[i].URL = "http://" + l.Addr().String()
		pools[i] = must(peers.New(peers.Config{Self: members[i].URL, Secret: []byte("16 random bytes or more")}))
		defer pools[i].Close()
		go http.Serve(l, pools[i]) // beside a service's own handlers: mux.Handle(peers.DefaultPath, pool)
		users[i] = must(cache.New(cache.Config[string, user]{Name: "users", Peers: pools[i], Load: cache.LoadFunc(loadUser),
			Codec: cache.JSON[user]{}, SizeOf: func(u user) int64 { return int64(len(u.Name)) }}))
		defer users[i].Close()
		pages[i] = must(cache.New(cache.Config[string, []byte]{Name: "pages", Peers: pools[i], Load: cache.LoadFunc(loadPage)}))
		defer pages[i].Close()
	}
	for _, pool := range pools {
		must(0, pool.Set(members[:]...))
	}
	for _, id := range []string{"ada", "alan", "barbara", "edsger", "grace", "ken"} {
		for i, pool := range pools {
			u, p := must(users[i].Get(context.Background(), id)), must(pages[i].Get(context.Background(), id))
			fmt.Fprintf(out, "instance %d: %q and %q, owned by %s\n", i, u.Name, p, pool.OwnerURL(id))
		}
	}
	fmt.Fprintf(out, "36 Gets of 12 values ran the loaders %d times\n", loads.Load())
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}
