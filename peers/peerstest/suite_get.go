package peerstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

var getChecks = []Check{
	{"GetEveryKey", "Next returns each answer with its key's index in req.Keys, once per key.", 2, checkGetEveryKey},
	{"GetNoKeys", "After all keys were answered Next returns io.EOF: for a request without keys too.", 2, checkGetNoKeys},
	{"GetAnyOrder", "Answers come in any order.", 2, checkGetAnyOrder},
	{"GetAsReady", "Next waits for the next answer, in the order in which they become ready.", 2, checkGetAsReady},
	{"GetBrokenOff", "If Next returns an error, the answers before it stand.", 2, checkGetBrokenOff},
	{"GetQueued", "Before that of a key there may be one with StatusQueued.", 2, checkGetQueued},
	{"GetUnanswered", "If Next returns io.EOF, every key was answered.", 2, checkGetUnanswered},
	{"GetAnyKey", "Keys are arbitrary bytes up to MaxKeyBytes.", 2, checkGetAnyKey},
	{"Concurrent", "All methods may be called concurrently.", 3, checkConcurrent},
}

// anyKeys are keys that something on the way could take for something else.
var anyKeys = []string{
	"", ".", "..", "/", "a/../b", "a//b", "a b", "a+b", "a%20b", "a%2Fb", "a\tb", "a\nb", "a\r\n\r\nb",
	"?", "#", "&=;", "\x00", "a\x00b", "\xff\xfe", "\xc3\x28", "é", "e\u0301", "\ufeff", "日本語", `"`, `\`,
	strings.Repeat("k", cache.MaxKeyBytes), strings.Repeat("\xff", cache.MaxKeyBytes),
}

// anyTags are tags likewise, as many as a value may have of them.
var anyTags = anyKeys[:len(anyKeys)-2]

func checkGetEveryKey(f *fixture) {
	f.attach(1, name, Responder{GetFunc: echo})
	for _, keys := range [][]string{{"k"}, {"a", "b"}, {"twice", "twice"}, sequence(500)} {
		got := f.get(f.peer(0, 1), keys...)
		for i, key := range keys {
			if string(got[i].Value) != key {
				f.Fatalf("key %d of %d is %q and was answered %q", i, len(keys), key, got[i].Value)
			}
		}
	}
}

func checkGetNoKeys(f *fixture) {
	asked := make(chan int, 8)
	f.attach(1, name, Responder{GetFunc: func(_ context.Context, req *cache.GetRequest, _ func(int, cache.Answer)) error {
		asked <- len(req.Keys)
		return nil
	}})
	for _, keys := range [][]string{nil, {}} {
		f.get(f.peer(0, 1), keys...)
	}
	for len(asked) > 0 { // an implementation may answer without asking
		if n := <-asked; n != 0 {
			f.Errorf("a request without keys arrived with %d", n)
		}
	}
}

func checkGetAnyOrder(f *fixture) {
	f.attach(1, name, Responder{GetFunc: func(_ context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
		for i, key := range slices.Backward(req.Keys) {
			deliver(i, cache.Answer{Value: []byte(key)})
		}
		return nil
	}})
	keys := sequence(20)
	for i, a := range f.get(f.peer(0, 1), keys...) {
		if string(a.Value) != keys[i] {
			f.Errorf("key %q was answered %q", keys[i], a.Value)
		}
	}
}

func checkGetAsReady(f *fixture) {
	first := make(chan struct{})
	f.attach(1, name, Responder{GetFunc: func(_ context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
		deliver(1, cache.Answer{})
		f.waitFor(first)
		deliver(0, cache.Answer{})
		return nil
	}})
	done := start(func() error {
		return Get(f.ctx, f.peer(0, 1), &cache.GetRequest{Cache: name, Keys: []string{"slow", "fast"}}, func(i int, _ cache.Answer) {
			if i == 1 {
				close(first)
			}
		})
	})
	await(f, first, "the answer that is ready, while another is not")
	if err := await(f, done, "Get"); err != nil {
		f.Errorf("Get: %v", err)
	}
}

func checkGetQueued(f *fixture) {
	for _, keys := range [][]string{{"a"}, {"a", "b", "c"}} {
		heard := make(chan struct{}) // closed when all of them were
		detach := f.attach(1, name, Responder{GetFunc: func(_ context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
			for i := range req.Keys {
				deliver(i, cache.Answer{Status: cache.StatusQueued})
			}
			f.waitFor(heard)
			for i, key := range req.Keys {
				deliver(i, cache.Answer{Value: []byte(key)})
			}
			return nil
		}})
		got, queued := make([]string, len(keys)), 0 // by key: what came, one after the other
		err := Get(f.ctx, f.peer(0, 1), &cache.GetRequest{Cache: name, Keys: keys}, func(i int, a cache.Answer) {
			if a.Status == cache.StatusQueued {
				if queued++; queued == len(keys) {
					close(heard)
				}
			}
			got[i] += fmt.Sprintf("%d %s,", a.Status, a.Value)
		})
		for i, key := range keys {
			if want := fmt.Sprintf("%d ,0 %s,", cache.StatusQueued, key); got[i] != want || err != nil {
				f.Errorf("of key %d of %d came %q, %v; want %q", i, len(keys), got[i], err, want)
			}
		}
		detach()
	}
}

func checkGetBrokenOff(f *fixture) {
	f.attach(1, name, Responder{GetFunc: func(_ context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
		deliver(1, cache.Answer{Value: []byte(req.Keys[1])})
		return errors.New("out of luck")
	}})
	got, err := f.try(f.ctx, f.peer(0, 1), &cache.GetRequest{Cache: name, Keys: []string{"a", "b", "c"}})
	if err == nil {
		f.Errorf("Get returned nil, and the Responder an error")
	}
	delete(got, 1)
	if len(got) > 0 {
		f.Errorf("Get delivered what nobody said: %v", got)
	}
}

func checkGetUnanswered(f *fixture) {
	f.attach(1, name, Responder{GetFunc: func(_ context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
		for i := range req.Keys[1:] {
			deliver(i, cache.Answer{})
		}
		return nil
	}})
	for _, keys := range [][]string{{"a"}, {"a", "b", "c"}} {
		if got, err := f.try(f.ctx, f.peer(0, 1), &cache.GetRequest{Cache: name, Keys: keys}); err == nil {
			f.Errorf("Get returned nil with %d of %d keys answered", len(got), len(keys))
		}
	}
}

func checkGetAnyKey(f *fixture) {
	f.attach(1, name, Responder{GetFunc: echo})
	p := f.peer(0, 1)
	for _, key := range anyKeys {
		if got := f.get(p, key); string(got[0].Value) != key {
			f.Errorf("key %.40q arrived as %.40q", key, got[0].Value)
		}
	}
	for i, a := range f.get(p, anyKeys...) {
		if string(a.Value) != anyKeys[i] {
			f.Errorf("key %.40q arrived among others as %.40q", anyKeys[i], a.Value)
		}
	}
}

func checkConcurrent(f *fixture) {
	for i := range f.Peers {
		f.attach(i, name, Responder{GetFunc: echo})
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		from, to := worker%3, (worker+1)%3
		p := f.peer(from, to)
		wg.Go(func() {
			for round := range 20 {
				keys := []string{fmt.Sprint(worker), fmt.Sprint(round), fmt.Sprint(worker, round)}
				got, err := f.try(f.ctx, p, &cache.GetRequest{Cache: name, Keys: keys})
				if err != nil {
					f.Errorf("Get: %v", err)
				}
				for i, key := range keys {
					if string(got[i].Value) != key {
						f.Errorf("key %q was answered %q", key, got[i].Value)
					}
				}
				for _, m := range methods {
					if err := m.call(f.ctx, p); err != nil {
						f.Errorf("%s: %v", m.name, err)
					}
				}
				f.Peers[from].Others()
				f.owners(from, keys[0])
			}
		})
	}
	_ = await(f, start(func() error {
		wg.Wait()
		return nil
	}), "concurrent calls")
}
