package fleetcache_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers"
)

type User struct{ Name string }

func fromDatabase(_ context.Context, id string) (User, error) { return User{"Ada"}, nil }

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// The code sample of README.md.
func Example() {
	ctx := context.Background()
	pool, err := peers.New(peers.Config{Self: "http://10.0.0.1:8080", Secret: []byte("the same on every instance")})
	check(err)
	http.Handle(peers.DefaultPath, pool)                       // on the service's own server
	check(pool.Set(peers.Member{URL: "http://10.0.0.1:8080"})) // and all other instances, or Follow: see below
	users, err := cache.New(cache.Config[string, User]{
		Name:   "users",
		Peers:  pool,
		Load:   cache.LoadFunc(fromDatabase), // func(ctx context.Context, id string) (User, error)
		TTL:    time.Minute,
		SizeOf: func(u User) int64 { return int64(len(u.Name)) },
		Codec:  cache.JSON[User]{},
	})
	check(err)
	u, err := users.Get(ctx, "42") // loaded once in the whole fleet
	check(err)
	check(users.Remove(ctx, "42")) // gone on every instance when it returns nil
	fmt.Println(u.Name)
	check(users.Close())
	check(pool.Close())
	// Output: Ada
}

// The code sample of README.md is a part of Example, to the letter.
func TestReadmeSampleCompiles(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, sample, _ := strings.Cut(string(readme), "```go\n")
	sample, _, ok := strings.Cut(sample, "```")
	if !ok || sample == "" {
		t.Fatal("README.md has no code sample")
	}
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var indented strings.Builder
	for line := range strings.Lines(sample) {
		indented.WriteString("\t" + line)
	}
	if !strings.Contains(string(source), indented.String()) {
		t.Errorf("README.md's code sample is not in Example:\n%s", sample)
	}
}
