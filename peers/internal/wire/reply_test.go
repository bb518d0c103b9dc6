package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// sampleReply is the reply to samplePost, signed by sign if that is not nil.
func sampleReply(sign func(seq uint64, typ Type, payload []byte) []byte) []byte {
	b := AppendPreface(nil, sign != nil)
	seq := uint64(0)
	frame := func(typ Type, payload []byte) {
		b = appendFrame(b, typ, 0, payload)
		if sign != nil {
			b = append(b, sign(seq, typ, payload)...)
		}
		seq++
	}
	frame(TypeAnswer, append(AppendAnswerHead(nil, 0, &sampleAnswer), sampleAnswer.Value...))
	frame(TypeEnd, AppendEnd(nil, End{Code: OK, Epoch: 0x0102030405060708}))
	return b
}

// sampleStream is a reply of answers, a frame of a type to come, and an end. Its signatures are the frames' numbers.
func sampleStream() []byte {
	b := AppendPreface(nil, true)
	frame := func(typ Type, payload []byte, mark byte) {
		b = append(appendFrame(b, typ, 0, payload), bytes.Repeat([]byte{mark}, SignatureSize)...)
	}
	frame(TypeAnswer, append(AppendAnswerHead(nil, 1, &sampleAnswer), sampleAnswer.Value...), 0)
	frame(77, []byte("of a later version"), 1)
	frame(TypeAnswer, AppendAnswerHead(nil, 0, &sampleFailed), 2)
	frame(TypeEnd, AppendEnd(nil, sampleEnd), 3)
	return b
}

// readAll reads a whole reply the way a client does.
func readAll(r io.Reader) (answers []Keyed, signatures [][]byte, end End, err error) {
	br := bufio.NewReader(r)
	signed, err := ReadPreface(br)
	for err == nil {
		var f Frame
		var signature []byte
		if f, signature, err = ReadFrame(br, 1<<20, signed); err != nil {
			break
		}
		signatures = append(signatures, signature)
		switch f.Type {
		case TypeAnswer:
			var k Keyed
			k, err = DecodeAnswer(f.Payload)
			answers = append(answers, k)
			if k.Last {
				return answers, signatures, End{Epoch: k.Epoch}, err
			}
		case TypeEnd:
			end, err = DecodeEnd(f.Payload)
			return answers, signatures, end, err
		}
	}
	return answers, signatures, end, err
}

func TestReplyComesBack(t *testing.T) {
	b := sampleStream()
	answers, signatures, end, err := readAll(iotest.OneByteReader(bytes.NewReader(b)))
	if err != nil {
		t.Fatal(err)
	}
	want := []Keyed{{Index: 1, Answer: sampleAnswer}, {Index: 0, Answer: sampleFailed}}
	want[1].Value = []byte{}
	if !reflect.DeepEqual(answers, want) || end != sampleEnd {
		t.Errorf("got %+v, %+v", answers, end)
	}
	for i, s := range signatures {
		if !bytes.Equal(s, bytes.Repeat([]byte{byte(i)}, SignatureSize)) {
			t.Errorf("signature %d is %x", i, s)
		}
	}
	for i := range b {
		if _, _, _, err := readAll(bytes.NewReader(b[:i])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	b[0] = Version + 1
	if _, _, _, err := readAll(bytes.NewReader(b)); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("a later version: %v", err)
	}
	b[0], b[1] = Version, 2
	if _, _, _, err := readAll(bytes.NewReader(b)); err == nil || !strings.Contains(err.Error(), "unknown flags 0x2") {
		t.Errorf("a flag of the preface: %v", err)
	}
}

// A frame that says it is long gets no memory before its bytes are there.
func TestG11FramesAllocateWhatArrives(t *testing.T) {
	head := AppendFrameHead(nil, TypeAnswer, 0, 1<<30)
	read := func() {
		if _, _, err := ReadFrame(bufio.NewReader(bytes.NewReader(head)), 1<<31, true); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
	}
	if n := allocated(read); n > 128<<10 {
		t.Errorf("%d bytes were allocated for a frame of which none arrived", n)
	}
	if _, _, err := ReadFrame(bufio.NewReader(bytes.NewReader(head)), 1<<20, true); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a frame over the limit: %v", err)
	}
	long := appendFrame(nil, TypeAnswer, 0, bytes.Repeat([]byte("x"), 300<<10))
	f, _, err := ReadFrame(bufio.NewReader(bytes.NewReader(long)), 1<<20, false)
	if err != nil || len(f.Payload) != 300<<10 || cap(f.Payload) != len(f.Payload) {
		t.Errorf("a long frame: %d bytes, %v", len(f.Payload), err)
	}
}

func TestMessagesAreCut(t *testing.T) {
	long := cache.Answer{Message: strings.Repeat("ü", MaxMessage), TTL: cache.Forever - 1, Stale: cache.Forever - 1, Size: 1<<63 - 1}
	k, err := DecodeAnswer(AppendAnswerHead(nil, 0, &long))
	if err != nil || len(k.Message) > MaxMessage || !strings.HasSuffix(k.Message, "ü [...]") {
		t.Errorf("%d bytes, ends with %q, %v", len(k.Message), k.Message[max(0, len(k.Message)-20):], err)
	}
	if n := len(AppendLastAnswerHead(nil, MaxKeys, &long, 1<<64-1)); n > AnswerOverhead {
		t.Errorf("an answer's head has %d bytes, more than AnswerOverhead", n)
	}
	e, err := DecodeEnd(AppendEnd(nil, End{Message: long.Message}))
	if err != nil || len(e.Message) > MaxMessage || !strings.HasSuffix(e.Message, "ü [...]") {
		t.Errorf("an end of %d bytes, %v", len(e.Message), err)
	}
}

func TestG11ReplyDecodersRefuse(t *testing.T) {
	end := func(n int) []byte { return append(make([]byte, 9), make([]byte, n)...) }
	for _, c := range []struct {
		name, want string
		decode     func() error
	}{
		{"an answer of nothing", "cut off", func() error { _, err := DecodeAnswer(nil); return err }},
		{"an answer's flags", "flags 0x8", func() error { _, err := DecodeAnswer([]byte{8, 0, 0, 0, 0, 0, 0}); return err }},
		{"an answer's index", "key 1048577", func() error { _, err := DecodeAnswer([]byte{0, 0x81, 0x80, 0x40, 0, 0, 0, 0, 0}); return err }},
		{"an answer without its epoch", "cut off", func() error { _, err := DecodeAnswer([]byte{2, 0, 0, 0, 0, 0, 0}); return err }},
		{"an answer's message", "at most 16384", func() error { _, err := DecodeAnswer([]byte{0, 0, 0, 0, 0, 0, 0x81, 0x80, 1}); return err }},
		{"an answer's size", "out of range", func() error {
			_, err := DecodeAnswer([]byte{0, 0, 0, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0})
			return err
		}},
		{"an answer without its tags", "out of range", func() error { _, err := DecodeAnswer([]byte{4, 0, 0, 0, 0, 0, 0, 0}); return err }},
		{"an answer's number of tags", "4097 tags, at most 4096", func() error { _, err := DecodeAnswer([]byte{4, 0, 0, 0, 0, 0, 0, 0x81, 0x20}); return err }},
		{"an answer's tags", "more than 16384 bytes", func() error {
			_, err := DecodeAnswer(append([]byte{4, 0, 0, 0, 0, 0, 0, 1, 0xfd, 0x7f}, make([]byte, 16381)...))
			return err
		}},
		{"an answer with tags and a message", "text of an error", func() error { _, err := DecodeAnswer([]byte{4, 0, 0, 0, 0, 0, 1, 'm', 1, 0}); return err }},
		{"an end of eight bytes", "cut off", func() error { _, err := DecodeEnd(make([]byte, 8)); return err }},
		{"an end's message", "at most 16384", func() error { _, err := DecodeEnd(end(MaxMessage + 1)); return err }},
	} {
		if err := c.decode(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := DecodeEnd(end(MaxMessage)); err != nil {
		t.Errorf("an end with the longest message: %v", err)
	}
}

func TestPropertyAnswerRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawKeyed(t)
		b := appendKeyed([]byte("before"), &k)[len("before"):]
		got, err := DecodeAnswer(b)
		if err != nil || !reflect.DeepEqual(got, k) {
			t.Fatalf("got %+v, %v; want %+v", got, err, k)
		}
	})
}

func drawKeyed(t *rapid.T) Keyed {
	k := Keyed{
		Index: rapid.IntRange(0, MaxKeys).Draw(t, "index"),
		Last:  rapid.Bool().Draw(t, "last"),
		Answer: cache.Answer{
			Status: cache.Status(rapid.Byte().Draw(t, "status")), Value: rapid.SliceOf(rapid.Byte()).Draw(t, "value"),
			Size: rapid.Int64Min(0).Draw(t, "size"), TTL: time.Duration(rapid.Int64Min(0).Draw(t, "ttl")),
			Stale: time.Duration(rapid.Int64Min(0).Draw(t, "stale")), Loaded: rapid.Bool().Draw(t, "loaded"),
			Message: rapid.StringN(0, 100, -1).Draw(t, "message"),
		},
	}
	if k.Last {
		k.Epoch = rapid.Uint64().Draw(t, "epoch")
	}
	return k
}

// appendKeyed appends the payload that decodes to k.
func appendKeyed(dst []byte, k *Keyed) []byte {
	if k.Last {
		dst = AppendLastAnswerHead(dst, k.Index, &k.Answer, k.Epoch)
	} else {
		dst = AppendAnswerHead(dst, k.Index, &k.Answer)
	}
	return append(dst, k.Value...)
}

func TestPropertyEndRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := End{Code: Code(rapid.Byte().Draw(t, "code")), Epoch: rapid.Uint64().Draw(t, "epoch"), Message: rapid.StringN(0, 100, -1).Draw(t, "message")}
		if got, err := DecodeEnd(AppendEnd(nil, e)); err != nil || got != e {
			t.Fatalf("got %+v, %v; want %+v", got, err, e)
		}
	})
}
