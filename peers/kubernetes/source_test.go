package kubernetes

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
)

const (
	one, two, three = "10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080"
)

func TestMembersComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI(slice("a", pods("1 2!")...))
		start := time.Now()
		f := follow(t, Config{Client: api})
		f.wants(one)
		if took := time.Since(start); took != 0 {
			t.Errorf("the first list took %v", took)
		}
		api.set(slice("a", pods("1 2")...))
		f.wants(one + " " + two)
		api.set(slice("b", pods("3")...))
		f.wants(one + " " + two + " " + three)
		api.set(slice("a", pods("1- 2")...))
		f.wants(one + "- " + two + " " + three)
		api.set(slice("a", pods("1x 2")...))
		f.wants(two + " " + three)
		api.remove("b")
		f.wants(two)
		if calls := api.called(); calls != "list , watch 100" {
			t.Errorf("calls: %s", calls)
		}
	})
}

// Kubernetes moves a pod from one slice to another by two changes.
func TestChangesThatComeTogetherAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI(slice("a", pods("1 2")...), slice("b", pods("3")...))
		f := follow(t, Config{Client: api})
		f.wants(one + " " + two + " " + three)
		api.set(slice("a", pods("1")...), slice("b", pods("2 3")...))
		api.set(slice("b", pods("2 3-")...))
		f.wants(one + " " + two + " " + three + "-")
	})
}

func TestNothingThatChangesNothingIsYielded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI(slice("a", pods("1")...))
		f := follow(t, Config{Client: api})
		f.wants(one)
		go func() {
			time.Sleep(time.Second)
			api.set(slice("a", pods("1 2!")...))
			time.Sleep(time.Second)
			api.set(slice("a", pods("1 2")...))
		}()
		f.wants(one + " " + two)
	})
}

// A fleet whose pods are all unready is not thereby an empty one.
func TestNoMemberIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI()
		f := follow(t, Config{Client: api})
		f.wants("! Service default/web: it has no EndpointSlices")
		api.set(slice("a"))
		f.wants("! it has no endpoints")
		api.set(slice("a", pods("1! 2!")...))
		f.wants("! none of its 2 endpoints is ready")
		api.set(slice("a", pods("1 2!")...))
		f.wants(one)
		api.set(slice("a", pods("1! 2!")...))
		f.wants("! none of its 2 endpoints is ready")
		go func() {
			for _, all := range []string{"2! 1!", "1! 2!", "1 2!"} { // the first two of which are no news
				time.Sleep(time.Second)
				api.set(slice("a", pods(all)...))
			}
		}()
		start := time.Now()
		f.wants(one)
		if took := time.Since(start); took < 3*time.Second {
			t.Errorf("it is over after %v", took)
		}
		api.set(slice("a", pods("1- 2!")...))
		f.wants(one + "-")
	})
}

// 410: what the watch was to begin with is forgotten. What happened meanwhile is listed, and there is nothing to tell.
func TestExpiredWatchIsListedAnew(t *testing.T) {
	for name, inStream := range map[string]bool{"in the stream": true, "as an answer": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := newFakeAPI(slice("a", pods("1")...), slice("b", pods("3")...))
				f := follow(t, Config{Client: api})
				f.wants(one + " " + three)
				time.Sleep(time.Minute)
				api.called()
				if inStream {
					api.cut(expired())
				} else {
					api.fail(nil, expired())
					api.cut(nil)
				}
				delete(api.slices, "b")
				api.set(slice("a", pods("1 2")...))
				f.wants(one + " " + two)
				synctest.Wait()
				api.fail(nil, nil)
				want := "list 100, watch 101"
				if !inStream {
					want = "watch 100, list 100, watch 101"
				}
				if calls := api.called(); calls != want {
					t.Errorf("calls: %s; want %s", calls, want)
				}
			})
		})
	}
}

// A watch that is cut goes on where it was, without a list or a word.
func TestCutWatchGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI(slice("a", pods("1")...))
		f := follow(t, Config{Client: api})
		f.wants(one)
		api.set(slice("a", pods("1 2")...))
		f.wants(one + " " + two)
		time.Sleep(time.Minute)
		api.called()
		api.cut(nil)
		synctest.Wait()
		api.set(slice("a", pods("2")...))
		f.wants(two)
		if calls := api.called(); calls != "watch 101" {
			t.Errorf("calls: %s", calls)
		}
	})
}

// synctest fails if a goroutine is left.
func TestMembersEnd(t *testing.T) {
	ends := map[string]func(*fakeAPI, context.CancelFunc) bool{
		"its caller breaks off": func(*fakeAPI, context.CancelFunc) bool { return false },
		"ctx ends":              func(_ *fakeAPI, cancel context.CancelFunc) bool { cancel(); return true },
		"ctx ends later":        func(_ *fakeAPI, cancel context.CancelFunc) bool { time.AfterFunc(time.Second, cancel); return true },
		"ctx ends after a change": func(a *fakeAPI, cancel context.CancelFunc) bool {
			a.set(slice("a", pods("2")...))
			cancel()
			return true
		},
		"ctx ends in a list": func(a *fakeAPI, cancel context.CancelFunc) bool {
			a.mu.Lock()
			a.hangs = true
			a.mu.Unlock()
			a.cut(expired())
			time.AfterFunc(10*time.Second, cancel)
			return true
		},
		"ctx ends between attempts": func(a *fakeAPI, cancel context.CancelFunc) bool {
			a.fail(forbidden(), forbidden())
			a.cut(nil)
			time.AfterFunc(time.Minute, cancel)
			return true
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := newFakeAPI(slice("a", pods("1")...))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				lists := 0
				for members, err := range newSource(t, Config{Client: api}).Members(ctx) {
					if err != nil {
						continue
					}
					if lists++; describeMembers(members) != one {
						t.Errorf("a list after the end: %v", members)
					}
					synctest.Wait()
					if !end(api, cancel) {
						break
					}
				}
				if lists != 1 {
					t.Errorf("%d lists", lists)
				}
			})
		})
	}
}

func TestMembersOfAContextThatHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	api := newFakeAPI(slice("a", pods("1")...))
	for range newSource(t, Config{Client: api}).Members(ctx) {
		t.Error("it yields")
	}
	if calls := api.called(); calls != "" {
		t.Errorf("calls: %s", calls)
	}
}

// A list is its receiver's.
func TestListsAreTheReceivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI(slice("a", pods("1 2")...))
		f := follow(t, Config{Client: api})
		members, _, _ := f.next()
		members[0] = discover.Member{URL: "http://nobody"}
		api.set(slice("a", pods("1 2 3")...))
		f.wants(one + " " + two + " " + three)
	})
}
