package wire

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// keptPayload is a payload that somebody keeps.
type keptPayload struct {
	chunk   *Chunk
	payload []byte
	want    []byte
}

func (k *keptPayload) check(t *rapid.T) {
	if !bytes.Equal(k.payload, k.want) {
		t.Fatalf("a payload of %d bytes has changed while it was kept", len(k.want))
	}
}

// Payloads that are kept stay good while the Reader reads on, whatever their lengths and however they come.
func TestPropertyKeptPayloadsStayGood(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lengths := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(1, 300), rapid.IntRange(1, 20<<10), rapid.SampledFrom(edges)), 1, 200).Draw(t, "lengths")
		var payloads [][]byte
		var stream []byte
		for i, n := range lengths {
			b := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, n)[:min(n, MaxPayload)]
			payloads = append(payloads, b)
			stream = appendFrame(stream, TypeAnswer, uint64(i), b)
		}
		cuts := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(1, 2000), rapid.IntRange(1, ChunkSize)), 1, 8).Draw(t, "cuts")
		keeps := rapid.SliceOfN(rapid.IntRange(0, 3), 1, 50).Draw(t, "keeps")
		r := NewLendingReader(&cutter{r: bytes.NewReader(stream), cuts: slices.Concat(cuts, []int{4096})})
		var kept []keptPayload
		for i := 0; i < len(payloads); {
			f, owned, ok, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				if err := r.Fill(); err != nil {
					t.Fatalf("after %d of %d frames: %v", i, len(payloads), err)
				}
				continue
			}
			k := keptPayload{payload: f.Payload, want: payloads[i]}
			k.check(t)
			if action := keeps[i%len(keeps)]; owned {
				kept = append(kept, k)
			} else if action > 0 {
				if k.chunk = r.Keep(); k.chunk != nil {
					kept = append(kept, k)
				}
				if action == 3 && len(kept) > 0 {
					kept[i%len(kept)].check(t)
					kept[i%len(kept)].chunk.Release()
					kept = slices.Delete(kept, i%len(kept), i%len(kept)+1)
				}
			}
			if out := r.out.Load(); out > maxChunks+1 {
				t.Fatalf("%d chunks are in use", out)
			}
			i++
		}
		for _, k := range kept {
			k.check(t)
			k.chunk.Release()
		}
		if err := r.Fill(); err != io.EOF {
			t.Fatalf("at the end: %v", err)
		}
		if out := r.out.Load(); out != 1 {
			t.Fatalf("%d chunks are in use when nobody keeps any", out)
		}
	})
}

// A receiver that keeps all that comes makes the Reader lend no more than maxChunks, and then none.
func TestLentMemoryIsBounded(t *testing.T) {
	for _, n := range []int{100, 1 << 10, ownedPayload, MaxPayload} {
		stream := bytes.Repeat(appendFrame(nil, TypeAnswer, 1, make([]byte, n)), 3*maxChunks*max(1, ChunkSize/n))
		r := NewLendingReader(bytes.NewReader(stream))
		refused := 0
		for r.Fill() == nil {
			for {
				_, owned, ok, err := r.Next()
				if err != nil {
					t.Fatal(err)
				}
				if !ok {
					break
				}
				if owned || r.Keep() == nil {
					refused++
				}
			}
		}
		if out := r.out.Load(); out > maxChunks+1 || refused == 0 {
			t.Errorf("payloads of %d bytes: %d chunks are in use, and %d payloads were not lent", n, out, refused)
		}
	}
}
