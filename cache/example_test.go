package cache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

func Example() {
	users, err := cache.New(cache.Config[string, string]{
		TTL: time.Minute,
		Load: cache.LoadFunc(func(ctx context.Context, id string) (string, error) {
			fmt.Println("loading", id)
			return "the user " + id, nil // from a database, on ctx
		}),
	})
	if err != nil {
		panic(err)
	}
	defer users.Close()
	for range 2 {
		fmt.Println(users.Get(context.Background(), "7"))
	}
	// Output:
	// loading 7
	// the user 7 <nil>
	// the user 7 <nil>
}

// A type of one's own keeps the keys of one cache out of another.
type userID string

type user struct {
	ID   userID
	Name string
}

func loadUser(_ context.Context, id userID) (user, error) {
	if id == "0" {
		return user{}, fmt.Errorf("user %s: %w", id, cache.ErrNotFound)
	}
	return user{id, "Name of " + string(id)}, nil
}

func sizeOfUser(u user) int64 { return 32 + int64(len(u.ID)+len(u.Name)) }

func ExampleCache() {
	ctx := context.Background()
	users, err := cache.New(cache.Config[userID, user]{
		Load:     cache.LoadFunc(loadUser), // from the database
		TTL:      5 * time.Minute,
		Stale:    time.Minute, // served while one refresh runs
		Negative: 10 * time.Second,
		MaxBytes: 256 << 20,
		SizeOf:   sizeOfUser,
	})
	if err != nil {
		panic(err) // it names the field
	}
	defer users.Close()
	u, err := users.Get(ctx, "7") // one load, however many ask
	fmt.Println(u.Name, err)
	// Output: Name of 7 <nil>
}

// newUsers makes the cache of the examples below.
func newUsers() *cache.Cache[userID, user] {
	users, err := cache.New(cache.Config[userID, user]{Load: cache.LoadFunc(loadUser), SizeOf: sizeOfUser})
	if err != nil {
		panic(err)
	}
	return users
}

func ExampleNew_errors() {
	_, err := cache.New(cache.Config[userID, user]{Load: cache.LoadFunc(loadUser), TTL: -time.Minute})
	fmt.Println(err)
	// Output:
	// cache: Config.TTL is -1m0s: use a positive duration, or 0 for values that do not expire
	// cache: Config.SizeOf is nil: it can only be left out if V is string or []byte, and V is cache_test.user
}

func ExampleCache_Get_notFound() {
	users := newUsers()
	defer users.Close()
	_, err := users.Get(context.Background(), "0")
	fmt.Println(err)
	fmt.Println(errors.Is(err, cache.ErrNotFound))
	// Output:
	// user 0: cache: not found
	// true
}

func ExampleCache_Set() {
	ctx := context.Background()
	users := newUsers()
	defer users.Close()
	// After the user was written to the database:
	if err := users.Set(ctx, "7", cache.Entry[user]{Value: user{"7", "New name"}}); err != nil {
		fmt.Println(err)
	}
	u, _ := users.Get(ctx, "7")
	fmt.Println(u.Name)
	// Output: New name
}

func ExampleCache_Remove() {
	ctx := context.Background()
	users := newUsers()
	defer users.Close()
	_, _ = users.Get(ctx, "7")
	// After the user was changed in the database:
	if err := users.Remove(ctx, "7"); err != nil {
		fmt.Println(err) // an *UnreachedError names the instances that may still have the old value
	}
	_, ok := users.Peek("7")
	fmt.Println("in memory:", ok)
	// Output: in memory: false
}

// What was made of several things has a tag for each of them, and goes when one of them changes.
func ExampleCache_RemoveTag() {
	ctx := context.Background()
	pages, err := cache.New(cache.Config[string, string]{
		Load: func(_ context.Context, path string) (cache.Entry[string], error) {
			return cache.Entry[string]{Value: "page " + path, Tags: []string{"layout", "author:" + path[1:4]}}, nil
		},
	})
	if err != nil {
		panic(err)
	}
	defer pages.Close()
	_, _ = pages.GetMany(ctx, []string{"/ann/1", "/ann/2", "/bob/1"})
	if err := pages.RemoveTag(ctx, "author:ann"); err != nil {
		fmt.Println(err) // an *UnreachedError, as with Remove
	}
	for _, path := range []string{"/ann/1", "/ann/2", "/bob/1"} {
		_, ok := pages.Peek(path)
		fmt.Println(path, ok)
	}
	// Output:
	// /ann/1 false
	// /ann/2 false
	// /bob/1 true
}

func ExampleCache_GetMany() {
	squares, err := cache.New(cache.Config[string, string]{
		Load: cache.LoadFunc(square),
		LoadMany: func(ctx context.Context, keys []string) (map[string]cache.Entry[string], error) {
			fmt.Println("one query for", len(keys))
			found := make(map[string]cache.Entry[string])
			for _, k := range keys {
				if v, err := square(ctx, k); err == nil {
					found[k] = cache.Entry[string]{Value: v}
				}
			}
			return found, nil // what it lacks was not found
		},
	})
	if err != nil {
		panic(err)
	}
	defer squares.Close()
	values, err := squares.GetMany(context.Background(), []string{"2", "3", "x"})
	fmt.Println(values, err)
	var many *cache.ManyError
	if errors.As(err, &many) {
		fmt.Println("x:", many.Errors["x"])
	}
	// Output:
	// one query for 3
	// map[2:4 3:9] cache: key "x": cache: not found
	// x: cache: not found
}

func square(_ context.Context, key string) (string, error) {
	n, err := strconv.Atoi(key)
	return strconv.Itoa(n * n), err
}

func ExampleConfig_stale() {
	prices, err := cache.New(cache.Config[string, string]{
		TTL:    10 * time.Second,
		Stale:  time.Minute, // then the origin may be down for a minute, and nobody waits for it
		Jitter: 0.1,         // what was loaded together does not expire together
		Load: func(ctx context.Context, key string) (cache.Entry[string], error) {
			e := cache.Entry[string]{Value: "price of " + key}
			if strings.HasPrefix(key, "gold") {
				e.TTL, e.Stale = time.Second, -1 // this one must be recent
			}
			return e, nil
		},
	})
	if err != nil {
		panic(err)
	}
	defer prices.Close()
	fmt.Println(prices.Get(context.Background(), "gold"))
	// Output: price of gold <nil>
}

// What is held for long is copied, so that it does not keep a chunk of the arena.
func ExampleConfig_arena() {
	pages, err := cache.New(cache.Config[string, []byte]{
		MaxBytes: 64 << 20,
		Arena:    true,
		Load: func(_ context.Context, path string) (cache.Entry[[]byte], error) {
			return cache.Entry[[]byte]{Value: []byte("the page " + path)}, nil
		},
	})
	if err != nil {
		panic(err)
	}
	defer pages.Close()
	page, err := pages.Get(context.Background(), "/index.html")
	held := bytes.Clone(page)
	fmt.Println(string(held), err)
	// Output: the page /index.html <nil>
}

func ExampleLoadFunc() {
	lengths, err := cache.New(cache.Config[string, int]{
		Load: cache.LoadFunc(func(_ context.Context, key string) (int, error) {
			return len(key), nil
		}),
		SizeOf: func(int) int64 { return 8 },
	})
	if err != nil {
		panic(err)
	}
	defer lengths.Close()
	fmt.Println(lengths.Get(context.Background(), "fleet"))
	// Output: 5 <nil>
}

func ExampleWithTrace() {
	users := newUsers()
	defer users.Close()
	for range 2 {
		var tr cache.Trace
		_, _ = users.Get(cache.WithTrace(context.Background(), &tr), "7")
		fmt.Printf("peer %q, loaded: %v\n", tr.Peer, tr.Loaded)
	}
	// Output:
	// peer "", loaded: true
	// peer "", loaded: false
}

func ExampleJSON() {
	var codec cache.Codec[user] = cache.JSON[user]{} // for Config.Codec
	b, _ := codec.Append(nil, user{"7", "Ann"})
	fmt.Printf("%s\n", b)
	fmt.Println(codec.Decode(b))
	// Output:
	// {"ID":"7","Name":"Ann"}
	// {7 Ann} <nil>
}

// With google.golang.org/protobuf the two functions are proto.MarshalOptions{}.MarshalAppend and proto.Unmarshal;
// protoMessage stands for proto.Message here.
func ExampleProto() {
	marshalAppend := func(dst []byte, m protoMessage) ([]byte, error) { return append(dst, m.Text()...), nil }
	unmarshal := func(src []byte, m protoMessage) error { m.SetText(string(src)); return nil }

	codec := cache.Proto[note](marshalAppend, unmarshal) // a Codec[*note]
	b, _ := codec.Append(nil, &note{"remember the milk"})
	n, err := codec.Decode(b)
	fmt.Println(n.Text(), err)
	// Output: remember the milk <nil>
}

type protoMessage interface {
	Text() string
	SetText(string)
}

type note struct{ text string }

func (n *note) Text() string     { return n.text }
func (n *note) SetText(s string) { n.text = s }

// A transport of one's own begins with GoGet, and a function that asks and waits.
func ExampleGoGet() {
	ask := func(_ context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
		for i, key := range req.Keys { // over a wire, in general
			deliver(i, cache.Answer{Value: []byte("value of " + key), TTL: time.Minute})
		}
		return nil
	}
	answers := cache.GoGet(ask, &cache.GetRequest{Cache: "users", Keys: []string{"a", "b"}}, time.Second)
	defer answers.Close()
	for {
		i, a, err := answers.Next(context.Background())
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(i, string(a.Value))
	}
	// Output:
	// 0 value of a
	// 1 value of b
	// EOF
}

// A loader may give those who wait the beginning of what it loads, while the rest is still on its way.
func ExampleEntry_rest() {
	c, err := cache.New(cache.Config[string, string]{
		Load: func(ctx context.Context, key string) (cache.Entry[string], error) {
			return cache.Entry[string]{Value: "the first page of " + key, Rest: func(context.Context) (cache.Entry[string], error) {
				return cache.Entry[string]{Value: "all of " + key}, nil
			}}, nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	first, err := c.Get(context.Background(), "Emma")
	fmt.Println(first, err)
	for all, ok := c.Peek("Emma"); ; all, ok = c.Peek("Emma") {
		if ok {
			fmt.Println(all)
			return
		}
		runtime.Gosched()
	}
	// Output:
	// the first page of Emma <nil>
	// all of Emma
}
