package deploy

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/benchtest"
)

func TestMain(m *testing.M) { benchtest.Main(m, Child) }

func TestRun(t *testing.T) {
	r, err := Run(context.Background(), Options{Duration: time.Second, Progress: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	m := r.Raw.(Measured)
	for _, w := range ways {
		if c := m.Counts[w.name]; c.Asked < 500 {
			t.Errorf("%s: %+v", w.name, c)
		}
		phases := m.Loads[w.name]
		if len(phases) != 3 {
			t.Fatalf("%s: %d phases, want 3", w.name, len(phases))
		}
		for _, ph := range phases {
			if ph.Loads == 0 || ph.To <= ph.From {
				t.Errorf("%s: %+v", w.name, ph)
			}
		}
	}
	if len(m.Drains) != m.Plan.Instances {
		t.Errorf("%d drains, want %d", len(m.Drains), m.Plan.Instances)
	}
	for _, ratio := range r.Ratios {
		if ratio.Value <= 0 {
			t.Errorf("%s is %v", ratio.Name, ratio.Value)
		}
	}
}

func TestMeasured(t *testing.T) {
	at := func(from time.Duration, every time.Duration, n int) (loads []loaded) {
		for i := range n {
			loads = append(loads, loaded{from + every*time.Duration(i), i%10 == 9})
		}
		return loads
	}
	p := Plan{Second: time.Second}
	phase := func(name string, from, to time.Duration, loads []loaded) Phase {
		return Phase{Name: name, From: from, To: to}.count(loads, p.Second)
	}
	replaced := append(at(10*time.Second, 100*time.Millisecond, 90), at(19*time.Second, 50*time.Millisecond, 20)...)
	m := Measured{Plan: p, Loads: map[string][]Phase{cacheWay: {
		phase(steadyPhase, 0, 10*time.Second, at(0, 100*time.Millisecond, 100)),
		phase(replacedPhase, 10*time.Second, 20*time.Second, replaced),
		phase(crashedPhase, 20*time.Second, 25*time.Second, at(20*time.Second, 50*time.Millisecond, 100)),
	}}}
	want := map[string]float64{"some/average": 1.1, "some/peak": 2, "some/crash": 2}
	for _, r := range m.ratios(cacheWay, "some/") {
		if math.Abs(r.Value-want[r.Name]) > 1e-9 {
			t.Errorf("%s is %v, want %v", r.Name, r.Value, want[r.Name])
		}
	}
	if again := m.Loads[cacheWay][1].Again; again != 11 {
		t.Errorf("%d of 110 loads were of what had been loaded, want 11", again)
	}
}

func TestOriginKnowsWhatIsLoadedAgain(t *testing.T) {
	o, err := newOrigin(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer o.close()
	from := newSource(o.url)
	defer from.client.CloseIdleConnections()
	for range 2 {
		value, ttl, err := from.load(t.Context(), cacheWay, "key-1")
		if err != nil || len(value) != valueBytes || ttl <= 0 || ttl > time.Minute {
			t.Fatalf("%d bytes, TTL %v, %v", len(value), ttl, err)
		}
	}
	if _, _, err := from.load(t.Context(), groupWay, "key-1"); err != nil {
		t.Fatal(err)
	}
	if loads := o.between(cacheWay, 0, time.Hour); len(loads) != 2 || loads[0].again {
		t.Errorf("loads %+v", loads)
	}
	if loads := o.between(groupWay, 0, time.Hour); len(loads) != 1 || loads[0].again {
		t.Errorf("loads %+v", loads)
	}
}
