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
	{"GetEveryKey", "Get calls deliver with the key's index in req.Keys once per key.", 2, checkGetEveryKey},
	{"GetNoKeys", "If Get returns nil, every key was answered: a request without keys is answered too.", 2, checkGetNoKeys},
	{"GetAnyOrder", "Get calls deliver in any order.", 2, checkGetAnyOrder},
	{"GetAsReady", "Get calls deliver as answers become ready.", 2, checkGetAsReady},
	{"GetBrokenOff", "If Get returns an error, the answers delivered before it stand.", 2, checkGetBrokenOff},
	{"GetUnanswered", "If Get returns nil, every key was answered.", 2, checkGetUnanswered},
	{"GetLateAnswer", "Get calls deliver never after Get has returned.", 2, checkGetLateAnswer},
	{"GetAnyKey", "Keys are arbitrary bytes up to MaxKeyBytes.", 2, checkGetAnyKey},
	{"Concurrent", "All methods may be called concurrently.", 3, checkConcurrent},
}

// anyKeys are keys that something on the way could take for something else.
var anyKeys = []string{
	"", ".", "..", "/", "a/../b", "a//b", "a b", "a+b", "a%20b", "a%2Fb", "a\tb", "a\nb", "a\r\n\r\nb",
	"?", "#", "&=;", "\x00", "a\x00b", "\xff\xfe", "\xc3\x28", "é", "e\u0301", "\ufeff", "日本語", `"`, `\`,
	strings.Repeat("k", cache.MaxKeyBytes), strings.Repeat("\xff", cache.MaxKeyBytes),
}

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
		return f.peer(0, 1).Get(f.ctx, &cache.GetRequest{Cache: name, Keys: []string{"slow", "fast"}}, func(i int, _ cache.Answer) {
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

func checkGetLateAnswer(f *fixture) {
	asked, late, returned := make(chan struct{}, 4), make(chan struct{}), make(chan struct{}, 4)
	f.attach(1, name, Responder{GetFunc: func(_ context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
		defer func() { returned <- struct{}{} }()
		deliver(0, cache.Answer{Value: []byte("in time")})
		asked <- struct{}{}
		f.waitFor(late) // whatever the context says
		deliver(1, cache.Answer{Value: []byte("late")})
		return nil
	}})
	p := f.peer(0, 1)
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	a := newAnswers(f, 2)
	done := start(func() error { return a.get(ctx, p, &cache.GetRequest{Cache: name, Keys: []string{"a", "b"}}) })
	await(f, asked, "the request at the Responder")
	cancel()
	if err := await(f, done, "Get, whose context has ended"); !errors.Is(err, context.Canceled) {
		f.Errorf("Get: %v; want context.Canceled", err)
	}
	close(late)
	await(f, returned, "the Responder")
	f.roundTrip(p) // by now the late answer has come as far as it will
	if got, ok := a.all()[1]; ok {
		f.Errorf("the late answer was delivered: %q", got.Value)
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
