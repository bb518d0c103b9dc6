package skew

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/benchtest"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/zipf"
	"github.com/seed-0f2aaebe/fleetcache/cache"
)

func TestMain(m *testing.M) { benchtest.Main(m, Child) }

// A child simulates by a time of its own: half a minute of a fleet is over in less than a second.
func TestRun(t *testing.T) {
	r, err := Run(context.Background(), Options{Short: true, Cells: regexp.MustCompile("^3/(zipf1.3|flash)$"), Progress: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	measured := r.Raw.([]Measured)
	if len(measured) != 2 || measured[0].Setting.Name() != "3/zipf1.3" || measured[1].Setting.Name() != "3/flash" {
		t.Fatalf("measured %+v", measured)
	}
	benchtest.WantRatios(t, r, "skew/3/zipf1.3/hottest", "skew/3/zipf1.3/hottest-groupcache", "skew/3/zipf1.3/hottest-plain", "skew/3/zipf1.3/crossing", "skew/3/zipf1.3/duplicated",
		"skew/3/flash/calls-per-member")
	for _, m := range measured {
		if m.Requests != 90_000 || m.Hottest(m.Calls) > 0.75 || m.Hottest(m.Plain) < 1 || m.Duplicated <= 0 || m.Duplicated > 0.5 {
			t.Errorf("%s: %d requests, hottest %v and %v, duplicated %v", m.Setting.Name(), m.Requests, m.Hottest(m.Calls), m.Hottest(m.Plain), m.Duplicated)
		}
	}
	if most := slices.Max(measured[1].FlashCalls); most != 2 {
		t.Errorf("a member asks for the new key %d times, want 2", most)
	}
	var b strings.Builder
	if err := r.Text(&b); err != nil {
		t.Fatal(err)
	}
	benchtest.WantLines(t, b.String(), `^3 members, 100000 keys`, `^  zipf1.3 +0\.\d+`, `^  3 +2 +2 +\d`)
}

func TestRunSaysWhatFailed(t *testing.T) {
	_, err := runAll(context.Background(), []Setting{{Members: 2, Keys: 10, Popularity: "none", Rate: 1}}, t.Logf)
	if err == nil || !strings.Contains(err.Error(), `no popularity "none"`) {
		t.Errorf("error %v", err)
	}
}

// newFleet returns a fleet of n that is closed at the end, and has keys of its members 0 and 1 each.
func newFleet(t *testing.T, n int) (sim *simulation, keysOf [2][]int) {
	t.Helper()
	sim, err := newSimulation(Setting{Members: n, Keys: 1000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.close)
	sim.reset()
	for k, owner := range sim.owners {
		if owner < 2 {
			keysOf[owner] = append(keysOf[owner], k)
		}
	}
	return sim, keysOf
}

// A fleet of three, by hand: what each request counts.
func TestRequestsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, keysOf := newFleet(t, 3)
		key := keysOf[1][0]
		request := func(m int) {
			t.Helper()
			if err := sim.request(m, key); err != nil {
				t.Fatal(err)
			}
		}
		want := func(when string, asked ...int64) {
			t.Helper()
			if m := sim.measured(); !slices.Equal(m.Calls, asked) {
				t.Errorf("%s, members were asked %v, want %v", when, m.Calls, asked)
			}
		}
		request(1)
		want("by its owner's own callers", 0, 0, 0)
		request(0)
		want("by one who has never fetched it", 0, 1, 0)
		request(0)
		want("by one who has fetched it once", 0, 2, 0)
		request(0)
		want("by one who mirrors it", 0, 2, 0)
		request(2)
		want("by another one", 0, 3, 0)
		time.Sleep(cache.DefaultMirrorTTL)
		request(0)
		want("when the lease is over", 0, 4, 0)
		request(0)
		want("by one who mirrors it again", 0, 4, 0)

		m := sim.measured()
		if m.Requests != 7 || m.Loads != 1 || !slices.Equal(m.Plain, []int64{0, 6, 0}) {
			t.Errorf("%d requests, %d loads, plain %v", m.Requests, m.Loads, m.Plain)
		}
		if got, want := m.Hottest(m.Calls), 4.0/2; got != want {
			t.Errorf("hottest %v, want %v", got, want)
		}
		if got, want := m.Crossing(m.Calls), 4.0/7; got != want {
			t.Errorf("crossing %v, want %v", got, want)
		}
		if m.Duplicated < 0.4 || m.Duplicated > 0.6 { // one mirror of one value, which has an address beside
			t.Errorf("duplicated %v, want a half", m.Duplicated)
		}
		sim.reset()
		if m := sim.measured(); m.Requests != 0 || total(m.Calls)+total(m.Group)+total(m.Plain) != 0 {
			t.Errorf("after a reset: %+v", m)
		}
	})
}

func TestFlashCallsAreCountedByMember(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, _ := newFleet(t, 3)
		for range 5 {
			for m := range 3 {
				if err := sim.request(m, sim.Keys); err != nil {
					t.Fatal(err)
				}
			}
		}
		want := []int64{2, 2, 2}
		want[sim.owners[sim.Keys]] = 0
		if m := sim.measured(); !slices.Equal(m.FlashCalls, want) || m.PerMember(m.FlashCalls) != 2 {
			t.Errorf("calls %v, want %v; %v a member", m.FlashCalls, want, m.PerMember(m.FlashCalls))
		}
	})
}

func TestMembersAsPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, keysOf := newFleet(t, 3)
		a, b := sim.members.all[0], sim.members.all[1]
		own, others := sim.keys[keysOf[0][0]], sim.keys[keysOf[1][0]]
		if a.Owner(own) != nil || a.Owner(others) != cache.Peer(b) {
			t.Errorf("%v owns its own key, %v the other's", a.Owner(own), a.Owner(others))
		}
		if owners := slices.Collect(a.Owners(others)); len(owners) != 3 || owners[0] != cache.Peer(b) || !slices.Contains(owners, nil) {
			t.Errorf("owners %v", owners)
		}
		if _, err := a.Attach("skew", a.responder); err == nil {
			t.Error("a second cache can be attached")
		}
		ask := b.Get(&cache.GetRequest{Cache: "skew", Keys: []string{others, "other"}}, time.Second)
		defer ask.Close()
		for range 2 {
			if _, answer, err := ask.Next(t.Context()); err != nil || answer.Status != cache.StatusOK || len(answer.Value) != valueBytes {
				t.Errorf("answer %v, %v", answer.Status, err)
			}
		}
		if _, _, err := ask.Next(t.Context()); err == nil || err.Error() != "EOF" {
			t.Errorf("after the last answer: %v", err)
		}
		if b.asked.Load() != 2 || sim.members.calls.Load() != 2 {
			t.Errorf("counted %d, and %d of all", b.asked.Load(), sim.members.calls.Load())
		}
		wrong := b.Get(&cache.GetRequest{Cache: "skew", Version: "other", Keys: []string{others}}, time.Second)
		defer wrong.Close()
		if _, _, err := wrong.Next(t.Context()); err == nil || err.Error() == "EOF" {
			t.Errorf("of another version: %v", err)
		}
	})
}

func TestPopularities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim, _ := newFleet(t, 3)
		for _, p := range popularities {
			sim.Popularity = p.name
			pop, err := sim.popularity()
			if err != nil {
				t.Fatal(err)
			}
			for range 1000 {
				k := pop.draw(sim.rng)
				if k < 0 || k >= sim.Keys || p.name == "one-owner" && sim.owners[k] != 0 || p.name == "uniform" && k >= 2*sim.mirrors() {
					t.Fatalf("%s: key %d", p.name, k)
				}
			}
		}
	})
}

func TestZipf(t *testing.T) {
	const draws = 100_000
	z, rng := popular{zipf.New(4, 1)}, rand.New(rand.NewPCG(1, 1))
	var drawn [4]float64
	for range draws {
		drawn[z.draw(rng)]++
	}
	for i, want := range []float64{12, 6, 4, 3} {
		if got := drawn[i] / draws * 25; math.Abs(got-want) > 0.3 {
			t.Errorf("%d was drawn %.1f times in 25, want %v", i, got, want)
		}
	}
}

func TestSettings(t *testing.T) {
	names := make(map[string]bool)
	for _, s := range Settings(false) {
		names[s.Name()] = true
		if s.Warm <= cache.DefaultMirrorTTL {
			t.Errorf("%s: counting begins after %v, when the first leases last", s.Name(), s.Warm)
		}
	}
	for _, members := range []int{3, 10, 100, 1000} {
		for _, p := range popularities {
			if name := fmt.Sprintf("%d/%s", members, p.name); !names[name] {
				t.Errorf("there is no %s", name)
			}
		}
	}
	if got := (Setting{Members: 10}).bound(); got != 184 {
		t.Errorf("8 n ln n is %d, want 184", got)
	}
}
