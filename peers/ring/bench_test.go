package ring_test

import (
	"fmt"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/peers/ring"
)

// Run with: go test -run '^$' -bench . -benchmem ./peers/ring

func BenchmarkOwner(b *testing.B) {
	for _, n := range []int{3, 100, 1000} {
		t := mustNew(b, fleet(0, n)...)
		keys := make([]string, 1<<12)
		for i := range keys {
			keys[i] = fmt.Sprintf("user:%d", i)
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			sum, i := 0, 0
			for b.Loop() {
				sum += t.Owner(keys[i%len(keys)])
				i++
			}
			sink = sum
		})
	}
}

// BenchmarkOwnerOfSlot is the lookup after the hash.
func BenchmarkOwnerOfSlot(b *testing.B) {
	t := mustNew(b, fleet(0, 100)...)
	sum, slot := 0, 0
	for b.Loop() {
		sum += t.OwnerOfSlot(slot)
		slot = (slot + 40503) % ring.Slots // an odd stride: every slot, in no near order
	}
	sink = sum
}

func BenchmarkOwners(b *testing.B) {
	for _, n := range []int{3, 10, 100} {
		t := mustNew(b, fleet(0, n)...)
		for _, take := range []int{2, 4, n} {
			b.Run(fmt.Sprintf("members=%d/take=%d", n, take), func(b *testing.B) {
				b.ReportAllocs()
				sum := 0
				for b.Loop() {
					left := take
					for i := range t.Owners("user:1000") {
						sum += i
						if left--; left == 0 {
							break
						}
					}
				}
				sink = sum
			})
		}
	}
}

func BenchmarkNew(b *testing.B) {
	for _, n := range []int{3, 10, 100, 1000} {
		members := fleet(0, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sink = mustNew(b, members...).Len()
			}
		})
	}
}

var sink int
