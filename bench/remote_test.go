package bench

import (
	"context"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/kind"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/load"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/remote"
)

func TestMain(m *testing.M) {
	remote.Child()
	m.Run()
}

// BenchmarkRemote measures what compare -what remote does, each kind by itself. An operation is a key. Kinds whose programs
// are not installed are left out.
func BenchmarkRemote(b *testing.B) {
	pairs, skipped, err := remote.OpenAll(context.Background(), kind.All())
	if err != nil {
		b.Fatal(err)
	}
	defer remote.CloseAll(pairs)
	for _, why := range skipped {
		b.Log(why)
	}
	var names []string
	for name := range pairs {
		names = append(names, name)
	}
	for _, cell := range remote.Matrix(names, false) {
		for _, e := range cell.Entries {
			b.Run(cell.Name+"/"+e.Label, func(b *testing.B) { measure(b, pairs[e.Kind], e.Shape) })
		}
	}
}

func measure(b *testing.B, p *remote.Pair, shape load.Shape) {
	ctx := context.Background()
	if err := p.Prepare(ctx, shape); err != nil {
		b.Fatal(err)
	}
	if _, err := p.Run(ctx, load.Limit{Duration: 20 * time.Millisecond}); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	s, err := p.Run(ctx, load.Limit{Ops: int64(b.N)})
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(s.Elapsed.Nanoseconds())/float64(s.Ops), "ns/op")
	b.ReportMetric(s.Rate(), "ops/s")
	b.ReportMetric(float64(s.P50.Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(s.P99.Nanoseconds()), "p99-ns")
	b.ReportMetric(s.CPU(), "CPU-s/Mop")
	b.ReportMetric(s.ClientAllocs(), "client-allocs/op")
	b.ReportMetric(s.ServerAllocs(), "server-allocs/op")
}
