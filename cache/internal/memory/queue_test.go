package memory

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A queue does what a slice does, and its ring is no longer than it may be.
func TestQueueIsASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue[int]
		q.init(inMain, rapid.Bool().Draw(t, "hidden"))
		q.head = rapid.SampledFrom([]uint32{0, 1<<32 - 10}).Draw(t, "first number")
		q.tail, q.zero, q.swept = q.head, q.head, q.head
		var model []*entry[int]
		var bytes int64
		for range rapid.IntRange(0, 300).Draw(t, "steps") {
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); {
			case op < 5 || len(model) == 0:
				e := &entry[int]{cost: rapid.Int64Range(1, 9).Draw(t, "cost")}
				q.push(e)
				model = append(model, e)
				bytes += e.cost
			case op < 8:
				i := rapid.IntRange(0, len(model)-1).Draw(t, "i")
				q.remove(model[i])
				bytes -= model[i].cost
				if model[i].in != inNone {
					t.Fatal("it is still in the queue")
				}
				model = slices.Delete(model, i, i+1)
			default:
				i := rapid.IntRange(0, len(model)-1).Draw(t, "i")
				e := &entry[int]{cost: model[i].cost}
				q.replace(model[i], e)
				model[i] = e
			}
			var oldest *entry[int]
			if len(model) > 0 {
				oldest = model[0]
			}
			if q.oldest() != oldest || q.len != len(model) || q.bytes != bytes {
				t.Fatalf("%d entries of %d bytes, want %d of %d; the oldest is right: %v", q.len, q.bytes, len(model), bytes, q.oldest() == oldest)
			}
			if len(q.ring) > max(3*q.len+1, 2*minRing) {
				t.Fatalf("a ring of %d for %d entries", len(q.ring), q.len)
			}
		}
		found := make(map[*entry[int]]bool)
		for range 2*len(model) + len(q.ring) {
			if e := q.sweep(); e != nil {
				found[e] = true
			}
		}
		for _, e := range model {
			if !found[e] {
				t.Fatalf("sweeping %d times finds %d of %d entries", 2*len(model)+len(q.ring), len(found), len(model))
			}
		}
		slices.Reverse(model)
		if got := slices.Collect(q.newest); !slices.Equal(got, model) {
			t.Fatalf("%d entries, want %d, or in another order", len(got), len(model))
		}
	})
}
