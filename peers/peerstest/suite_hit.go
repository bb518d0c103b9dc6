package peerstest

import (
	"context"
	"sync/atomic"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

var hitChecks = []Check{
	{"Hit", "Hit answers for one key from memory; if ok is false, Get is asked.", 2, checkHit},
	{"HitNotAsked", "Reload asks for a new load, and Peek starts no refresh: neither is answered by Hit.", 2, checkHitNotAsked},
	{"HitIsOwned", "The receiver of an Answer from a Peer owns its Value, one that came from Hit too.", 2, checkHitIsOwned},
}

// hits is a Responder that has keys that begin with h in its memory, in Version v.
func hits(value func(key string) []byte) Responder {
	return Responder{
		HitFunc: func(version, key string) (cache.Answer, bool) {
			if version != "v" || key == "" || key[0] != 'h' {
				return cache.Answer{}, false
			}
			return cache.Answer{Value: value(key)}, true
		},
		GetFunc: func(_ context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
			if req.Version != "v" {
				return cache.ErrVersionMismatch
			}
			for i, key := range req.Keys {
				deliver(i, cache.Answer{Value: value(key)})
			}
			return nil
		},
	}
}

func checkHit(f *fixture) {
	f.attach(1, name, hits(func(key string) []byte { return []byte("value of " + key) }))
	p := f.peer(0, 1)
	for _, keys := range [][]string{{"h"}, {"miss"}, {"h1", "h2"}, {"h1", "miss", "h2"}, {"h", "h"}} {
		got := f.request(p, &cache.GetRequest{Cache: name, Version: "v", Keys: keys})
		for i, key := range keys {
			if string(got[i].Value) != "value of "+key {
				f.Errorf("key %q of %q was answered %q", key, keys, got[i].Value)
			}
		}
	}
	if got, err := f.try(f.ctx, p, &cache.GetRequest{Cache: name, Version: "w", Keys: []string{"h"}}); err == nil {
		f.Errorf("a request for another Version was answered: %v", got)
	}
}

func checkHitNotAsked(f *fixture) {
	var wrong atomic.Int64
	r := hits(func(key string) []byte { return []byte(key) })
	r.HitFunc = func(string, string) (cache.Answer, bool) {
		wrong.Add(1)
		return cache.Answer{Value: []byte("from memory")}, true
	}
	f.attach(1, name, r)
	for _, req := range []*cache.GetRequest{
		{Cache: name, Version: "v", Keys: []string{"h"}, Reload: true},
		{Cache: name, Version: "v", Keys: []string{"h"}, Peek: true},
	} {
		if got := f.request(f.peer(0, 1), req); string(got[0].Value) != "h" || wrong.Load() > 0 {
			f.Errorf("a request with Reload: %t, Peek: %t was answered %q; Hit was asked %d times", req.Reload, req.Peek, got[0].Value, wrong.Load())
		}
	}
}

func checkHitIsOwned(f *fixture) {
	stored := []byte("what the cache holds")
	want := string(stored)
	f.attach(1, name, hits(func(string) []byte { return stored }))
	for range 2 {
		got := f.request(f.peer(0, 1), &cache.GetRequest{Cache: name, Version: "v", Keys: []string{"h"}})
		if string(got[0].Value) != want {
			f.Fatalf("the value is %q after the receiver of another answer changed its own; want %q", got[0].Value, want)
		}
		clear(got[0].Value)
	}
	if string(stored) != want {
		f.Errorf("the Responder's value was changed to %q", stored)
	}
}
