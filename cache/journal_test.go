package cache

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
)

func fenceOf(id uint64, keys ...string) *FenceRequest { return &FenceRequest{ID: id, Keys: keys} }

// A journal tells what came since, to one who knows up to where it was told, and to one who has held something for a while.
func TestJournalTellsWhatWasMissed(t *testing.T) {
	j := newJournal(64 << 20)
	minute := memory.Instant(time.Minute)
	for i := range 5 {
		j.raise(fenceOf(uint64(i+1), fmt.Sprint("k", i)), minute*memory.Instant(i), 0)
	}
	j.raise(fenceOf(5, "k4"), 4*minute, 0) // comes twice
	now := 5 * minute
	for _, tt := range []struct {
		name string
		req  HelloRequest
		want string
	}{
		{"all", HelloRequest{Since: time.Hour}, "1 2 3 4 5"},
		{"of another life", HelloRequest{Life: j.life + 1, Seq: 3, Since: time.Hour}, "1 2 3 4 5"},
		{"of the last minutes", HelloRequest{Since: 2 * time.Minute}, "4 5"},
		{"of no time", HelloRequest{}, ""},
		{"since it was told", HelloRequest{Life: j.life, Seq: 3, Since: time.Hour}, "4 5"},
		{"told all", HelloRequest{Life: j.life, Seq: 5, Since: time.Hour}, ""},
		{"briefly", HelloRequest{Life: j.life, Seq: 2, Brief: true}, ""},
		{"for ever", HelloRequest{Since: Forever}, "1 2 3 4 5"},
	} {
		r := j.tell(&tt.req, now)
		var ids []string
		for _, m := range r.Missed {
			ids = append(ids, fmt.Sprint(m.ID))
		}
		if got := strings.Join(ids, " "); got != tt.want || r.Gap || r.Life != j.life || r.Seq != 5 {
			t.Errorf("%s: missed %s, gap %v, at %d; want %s", tt.name, got, r.Gap, r.Seq, tt.want)
		}
	}
}

// A journal is bounded, and says so when it does not reach back.
func TestJournalThatIsFull(t *testing.T) {
	j := newJournal(1 << 20) // 8 KiB
	for i := range 1000 {
		j.raise(fenceOf(uint64(i+1), strings.Repeat("k", 100)), memory.Instant(i)*memory.Instant(time.Second), 0)
		if j.bytes > j.limit || len(j.ids) != len(j.noted) {
			t.Fatalf("%d bytes of %d, %d ids of %d", j.bytes, j.limit, len(j.ids), len(j.noted))
		}
	}
	now := memory.Instant(1000 * time.Second)
	for _, tt := range []struct {
		req HelloRequest
		gap bool
	}{
		{HelloRequest{Life: j.life, Seq: j.lost - 1}, true},
		{HelloRequest{Life: j.life, Seq: j.lost}, false},
		{HelloRequest{Since: time.Hour}, true},
		{HelloRequest{Since: 10 * time.Second}, false},
	} {
		if r := j.tell(&tt.req, now); r.Gap != tt.gap || r.Gap && r.Missed != nil {
			t.Errorf("%+v: gap %v, %d missed", tt.req, r.Gap, len(r.Missed))
		}
	}
	if j.knows(1) || !j.knows(1000) {
		t.Error("it knows what it has dropped, or not what it has")
	}
}

// Holds are told as long as they are on. Where there are too many, everything is held.
func TestJournalTellsHolds(t *testing.T) {
	j := newJournal(1 << 20)
	second := memory.Instant(time.Second)
	j.raise(fenceOf(1, "a"), 0, 5*second)
	j.raise(fenceOf(2, "b"), 0, 9*second)
	j.raise(&FenceRequest{ID: 3, All: true}, 0, 9*second)
	j.release(3)
	told := func(now memory.Instant) []FenceRequest { return j.tell(&HelloRequest{Life: 1}, now).Holds }
	if holds := told(second); len(holds) != 2 {
		t.Errorf("%+v", holds)
	}
	if holds := told(6 * second); len(holds) != 1 || holds[0].ID != 2 || holds[0].Hold != 3*time.Second {
		t.Errorf("%+v", holds)
	}
	for i := range 200 {
		j.raise(fenceOf(uint64(10+i), strings.Repeat("k", 100)), 0, 9*second)
	}
	if holds := told(second); !slices.ContainsFunc(holds, func(f FenceRequest) bool { return f.All && f.Hold == 8*time.Second }) || j.held > j.limit {
		t.Errorf("%d holds of %d bytes, and none of all keys", len(holds), j.held)
	}
	if holds := told(9 * second); len(holds) != 0 {
		t.Errorf("%+v", holds)
	}
	if told(9*second + memory.Instant(doubtTime)); j.held != 0 {
		t.Errorf("%d bytes are left", j.held)
	}
}

// What did not reach everybody, and what this instance heard late, is in doubt for a time. Who has just come is told to hold it.
func TestJournalDoubts(t *testing.T) {
	j := newJournal(1 << 20)
	second, doubt := memory.Instant(time.Second), memory.Instant(doubtTime)
	j.raise(fenceOf(1, "ran out"), 0, 5*second)
	j.raise(fenceOf(2, "released"), 0, 5*second)
	j.release(2)
	j.raise(fenceOf(3, "late"), 0, 0)
	j.late(Invalidation{ID: 3, Keys: []string{"late"}}, 0)
	j.raise(fenceOf(4, "heard"), 0, 5*second)
	j.heard(4)
	for key, until := range map[string]memory.Instant{
		"ran out": 5*second + doubt, "released": 0, "late": doubt, "heard": 5 * second, "other": 0,
	} {
		if until > 0 && !j.doubts(key, until-1) || j.doubts(key, until) {
			t.Errorf("%q is not in doubt until %v, or after that", key, time.Duration(until))
		}
	}
	if holds := j.tell(&HelloRequest{}, 6*second).Holds; len(holds) != 2 || holds[0].Hold+holds[1].Hold != 2*doubtTime-7*time.Second {
		t.Errorf("who comes is told %+v", holds)
	}
	if holds := j.tell(&HelloRequest{Life: 1}, 6*second).Holds; len(holds) != 0 {
		t.Errorf("who is there is told %+v", holds)
	}
	j.late(Invalidation{ID: 5, All: true}, 100*second)
	if !j.doubts("other", 101*second) || j.doubts("other", 100*second+doubt) {
		t.Error("an invalidation of everything has nothing in doubt")
	}
	for i := range 1000 {
		j.late(Invalidation{ID: uint64(10 + i), Keys: []string{strings.Repeat("k", 100)}}, 300*second)
	}
	if !j.doubts("other", 301*second) || j.held > j.limit {
		t.Errorf("%d bytes, %d allowed, and not all is in doubt", j.held, j.limit)
	}
}

// An invalidation that was released has reached everyone: what others have of its keys is in no doubt, neither here nor
// with those who hear of it late.
func TestJournalOfWhatIsOver(t *testing.T) {
	j := newJournal(1 << 20)
	for id, key := range []string{"", "k", "l", "m"} {
		if id > 0 {
			j.raise(fenceOf(uint64(id), key), 0, memory.Instant(time.Second))
		}
	}
	j.release(2)
	r := j.tell(&HelloRequest{Since: time.Hour}, 2)
	var over []bool
	for _, m := range r.Missed {
		over = append(over, m.Over)
	}
	if want := []bool{false, true, false}; !slices.Equal(over, want) {
		t.Errorf("over: %v, want %v", over, want)
	}
	now := memory.Instant(10 * time.Second)
	if !j.doubts("k", now) || j.doubts("l", now) || !j.doubts("m", now) {
		t.Error("it is not what was not released that is in doubt")
	}
	j.late(Invalidation{ID: 9, Keys: []string{"n"}}, now)
	if !j.doubts("n", now) {
		t.Error("what was heard of late is in no doubt")
	}
	if j.release(9); j.doubts("n", now) {
		t.Error("it is, though it is over")
	}
	if now += memory.Instant(2 * doubtTime); j.doubts("k", now) {
		t.Error("the doubt does not end")
	}
}
