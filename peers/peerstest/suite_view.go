package peerstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

var attachChecks = []Check{
	{"AttachTakenName", "Attach fails if the name is taken.", 2, checkAttachTaken},
	{"Detach", "Attach makes r answer until detach is called.", 2, checkDetach},
	{"UnknownCache", "A request for a name that nothing is attached to is answered with ErrUnknownCache.", 2, checkUnknownCache},
	{"ManyCaches", "Attach makes r answer the requests that other instances make of the cache called name.", 3, checkManyCaches},
}

var viewChecks = []Check{
	{"FleetOfOne", "Owners yields every instance of the current view once. A nil Peer stands for this process.", 1, checkFleetOfOne},
	{"Self", "Self returns the Addr of the Peer by which others reach it.", 3, checkSelf},
	{"OwnersComplete", "Owners yields every instance of the current view once. A nil Peer stands for this process.", 5, checkOwnersComplete},
	{"OwnersAgree", "The order is the same on every instance with the same view.", 5, checkOwnersAgree},
	{"Owner", "Owner returns the first of Owners(key). It allocates nothing.", 5, checkOwner},
	{"OwnersSpread", "Owners: keys in sequence spread over all instances as others do.", 4, checkOwnersSpread},
	{"Preceding", "Preceding yields the owners of the slots that this process is next for.", 4, checkPreceding},
	{"TookOver", "Its Peers yields the sender in Former and Gained, and calls Moved.", 3, checkTookOver},
	{"Others", "Others returns every instance of the current view but this one.", 4, checkOthers},
	{"PeersComparable", "While an instance stays in the view, the same value stands for it.", 4, checkComparable},
}

func checkSelf(f *fixture) {
	for i, p := range f.Peers {
		if got := p.Self(); got != f.addrs[i] {
			f.Errorf("Self of instance %d is %q; others have it as %q", i, got, f.addrs[i])
		}
	}
}

func checkAttachTaken(f *fixture) {
	f.attach(0, name, Responder{GetFunc: echo})
	if detach, err := f.Peers[0].Attach(name, Responder{}); err == nil {
		detach()
		f.Errorf("Attach of a taken name returned no error")
	}
	f.get(f.peer(1, 0), "k") // the first still answers
	f.attach(1, name, Responder{})
}

func checkDetach(f *fixture) {
	p := f.peer(1, 0)
	detach := f.attach(0, name, Responder{GetFunc: echo})
	f.get(p, "k")
	detach()
	if _, err := f.try(f.ctx, p, &cache.GetRequest{Cache: name, Keys: []string{"k"}}); !errors.Is(err, cache.ErrUnknownCache) {
		f.Errorf("Get after detach: %v; want ErrUnknownCache", err)
	}
	f.attach(0, name, Responder{GetFunc: echo})
	f.get(p, "k")
}

func checkUnknownCache(f *fixture) {
	f.attach(0, "another", Responder{GetFunc: echo})
	p := f.peer(1, 0)
	for _, m := range methods {
		if err := m.call(f.ctx, p); !errors.Is(err, cache.ErrUnknownCache) || errors.Is(err, cache.ErrNotFound) {
			f.Errorf("%s: %v; want ErrUnknownCache", m.name, err)
		}
	}
	if answers, err := f.try(f.ctx, p, &cache.GetRequest{Cache: name, Keys: []string{"k"}}); len(answers) > 0 {
		f.Errorf("Get delivered %v (and returned %v)", answers, err)
	}
}

func checkManyCaches(f *fixture) {
	names := []string{"users", "users2", "Users", "a b", "a/b", "ü", ".."}
	for i := range f.Peers {
		for _, n := range names {
			f.attach(i, n, Responder{GetFunc: func(_ context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
				deliver(0, cache.Answer{Value: fmt.Appendf(nil, "%s@%d, asked for %s", n, i, req.Cache)})
				return nil
			}})
		}
	}
	for from := range f.Peers {
		for to := range f.Peers {
			for _, n := range names {
				if from == to {
					continue
				}
				got := f.request(f.peer(from, to), &cache.GetRequest{Cache: n, Keys: []string{"k"}})
				if want := fmt.Sprintf("%s@%d, asked for %s", n, to, n); string(got[0].Value) != want {
					f.Errorf("%d asked %d for a key of cache %q and heard %q; want %q", from, to, n, got[0].Value, want)
				}
			}
		}
	}
}

func checkFleetOfOne(f *fixture) {
	if others := f.Peers[0].Others(); len(others) != 0 {
		f.Errorf("Others() = %v; want none", others)
	}
	for _, key := range anyKeys {
		if owners := slices.Collect(f.Peers[0].Owners(key)); len(owners) != 1 || owners[0] != nil {
			f.Fatalf("Owners(%.20q) = %v; want one nil", key, owners)
		}
	}
}

// owners returns the addresses of a key's owners as instance i sees them.
func (f *fixture) owners(i int, key string) []string {
	var addrs []string
	for p := range f.Peers[i].Owners(key) {
		if p == nil {
			addrs = append(addrs, f.addrs[i])
		} else {
			addrs = append(addrs, p.Addr())
		}
	}
	return addrs
}

func checkOwnersComplete(f *fixture) {
	want := slices.Sorted(slices.Values(f.addrs))
	for _, key := range append(sequence(50), anyKeys...) {
		for i, peers := range f.Peers {
			if got := slices.Sorted(slices.Values(f.owners(i, key))); !slices.Equal(got, want) {
				f.Fatalf("Owners(%.20q) on instance %d are %v; want each of %v once", key, i, got, want)
			}
			selves := 0
			for p := range peers.Owners(key) {
				if p == nil {
					selves++
				}
			}
			if selves != 1 {
				f.Fatalf("Owners(%.20q) on instance %d has %d nil Peers; want 1", key, i, selves)
			}
			for range peers.Owners(key) {
				break // must be possible
			}
		}
	}
}

func checkOwnersAgree(f *fixture) {
	for _, key := range append(sequence(200), anyKeys...) {
		want := f.owners(0, key)
		for i := range f.Peers {
			if got := f.owners(i, key); !slices.Equal(got, want) {
				f.Fatalf("Owners(%.20q) are %v on instance %d, and %v on instance 0", key, got, i, want)
			}
		}
	}
}

func checkOwner(f *fixture) {
	for _, key := range append(sequence(200), anyKeys...) {
		for i, peers := range f.Peers {
			var want cache.Peer
			for want = range peers.Owners(key) {
				break
			}
			if got := peers.Owner(key); got != want {
				f.Fatalf("Owner(%.20q) on instance %d is %v; want the first of Owners, %v", key, i, got, want)
			}
		}
	}
	if n := testing.AllocsPerRun(1000, func() { f.Peers[0].Owner("user:1000") }); n > 0 {
		f.Errorf("Owner allocates %v times", n)
	}
}

func checkOwnersSpread(f *fixture) {
	const keys = 2000
	owned, second := make(map[string]int), make(map[string]int)
	for _, key := range sequence(keys) {
		order := f.owners(0, key)
		owned[order[0]]++
		second[order[1]]++
	}
	fair := keys / len(f.Peers)
	for _, addr := range f.addrs {
		if n := owned[addr]; n < fair/2 || n > fair*2 {
			f.Errorf("%s owns %d of %d keys in sequence; a fair share is %d", addr, n, keys, fair)
		}
		if n := second[addr]; n < fair/2 || n > fair*2 {
			f.Errorf("%s is second for %d of %d keys in sequence; a fair share is %d", addr, n, keys, fair)
		}
	}
}

func checkPreceding(f *fixture) {
	preceding := make([]map[string]*cache.Slots, len(f.Peers)) // by instance, then by address
	for i, peers := range f.Peers {
		preceding[i] = make(map[string]*cache.Slots)
		for p, slots := range peers.Preceding() {
			if p == nil || preceding[i][p.Addr()] != nil {
				f.Fatalf("Preceding() of instance %d yields %v, as itself or once more", i, p)
			}
			preceding[i][p.Addr()] = slots
		}
	}
	for _, key := range append(sequence(200), anyKeys...) {
		order := f.owners(0, key)
		for i, peers := range f.Peers {
			slot := peers.Slot(key)
			for addr, slots := range preceding[i] {
				if want := order[0] == addr && order[1] == f.addrs[i]; slots.Has(slot) != want {
					f.Fatalf("the owners of %.20q are %v; Preceding() of instance %d has its slot with %s: %v", key, order, i, addr, !want)
				}
			}
			if order[1] == f.addrs[i] && preceding[i][order[0]] == nil {
				f.Fatalf("the owners of %.20q are %v; Preceding() of instance %d does not have the first", key, order, i)
			}
		}
	}
}

func checkTookOver(f *fixture) {
	moved := make(chan struct{}, 1)
	f.attach(0, name, Responder{MovedFunc: func() {
		select {
		case moved <- struct{}{}:
		default:
		}
	}})
	select {
	case <-moved: // it may have joined a moment ago
	default:
	}
	if _, err := f.peer(1, 0).Hello(f.ctx, &cache.HelloRequest{Cache: name, TookOver: true}); err != nil {
		f.Fatalf("Hello: %v", err)
	}
	await(f, moved, "Moved after a Hello with TookOver")
	gained := make(map[string]*cache.Slots)
	for p, slots := range f.Peers[0].Gained() {
		gained[p.Addr()] = slots
	}
	for _, key := range sequence(200) {
		order := f.owners(0, key)
		if order[0] != f.addrs[0] || order[1] != f.addrs[1] {
			continue
		}
		var former cache.Peer
		for former = range f.Peers[0].Former(key) {
			break
		}
		if former == nil || former.Addr() != f.addrs[1] {
			f.Fatalf("the first of Former(%.20q) is %v; want %s, which took over", key, former, f.addrs[1])
		}
		if s := gained[f.addrs[1]]; s == nil || !s.Has(f.Peers[0].Slot(key)) {
			f.Fatalf("Gained() does not have the slot of %.20q with %s, which took over", key, f.addrs[1])
		}
	}
}

// sequence returns n keys as an application makes them.
func sequence(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("user:%d", 1000+i)
	}
	return keys
}

func checkOthers(f *fixture) {
	for i, peers := range f.Peers {
		var got []string
		for _, p := range peers.Others() {
			if p == nil {
				f.Fatalf("Others() of instance %d has a nil Peer", i)
			}
			got = append(got, p.Addr())
		}
		want := slices.Delete(slices.Clone(f.addrs), i, i+1)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			f.Errorf("Others() of instance %d = %v; want %v", i, got, want)
		}
	}
}

func checkComparable(f *fixture) {
	for i, peers := range f.Peers {
		known := make(map[string]cache.Peer)
		for _, p := range peers.Others() {
			known[p.Addr()] = p
		}
		for _, p := range peers.Others() {
			if p != known[p.Addr()] {
				f.Fatalf("Others() of instance %d has two values for %s", i, p.Addr())
			}
		}
		for _, key := range sequence(20) {
			for p := range peers.Owners(key) {
				if p != nil && p != known[p.Addr()] {
					f.Fatalf("Owners() and Others() of instance %d have two values for %s", i, p.Addr())
				}
			}
		}
	}
}
