package httpcache

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// What an instance remembers of soft purges is bounded. However many there are, it never takes for fresh what one that remembers all would not; and
// as long as it need not forget any, it takes nothing else for stale either.
func TestSoftPurgesAreNotForgotten(t *testing.T) {
	for name, tt := range map[string]struct {
		purges, names int
		every         time.Duration // on an average
		exact         bool
	}{
		"few":            {50, 4, 100 * time.Millisecond, true},
		"of the same":    {1000, 1, 10 * time.Millisecond, false},
		"now and then":   {100, 4, 10 * time.Second, false},
		"of many things": {3 * maxPurges, 2 * maxPurges, time.Millisecond, false},
		"rare, of many":  {2 * maxPurges, 2 * maxPurges, 20 * time.Millisecond, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(1, 2))
				var ps purges
				all := make(map[string][]purge) // by name; "" has those of everything
				names := []string{"/never"}
				for n := range tt.purges {
					time.Sleep(time.Duration(rng.Int64N(2 * int64(tt.every))))
					p, of := purge{fmt.Sprint(n), time.Now()}, fmt.Sprint("/", rng.IntN(tt.names))
					if rng.IntN(5*tt.names) == 0 {
						of = ""
						ps.note(p.id, softAll, nil)
					} else {
						ps.note(p.id, softURL, []string{of})
					}
					if all[of] = append(all[of], p); of != "" {
						names = append(names, of)
					}
					if ps.n > maxPurges || len(ps.all.last) > maxSame || len(ps.at[softURL+of].last) > maxSame {
						t.Fatalf("%d are remembered, %d of everything", ps.n, len(ps.all.last))
					}
					// A response that is loaded with some of them known, and looked at now.
					u := names[rng.IntN(len(names))]
					o := &object{arrived: time.Now().Add(-time.Duration(rng.Int64N(int64(tt.every) << rng.IntN(16)))), remote: rng.IntN(4) > 0}
					loaded, purged := o.arrived, false
					if o.remote {
						loaded = loaded.Add(-purgeMargin)
					}
					for _, p := range append(all[""][:len(all[""]):len(all[""])], all[u]...) {
						switch {
						case o.remote && rng.IntN(10) > 0:
							o.after = append(o.after, p.id)
						case p.at.After(loaded):
							purged = true
						}
					}
					if got := ps.has(u, o); !got && purged || got != purged && tt.exact {
						t.Fatalf("after %d purges: purged: %v, want %v", n+1, got, purged)
					}
				}
				n := 0
				for _, s := range ps.at {
					n += len(s.last)
				}
				if n != ps.n {
					t.Errorf("%d are remembered, and %d counted", n, ps.n)
				}
			})
		})
	}
}

// One that is forgotten for another one to be remembered holds, though the owner knew that other one.
func TestSoftPurgeIsForgottenForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ps purges
		ps.note("first", softURL, []string{"/x"})
		ps.note("second", softKeys, make([]string, maxPurges))
		if o := (&object{arrived: time.Now().Add(time.Second), remote: true, after: []string{"second"}}); !ps.has("/x", o) {
			t.Error("it is forgotten")
		}
	})
}
