package memory_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
)

func bytesItem(value []byte) *memory.Item[[]byte] {
	return &memory.Item[[]byte]{Value: value, Size: int64(len(value)), Fresh: memory.Never, Until: memory.Never, Lease: memory.Never}
}

// valueOf is a value of which each byte follows from key and n: who reads another one's, or what is no longer there, notices.
func valueOf(key string, n, size int) []byte {
	return bytes.Repeat([]byte(fmt.Sprintf("%s=%d;", key, n)), size/(len(key)+4)+1)
}

// isValueOf reports whether value is one of key's.
func isValueOf(key string, value []byte) bool {
	first, _, ok := bytes.Cut(value, []byte(";"))
	part := append(slices.Clone(first), ';')
	return ok && bytes.HasPrefix(first, []byte(key+"=")) && bytes.Equal(value, bytes.Repeat(part, len(value)/len(part)))
}

// Whatever comes and goes, an arena has what its store has, and wastes no more than it may.
func TestArenaAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := memory.NewInArenas[[]byte](rapid.Int64Range(64<<10, 3<<20).Draw(t, "maxBytes"), true)
		model := make(map[string][]byte)
		sizes := rapid.SampledFrom([]int{0, 1, 50, 200, 700, 900, 3000})
		for n := range rapid.IntRange(1, 400).Draw(t, "steps") {
			key := strings.Repeat("k", rapid.SampledFrom([]int{1, 22, 60}).Draw(t, "long")) + fmt.Sprint(rapid.IntRange(0, 300).Draw(t, "key"))
			switch rapid.IntRange(0, 30).Draw(t, "op") {
			case 0:
				s.FenceAll(uint64(n+1), 0)
				clear(model)
			case 1, 2, 3, 4:
				s.Fence(uint64(n+1), 0, key)
				delete(model, key)
			case 5:
				it := bytesItem(valueOf(key, n, 100)).With(memory.Extra{Tags: memory.PackTags([]string{"t"})})
				s.Put(key, it, s.TagSeq())
				model[key] = slices.Clone(it.Value)
			case 6:
				s.FenceTags(uint64(n+1), 0, "t")
			case 7:
				if it, _, _ := s.Get(key); it != nil {
					s.SetEncoded(key, it, []byte("encoded"))
				}
			default:
				value := valueOf(key, n, sizes.Draw(t, "size"))
				s.Put(key, bytesItem(value), 0)
				model[key] = slices.Clone(value)
				clear(value) // the store has a copy
			}
			if it, _, _ := s.Get(key); it != nil && !bytes.Equal(it.Value, model[key]) {
				t.Fatalf("%q is %q, want %q", key, it.Value, model[key])
			}
			if err := s.CheckArenas(); err != nil {
				t.Fatal(err)
			}
		}
		for key, want := range model {
			if it := s.Peek(key, false); it != nil && !bytes.Equal(it.Value, want) {
				t.Fatalf("%q is %q, want %q", key, it.Value, want)
			}
		}
	})
}

// Nil and empty values stay what they are, and nobody can append to a value into the next one.
func TestArenaKeepsTheFormOfValues(t *testing.T) {
	s := memory.NewInArenas[[]byte](1<<20, false)
	for key, value := range map[string][]byte{"nil": nil, "empty": {}, "piece": make([]byte, 8)[:4]} {
		s.Put(key, bytesItem(value), 0)
		if got := s.Peek(key, false).Value; !bytes.Equal(got, value) || (got == nil) != (value == nil) || cap(got) != len(got) {
			t.Errorf("%s: %v with room for %d", key, got, cap(got))
		}
	}
}

// A block that ends where its chunk does, and the memory that Go's allocator gave for that, is left at no end beyond it.
func TestArenaBlocksEndWithTheirChunk(t *testing.T) {
	const chunk = 5376 // a size that the allocator has, and 32 blocks of entries that have nothing but a short key
	s := memory.NewInArenas[[]byte](chunk*128, false)
	for i := range 500 {
		s.Put(fmt.Sprint(i), bytesItem(nil), 0)
	}
	if all, live := s.ArenaBytes(); all%chunk != 0 || live != 500*168 {
		t.Errorf("%d bytes of %d in chunks: this tests nothing any more", live, all)
	}
}

// collected is set in a process that has what is freed overwritten.
const collected = "GODEBUG=clobberfree=1"

// What is read is never freed, though the collector is not shown what points to it, and not before the last who reads it is done. What the collector
// frees is overwritten here, and values tell whether they are whole.
func TestArenaUnderCollections(t *testing.T) {
	if !slices.Contains(os.Environ(), collected) {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestArenaUnderCollections$", "-test.v")
		cmd.Env = append(os.Environ(), collected)
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS")) {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	s := memory.NewInArenas[[]byte](1<<20, true)
	var stop atomic.Bool
	var collector, wg sync.WaitGroup
	collector.Go(func() {
		for !stop.Load() {
			runtime.GC()
		}
	})
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			type read struct {
				key   string
				value []byte
			}
			var held [64]read // which are looked at long after they were read
			for i := range 20_000 {
				key := fmt.Sprint(r.IntN(4000), "of many")
				switch op := r.IntN(1000); {
				case op == 0:
					s.FenceAll(1, 0)
				case op < 50:
					s.Fence(1, 0, key)
				case op < 60:
					s.Put(key, bytesItem(valueOf(key, i, 100)).With(memory.Extra{Tags: memory.PackTags([]string{"t"})}), s.TagSeq())
				case op < 500:
					s.Put(key, bytesItem(valueOf(key, i, r.IntN(900))), 0)
				}
				if it, _, _ := s.Get(key); it != nil {
					held[i%len(held)] = read{key, it.Value}
				}
				if h := held[r.IntN(len(held))]; h.key != "" && !isValueOf(h.key, h.value) {
					t.Errorf("%q was read, and has become %q", h.key, h.value)
					return
				}
			}
		})
	}
	wg.Wait()
	stop.Store(true)
	collector.Wait()
	if err := s.CheckArenas(); err != nil {
		t.Error(err)
	}
}
