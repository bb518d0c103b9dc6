package singleflight_test

import (
	"context"
	"fmt"

	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

func ExampleGroup() {
	var g singleflight.Group[string, string]
	cached := make(map[string]string) // guarded by g, through Commit

	v, _, err := g.Do(context.Background(), "greeting", func(ctx context.Context, ticket *singleflight.Ticket) (string, error) {
		value := "hello" // from a database, on ctx
		ticket.Commit(func() { cached["greeting"] = value })
		return value, nil
	})
	fmt.Println(v, err, cached["greeting"])
	// Output: hello <nil> hello
}

func ExampleGroup_Detach() {
	var g singleflight.Group[string, string]
	v, _, _ := g.Do(context.Background(), "price", func(ctx context.Context, ticket *singleflight.Ticket) (string, error) {
		value := "10" // read from the database ...
		g.Detach("price")
		// ... where somebody has just changed it, and has said so by Detach.
		fmt.Println("stored:", ticket.Commit(func() {}))
		return value, nil
	})
	fmt.Println("its callers still get", v)
	// Output:
	// stored: false
	// its callers still get 10
}
