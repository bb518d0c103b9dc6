package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// join puts the parts in frames together.
func join(t rapid.TB, stream []byte, limit int) (typ Type, payload []byte, ok bool) {
	t.Helper()
	frames, err := parsed(stream)
	if err != nil {
		t.Fatal(err)
	}
	var m *Message
	for i, f := range frames {
		switch {
		case i == 0 && f.Type&FirstPart != 0:
			m, err = NewMessage(f.Type, f.Payload, limit)
		case i > 0 && f.Type == TypePart:
			err = m.Add(f.Payload, i%2 == 0)
		default:
			t.Fatalf("frame %d is of type %d", i, f.Type)
		}
		if err != nil {
			t.Fatal(err)
		}
		if whole := m.Whole(); whole != (i == len(frames)-1) {
			t.Fatalf("whole after frame %d of %d: %v", i, len(frames), whole)
		}
	}
	return m.Type, m.Payload(), m.Whole()
}

// held is how much memory m takes.
func held(m *Message) (n int) {
	for _, p := range m.parts {
		n += cap(p)
	}
	return n
}

func TestMessageComesBack(t *testing.T) {
	want := encoded(t, samples()["store"])
	for n := range len(want) + 1 {
		typ, got, ok := join(t, appendParts(nil, TypeRequest, 5, want, n+1), len(want))
		if typ != TypeRequest || !ok || !bytes.Equal(got, want) {
			t.Errorf("in parts of %d: type %d, %x, %v", n+1, typ, got, ok)
		}
	}
	if typ, got, ok := join(t, appendParts(nil, TypeAnswer, 5, nil, 1), 0); typ != TypeAnswer || !ok || len(got) != 0 {
		t.Errorf("nothing: type %d, %x, %v", typ, got, ok)
	}
}

// A message in parts of any lengths comes back, and takes not more than three times what came, and PartSize.
func TestPropertyMessageAnySplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.OneOf(rapid.IntRange(0, 1000), rapid.IntRange(AnswerOverhead-10, 1<<20)).Draw(t, "total")
		want := make([]byte, total)
		for i := range want {
			want[i] = byte(i>>8 ^ i)
		}
		lengths := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(1, MaxPayload)), 1, 8).Draw(t, "lengths")
		var m *Message
		for i, off := 0, 0; m == nil || off < total; i++ {
			n := min(lengths[i%len(lengths)], total-off)
			if i >= len(lengths) {
				n = max(n, min(4096, total-off)) // so that it ends
			}
			part := bytes.Clone(want[off : off+n])
			var err error
			if m == nil {
				head := AppendFirst(nil, TypeAnswer, 1, n, total)
				f, _, perr := ParseFrame(append(head, part...), 2*MaxPayload)
				if perr != nil {
					t.Fatal(perr)
				}
				m, err = NewMessage(f.Type, f.Payload, total)
				clear(f.Payload)
			} else {
				owned := rapid.Bool().Draw(t, "owned")
				if err = m.Add(part, owned); !owned {
					clear(part)
				}
			}
			if off += n; err != nil {
				t.Fatal(err)
			}
			if whole := m.Whole(); whole != (off == total) || m.Came() != off || held(m) > 3*off+PartSize {
				t.Fatalf("after %d of %d bytes: %d, whole: %v, with memory for %d", off, total, m.Came(), whole, held(m))
			}
		}
		if got := m.Payload(); !bytes.Equal(got, want) || m.Type != TypeAnswer {
			t.Fatalf("%d bytes of type %d came back otherwise", len(got), m.Type)
		}
		if len(m.parts) > 1 && len(m.parts[0]) < AnswerOverhead {
			t.Fatalf("the first part has %d bytes", len(m.parts[0]))
		}
	})
}

// An answer in parts is decoded from its first, and its value put together from all.
func TestLongAnswerComesBack(t *testing.T) {
	value := bytes.Repeat([]byte("value"), 100_000)
	a := cache.Answer{Status: cache.StatusOK, TTL: time.Minute, Size: 7, Message: strings.Repeat("m", MaxMessage)}
	whole := append(AppendLastAnswerHead(nil, 3, &a, 9), value...)
	for _, n := range []int{1, 100, PartSize, MaxPayload - 8} {
		var m *Message
		frames, err := parsed(appendParts(nil, TypeAnswer, 5, whole, n))
		for i, f := range frames {
			if i == 0 {
				m, err = NewMessage(f.Type, f.Payload, len(whole))
			} else if err == nil {
				err = m.Add(f.Payload, true)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		k, err := DecodeLongAnswer(m)
		if err != nil || k.Index != 3 || !k.Last || k.Epoch != 9 || k.Message != a.Message || k.Size != 7 || k.Bytes() != len(value) {
			t.Errorf("in parts of %d: %+v, %v", n, k, err)
		} else if !bytes.Equal(k.Long.Payload(), value) {
			t.Errorf("in parts of %d: the value is another one", n)
		}
	}
}

func TestG11MessageRefused(t *testing.T) {
	first := func(total int, payload string) []byte {
		f, _, err := ParseFrame(append(AppendFirst(nil, TypeRequest, 1, len(payload), total), payload...), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		return f.Payload
	}
	const typ = TypeRequest | FirstPart
	if _, err := NewMessage(typ, first(101, ""), 100); !errors.Is(err, ErrTooLarge) {
		t.Errorf("over the limit: %v", err)
	}
	for name, c := range map[string]struct {
		payload []byte
		want    string
	}{
		"nothing":        {nil, "cut off"},
		"half a number":  {[]byte{0x80}, "cut off"},
		"overlong":       {[]byte{0x80, 0}, "longer than need be"},
		"out of range":   {bytes.Repeat([]byte{0xff}, 11), "out of range"},
		"too much of it": {first(3, "1234"), "more than the 3 bytes"},
	} {
		if _, err := NewMessage(typ, c.payload, 100); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want %q", name, err, c.want)
		}
	}
	m, err := NewMessage(typ, first(3, "12"), 100)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Add([]byte("34"), false); err == nil {
		t.Error("a part too many is no error")
	}
	// What is announced is no reason to allocate it.
	if n := allocated(func() {
		if _, err := NewMessage(typ, first(1<<30, "12"), 1<<30); err != nil {
			t.Fatal(err)
		}
	}); n > 2*PartSize {
		t.Errorf("%d bytes were allocated for two", n)
	}
}

func TestPropertyCreditComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		call, n := rapid.Uint64().Draw(t, "call"), rapid.IntRange(0, 1<<31-1).Draw(t, "n")
		f, size, err := ParseFrame(AppendCredit(nil, call, n), MaxPayload)
		if err != nil || size == 0 || f.Type != TypeCredit || f.Call != call {
			t.Fatalf("%+v, %v", f, err)
		}
		if got, err := DecodeCredit(f.Payload); err != nil || got != n {
			t.Fatalf("got %d, %v; want %d", got, err, n)
		}
	})
}

func TestG11CreditRefused(t *testing.T) {
	for name, c := range map[string]struct {
		payload []byte
		want    string
	}{
		"nothing":      {nil, "cut off"},
		"left over":    {[]byte{1, 2}, "1 bytes are left over"},
		"overlong":     {[]byte{0x81, 0}, "longer than need be"},
		"out of range": {bytes.Repeat([]byte{0xff}, 11), "out of range"},
	} {
		if _, err := DecodeCredit(c.payload); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want %q", name, err, c.want)
		}
	}
	if n, err := DecodeCredit(bytes.Repeat([]byte{0xff}, 9)); err == nil {
		t.Errorf("a number that does not end is %d", n)
	}
	if n, err := DecodeCredit([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}); err != nil || n != 1<<31-1 {
		t.Errorf("2^64-1 bytes are %d, %v", n, err)
	}
}
