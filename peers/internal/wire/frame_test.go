package wire

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// parsed is what a stream of frames should be read as, up to its end or what is wrong with it.
func parsed(b []byte) (frames []Frame, err error) {
	for {
		f, n, err := ParseFrame(b, MaxPayload)
		if err != nil || n == 0 {
			return frames, err
		}
		frames = append(frames, f)
		b = b[n:]
	}
}

// checkReader fails if a Reader of src yields other frames than the stream has. A payload is the caller's if the Reader says so:
// then it is written over, which must change nothing. Time-outs of src are nothing to a Reader.
func checkReader(t rapid.TB, src io.Reader, stream []byte) {
	t.Helper()
	want, bad := parsed(stream)
	type kept struct{ payload, was []byte }
	var owned []kept
	r := NewReader(src)
	next := 0
	for timeouts := 0; ; {
		f, own, ok, err := r.Next()
		switch {
		case err != nil:
			if bad == nil || err.Error() != bad.Error() || next != len(want) {
				t.Fatalf("after %d frames of %d: %v, want %v", next, len(want), err, bad)
			}
			return
		case ok && next == len(want):
			t.Fatalf("a frame too many: %v", f)
		case ok:
			if w := want[next]; f.Type != w.Type || f.Call != w.Call || !bytes.Equal(f.Payload, w.Payload) || cap(f.Payload) != len(f.Payload) {
				t.Fatalf("frame %d: got type %d, call %d and %d bytes; want type %d, call %d and %d bytes", next, f.Type, f.Call, len(f.Payload), w.Type, w.Call, len(w.Payload))
			}
			next++
			if own {
				for i := range f.Payload {
					f.Payload[i] ^= 0x5a
				}
				owned = append(owned, kept{f.Payload, bytes.Clone(f.Payload)})
			}
			continue
		}
		switch err := r.Fill(); {
		case errors.Is(err, iotest.ErrTimeout):
			if timeouts++; timeouts > 2*len(stream)+10 {
				t.Fatal("nothing but time-outs")
			}
		case err == io.EOF:
			if next != len(want) || bad != nil {
				t.Fatalf("the end after %d frames of %d, and no %v", next, len(want), bad)
			}
			for i, k := range owned {
				if !bytes.Equal(k.payload, k.was) {
					t.Fatalf("payload %d was changed after it was given away", i)
				}
			}
			return
		case err != nil:
			t.Fatal(err)
		}
	}
}

// A cutter reads pieces of the lengths in cuts, over and over; 0 stands for a time-out.
type cutter struct {
	r    io.Reader
	cuts []int
	next int
}

func (c *cutter) Read(b []byte) (int, error) {
	n := c.cuts[c.next%len(c.cuts)]
	if c.next++; n == 0 {
		return 0, iotest.ErrTimeout
	}
	return c.r.Read(b[:min(n, len(b))])
}

// cutReaders are all ways to read a stream.
func cutReaders(stream []byte, cuts ...int) map[string]io.Reader {
	plain := func() io.Reader { return bytes.NewReader(stream) }
	all := map[string]io.Reader{
		"whole":           plain(),
		"halves":          iotest.HalfReader(plain()),
		"end with data":   iotest.DataErrReader(plain()),
		"a time-out":      iotest.TimeoutReader(plain()),
		"bytes, time-out": iotest.TimeoutReader(iotest.OneByteReader(plain())),
		"cuts":            &cutter{r: iotest.DataErrReader(plain()), cuts: slices.Concat(cuts, []int{1, 4096})},
		"with time-outs":  &cutter{r: plain(), cuts: slices.Concat(cuts, []int{0, 4096})},
	}
	if len(stream) < 8<<10 { // which takes long
		all["bytes"] = iotest.OneByteReader(plain())
		all["bytes, time-outs"] = &cutter{r: plain(), cuts: []int{1, 0}}
	} else {
		delete(all, "bytes, time-out")
	}
	return all
}

// The lengths at which a Reader does something else, and what is one more and less.
var edges = []int{0, 1, 2, 127, 128, headSize - 4, headSize, 4<<10 - 1, 4 << 10, ownedPayload - 1, ownedPayload, longFrame - 1, longFrame, longFrame + 1,
	ChunkSize - 8, ChunkSize - 1, ChunkSize, ChunkSize + 1, MaxPayload - 1, MaxPayload}

func TestReaderAtItsEdges(t *testing.T) {
	for _, a := range edges {
		for _, b := range edges {
			stream := appendFrame(nil, TypeAnswer, 1, bytes.Repeat([]byte("a"), a))
			stream = appendFrame(stream, TypeAnswer, 300, bytes.Repeat([]byte("b"), b))
			stream = appendFrame(stream, TypePing, 0, nil)
			for _, src := range []io.Reader{
				bytes.NewReader(stream),
				&cutter{r: bytes.NewReader(stream), cuts: []int{1000, 0, 30000}},
				iotest.DataErrReader(bytes.NewReader(stream)),
			} {
				checkReader(t, src, stream)
			}
		}
	}
}

func TestPropertyReaderAnyCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		for range rapid.IntRange(0, 6).Draw(t, "frames") {
			n := rapid.OneOf(rapid.IntRange(0, 300), rapid.SampledFrom(edges)).Draw(t, "length")
			payload := bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, n)
			call := rapid.OneOf(rapid.Uint64Range(0, 200), rapid.Uint64()).Draw(t, "call")
			stream = appendFrame(stream, Type(rapid.Byte().Draw(t, "type")), call, payload)
		}
		stream = append(stream, rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(t, "tail")...)
		cuts := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 10), rapid.IntRange(1, ChunkSize)), 1, 8).Draw(t, "cuts")
		for _, src := range cutReaders(stream, cuts...) {
			checkReader(t, src, stream)
		}
	})
}

// A frame whose end is a time-out away is read on where it was left.
func TestReaderGoesOnAfterTimeout(t *testing.T) {
	stream := appendFrame(nil, TypeAnswer, 7, bytes.Repeat([]byte("x"), MaxPayload))
	r := NewReader(iotest.TimeoutReader(iotest.HalfReader(bytes.NewReader(stream))))
	var errs []error
	for {
		f, own, ok, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			if !own || len(f.Payload) != MaxPayload || !reflect.DeepEqual(slices.Compact(errs), []error{nil, iotest.ErrTimeout, nil}) {
				t.Errorf("owned: %v, %d bytes, after %v", own, len(f.Payload), errs)
			}
			break
		}
		errs = append(errs, r.Fill())
	}
	if f, _, ok, err := r.Next(); ok || err != nil {
		t.Errorf("something is left: %+v, %v", f, err)
	}
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	f()
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A payload over MaxPayload is refused by its head.
func TestG11ReaderRefusesLongFrames(t *testing.T) {
	for _, n := range []int{MaxPayload + 1, 1 << 20, 1 << 40, 1<<63 - 1} {
		r := NewReader(bytes.NewReader(AppendFrameHead(nil, TypeAnswer, 1, n)))
		if err := r.Fill(); err != nil {
			t.Fatal(err)
		}
		next := func() {
			if _, _, ok, err := r.Next(); ok || !errors.Is(err, ErrTooLarge) {
				t.Fatalf("a frame of %d bytes: %v", n, err)
			}
		}
		if got := allocated(next); got > 4<<10 {
			t.Errorf("%d bytes were allocated for a frame of %d", got, n)
		}
	}
	for name, b := range map[string][]byte{
		"a call of eleven bytes":     bytes.Repeat([]byte{0xff}, 13),
		"an overlong call":           {3, 0x80, 0x00, 0x00},
		"an overlong length":         {3, 0x00, 0x80, 0x00},
		"a length of eleven bytes":   append([]byte{3, 0}, bytes.Repeat([]byte{0xff}, 11)...),
		"a length beyond 64 bits":    {3, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02},
		"an overlong call, two more": {3, 0xff, 0x80, 0x00, 0x00},
	} {
		if f, err := parsed(b); err == nil || len(f) > 0 {
			t.Errorf("%s: %v, %v", name, f, err)
		}
		checkReader(t, bytes.NewReader(b), b)
	}
}
