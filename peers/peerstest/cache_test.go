package peerstest_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// Caches work over a Fleet in a bubble, and Hold orders what races: a value that is on its way to another
// instance while its key is removed is not served after Remove.
func TestCachesInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := peerstest.NewFleet(3)
		version := 0
		var caches []*cache.Cache[string, string]
		for i := range fleet.Len() {
			c, err := cache.New(cache.Config[string, string]{
				Name:  "c",
				Peers: fleet.Instance(i),
				Load: func(context.Context, string) (cache.Entry[string], error) {
					return cache.Entry[string]{Value: fmt.Sprint("version ", version)}, nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			caches = append(caches, c)
		}
		reader := caches[notOwner(fleet, "k")]

		hold := fleet.Hold(func(m peerstest.Message) bool { return m.Kind == peerstest.KindGet && m.Reply })
		fetched := make(chan error, 1)
		go func() {
			_, err := reader.Get(t.Context(), "k")
			fetched <- err
		}()
		if _, err := hold.Await(t.Context()); err != nil { // the value is on its way
			t.Fatal(err)
		}
		version++
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := caches[0].Remove(ctx, "k"); err != nil {
			t.Fatal(err)
		}
		hold.Release()
		if err := <-fetched; err != nil {
			t.Error(err)
		}
		for i, c := range caches {
			if got, err := c.Get(t.Context(), "k"); err != nil || got != "version 1" {
				t.Errorf("instance %d got %q after Remove, error %v", i, got, err)
			}
		}
	})
}

// notOwner returns the number of an instance that does not own key.
func notOwner(fleet *peerstest.Fleet, key string) int {
	for i := range fleet.Len() {
		for p := range fleet.Instance(i).Owners(key) {
			if p != nil {
				return i
			}
			break
		}
	}
	panic("every instance owns the key")
}
