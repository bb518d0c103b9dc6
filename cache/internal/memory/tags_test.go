package memory_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
)

func fromElsewhere(it *item) {
	x := it.Extra()
	x.Peer = "elsewhere"
	it.With(x)
}

func TestTagsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tags := rapid.SliceOfN(rapid.OneOf(rapid.String(), rapid.Map(rapid.IntRange(0, 20000), func(n int) string { return strings.Repeat("t", n) })), 0, 10).Draw(t, "tags")
		packed := memory.PackTags(tags)
		if got := packed.List(); !slices.Equal(got, tags) {
			t.Fatalf("%q came back as %q", tags, got)
		}
		for tag := range packed.All() {
			if tag != tags[0] {
				t.Fatalf("the first is %q, want %q", tag, tags[0])
			}
			break
		}
	})
}

// tagged is an item that has tags.
func tagged(tags ...string) *item {
	it := val(1)
	it.With(memory.Extra{Tags: memory.PackTags(tags)})
	return it
}

func TestFenceTags(t *testing.T) {
	s := memory.New[string](1<<20, true)
	s.Put("ab", tagged("a", "b"), s.TagSeq())
	s.Put("b", tagged("b"), s.TagSeq())
	s.Put("none", val(1), s.TagSeq())
	under := begin(t, s, memory.Fill, "under", false)
	other := begin(t, s, memory.Fill, "other", false)
	before := s.TagSeq()
	s.FenceTags(1, 0, "a", "c")
	if has(s, "ab") || !has(s, "b") || !has(s, "none") {
		t.Error("it is not what has the tag that is gone")
	}
	if _, f, started := tryBegin(t, s, memory.Fill, "under", false); started || f != under || f.Seq() >= s.TagSeq() {
		t.Error("a load that has begun before is not joined, or does not say so")
	}
	s.Settle(under, tagged("c"), nil)
	s.Settle(other, tagged("d"), nil)
	if has(s, "under") || !has(s, "other") {
		t.Error("what was loading is stored though it has the tag, or not though it has not")
	}
	if !s.Invalid(tagged("c"), before) || s.Invalid(tagged("c"), s.TagSeq()) || s.Invalid(tagged("d"), before) {
		t.Error("Invalid is wrong")
	}
	s.Put("ab", tagged("a"), before)
	if has(s, "ab") {
		t.Error("what was given before is there")
	}
	s.Put("ab", tagged("a"), s.TagSeq())
	if !has(s, "ab") {
		t.Error("what was given after is not there")
	}
}

// A look-up of any kind heeds the tags.
func TestFenceTagsEveryLookUp(t *testing.T) {
	s := memory.New[string](1<<20, true)
	s.Put("k", tagged("a"), s.TagSeq())
	s.FenceTags(1, 0, "a")
	if it := s.Hit("k", false); it != nil {
		t.Error("Hit finds it")
	}
	if keys, _ := s.List(0, 1<<20); len(keys) > 0 || s.Has("k") {
		t.Error("List or Has finds it")
	}
	if it, _, started := tryBegin(t, s, memory.Fill, "k", false); it != nil || !started {
		t.Error("Begin finds it")
	}
	if it := s.Peek("k", false); it != nil {
		t.Error("Peek finds it")
	}
	if it, _, _ := s.Get("k"); it != nil || s.Usage().Entries != 0 {
		t.Error("Get finds it, or leaves it")
	}
}

// What comes from others while a tag is held is not kept when the hold has ended, however that ended. What was loaded
// here is.
func TestTagHolds(t *testing.T) {
	for name, end := range map[string]func(s *store) bool{
		"released": func(s *store) bool { return s.ReleaseTags(1, "a") },
		"over":     func(*store) bool { time.Sleep(time.Minute); return true },
		"fenced again": func(s *store) bool {
			s.FenceTags(1, s.Now()+memory.Instant(time.Second), "a")
			return s.ReleaseTags(1, "a")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memory.New[string](1<<20, true)
				s.FenceTags(1, s.Now()+memory.Instant(time.Minute), "a", "a2")
				if !s.TagsHeld(memory.PackTags([]string{"x", "a"})) || s.TagsHeld(memory.PackTags([]string{"x"})) {
					t.Error("TagsHeld is wrong")
				}
				fetched, kept := tagged("a"), tagged("x")
				fromElsewhere(fetched)
				fromElsewhere(kept)
				for key, it := range map[string]*item{"fetched": fetched, "loaded": tagged("a"), "kept": kept} {
					s.Settle(begin(t, s, memory.Fill, key, false), it, nil)
				}
				given := tagged("a")
				given.Given = true
				s.Fence(7, s.Now()+memory.Instant(time.Hour), "given")
				s.PutFenced("given", 7, given)
				joined := begin(t, s, memory.Fetch, "joined", false)
				if !end(s) {
					t.Error("there was no hold")
				}
				if got := fmt.Sprint(has(s, "fetched"), has(s, "given"), has(s, "kept")); got != "false false true" {
					t.Errorf("fetched, given, kept: %s", got)
				}
				if name != "fenced again" && !has(s, "loaded") {
					t.Error("what was loaded here is gone")
				}
				if joined.Seq() >= s.TagSeq() || !s.Invalid(fetched, joined.Seq()) {
					t.Error("who comes later takes what a fetch of that time brings")
				}
				if s.TagsHeld(fetched.Tags()) || s.ReleaseTags(1, "a") {
					t.Error("the hold is still there")
				}
			})
		})
	}
}

// Where there is no room for what is known of each tag, tags count as invalidated that were not, and none
// that was is forgotten.
func TestTagFencesAreBounded(t *testing.T) {
	s := memory.New[string](1<<20, true)
	s.Put("old", tagged("z"), s.TagSeq())
	const tags = 1000
	name := func(i int) string { return strings.Repeat(fmt.Sprint("tag", i), 10) }
	seqs := make([]memory.Seq, tags)
	for i := range tags {
		seqs[i] = s.TagSeq()
		s.FenceTags(uint64(i+1), 0, name(i))
	}
	for i, seq := range seqs {
		if !s.Invalid(tagged(name(i)), seq) {
			t.Fatalf("tag %d is forgotten", i)
		}
	}
	if has(s, "old") {
		t.Error("what is older than all that is known is there")
	}
	if s.Invalid(tagged("z"), s.TagSeq()-10) {
		t.Error("what is young is not")
	}
}

func TestTagHoldsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New[string](1<<20, true)
		const tags = 1000
		name := func(i int) string { return strings.Repeat(fmt.Sprint("tag", i), 10) }
		for i := range tags {
			s.FenceTags(uint64(i+1), s.Now()+memory.Instant(time.Hour), name(i))
		}
		for i := range tags {
			if !s.TagsHeld(memory.PackTags([]string{name(i)})) {
				t.Fatalf("tag %d is not held", i)
			}
		}
		since := s.TagSeq()
		fetched := tagged("any")
		fromElsewhere(fetched)
		time.Sleep(time.Hour)
		if s.TagsHeld(memory.PackTags([]string{name(0)})) {
			t.Error("something is held after its time")
		}
		if !s.Invalid(fetched, since) {
			t.Error("what came while every tag was held is kept")
		}
	})
}
