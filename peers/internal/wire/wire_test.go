package wire

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

var update = flag.Bool("update", false, "write the golden files anew")

// samples are one request of each kind, with every field set to something.
func samples() map[string]*Request {
	return map[string]*Request{
		"ping": {Verb: Ping, Epoch: 0x0102030405060708, Timeout: cache.Forever},
		"get": {Verb: Get, Epoch: 1, Timeout: 3 * time.Second, MaxValue: 64 << 20, Get: &cache.GetRequest{
			Cache: "users", Version: "v2", Keys: []string{"", ".", "..", "a b", "a+b", "a//b", "\xff\x00"}, Reload: true, Takeover: true,
			Carried: map[string]string{"traceparent": "00-1", "b": "", "": "x"},
		}},
		"fence": {Verb: Fence, Epoch: 1<<64 - 1, Timeout: 1, Fence: &cache.FenceRequest{
			Cache: "users", ID: 0xdeadbeef, Keys: []string{"k"}, Hold: time.Minute,
		}},
		"fence_all": {Verb: Fence, Timeout: cache.Forever, Fence: &cache.FenceRequest{Cache: "users", ID: 1, All: true}},
		"release":   {Verb: Release, Timeout: cache.Forever, Release: &cache.ReleaseRequest{Cache: "users", ID: 1, Keys: []string{"k", "l"}}},
		"store": {Verb: Store, Timeout: time.Hour, Store: &cache.StoreRequest{
			Cache: "users", Version: "v2", Key: "k", Fence: 7, Value: []byte("value\x00"), TTL: cache.Forever, Stale: 0, Size: 1<<63 - 1,
		}},
	}
}

// sampleReply is a signed reply whose signatures are the frame's number.
func sampleReply() []byte {
	b := AppendPreface(nil, true)
	frame := func(typ byte, payload []byte, mark byte) {
		b = append(AppendFrameHead(b, typ, len(payload)), payload...)
		b = append(b, bytes.Repeat([]byte{mark}, SignatureSize)...)
	}
	a := cache.Answer{TTL: time.Second, Stale: 1, Size: 300, Loaded: true}
	frame(TypeAnswer, append(AppendAnswerHead(nil, 1, &a), "value"...), 0)
	bad := cache.Answer{Status: cache.StatusLoadFailed, Message: "origin says no"}
	frame(TypeAnswer, AppendAnswerHead(nil, 0, &bad), 1)
	frame(TypeEnd, AppendEnd(nil, End{Code: OK, Epoch: 5, Message: "bye"}), 2)
	return b
}

func TestGolden(t *testing.T) {
	golden := map[string][]byte{"reply": sampleReply()}
	for name, q := range samples() {
		b, err := AppendRequest(nil, q)
		if err != nil {
			t.Fatal(err)
		}
		golden["request_"+name] = b
	}
	for name, b := range golden {
		file := filepath.Join("testdata", name+".golden")
		text := []byte(fmt.Sprintf("%x\n", b))
		if *update {
			if err := os.WriteFile(file, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(text, want) {
			t.Errorf("%s: the format changed; instances of two versions would not understand each other\n got %s\nwant %s", name, text, want)
		}
	}
}

// Numbers on the wire are never changed or used again.
func TestNumbersArePinned(t *testing.T) {
	for i, v := range []Verb{0, Ping, Get, Fence, Release, Store} {
		if int(v) != i {
			t.Errorf("%v is %d, was %d", v, uint8(v), i)
		}
	}
	for i, c := range []Code{OK, UnknownCache, VersionMismatch, BadRequest, TooLarge, Overloaded, Misdirected, Self, Closed, Failed, Timeout} {
		if int(c) != i {
			t.Errorf("code %d was %d", c, i)
		}
	}
	for i, s := range []cache.Status{cache.StatusOK, cache.StatusNotFound, cache.StatusLoadFailed, cache.StatusLoadPanicked,
		cache.StatusLoadTimeout, cache.StatusEncodeFailed, cache.StatusTooLarge} {
		if int(s) != i {
			t.Errorf("cache.Status %d was %d", s, i)
		}
	}
	if TypeAnswer != 1 || TypeEnd != 2 || Version != 1 || SignatureSize != 32 {
		t.Error("a number of the format changed")
	}
}

func TestRequestsComeBack(t *testing.T) {
	for name, q := range samples() {
		b, _ := AppendRequest(nil, q)
		got, err := DecodeRequest(b)
		if err != nil || !reflect.DeepEqual(got, q) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
		for i := range b {
			// A store's value is what is left, so a shorter store is another store.
			if _, err := DecodeRequest(b[:i]); err == nil && (q.Verb != Store || i < len(b)-len(q.Store.Value)) {
				t.Errorf("%s: cut at %d of %d is no error", name, i, len(b))
			}
		}
		if _, err := DecodeRequest(append(b, 0)); err == nil && q.Verb != Store {
			t.Errorf("%s: a byte left over is no error", name)
		}
	}
}

func TestPropertyRequestRoundTrip(t *testing.T) {
	text := rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 200), func(b []byte) string { return string(b) })
	keys := rapid.Map(rapid.SliceOfN(text, 0, 20), func(k []string) []string {
		if len(k) == 0 {
			return nil
		}
		return k
	})
	duration := rapid.Map(rapid.Int64Min(0), func(n int64) time.Duration { return time.Duration(n) })
	rapid.Check(t, func(t *rapid.T) {
		q := &Request{Verb: Verb(rapid.IntRange(1, 5).Draw(t, "verb")), Epoch: rapid.Uint64().Draw(t, "epoch"), Timeout: duration.Draw(t, "timeout")}
		all := rapid.Bool().Draw(t, "all")
		some := func() []string {
			if all {
				return nil
			}
			return keys.Draw(t, "keys")
		}
		switch q.Verb {
		case Get:
			q.MaxValue = rapid.Uint64().Draw(t, "max")
			carried := rapid.MapOfN(text, text, 0, 8).Draw(t, "carried")
			if len(carried) == 0 {
				carried = nil
			}
			q.Get = &cache.GetRequest{Cache: text.Draw(t, "name"), Version: text.Draw(t, "version"), Keys: keys.Draw(t, "keys"), Reload: all, Takeover: rapid.Bool().Draw(t, "takeover"), Carried: carried}
		case Fence:
			q.Fence = &cache.FenceRequest{Cache: text.Draw(t, "name"), ID: rapid.Uint64().Draw(t, "id"), Keys: some(), All: all, Hold: duration.Draw(t, "hold")}
		case Release:
			q.Release = &cache.ReleaseRequest{Cache: text.Draw(t, "name"), ID: rapid.Uint64().Draw(t, "id"), Keys: some(), All: all}
		case Store:
			q.Store = &cache.StoreRequest{Cache: text.Draw(t, "name"), Version: text.Draw(t, "version"), Key: text.Draw(t, "key"),
				Fence: rapid.Uint64().Draw(t, "id"), Value: rapid.SliceOf(rapid.Byte()).Draw(t, "value"), TTL: duration.Draw(t, "ttl"),
				Stale: duration.Draw(t, "stale"), Size: rapid.Int64Min(0).Draw(t, "size")}
		}
		b, err := AppendRequest([]byte("before"), q)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeRequest(b[len("before"):])
		if err != nil || !reflect.DeepEqual(got, q) {
			t.Fatalf("got %+v, %v\nwant %+v", got, err, q)
		}
	})
}

func TestPropertyAnswerRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 1<<20).Draw(t, "n")
		i := rapid.IntRange(0, n-1).Draw(t, "i")
		a := cache.Answer{
			Status: cache.Status(rapid.Byte().Draw(t, "status")), Value: rapid.SliceOf(rapid.Byte()).Draw(t, "value"),
			Size: rapid.Int64Min(0).Draw(t, "size"), TTL: time.Duration(rapid.Int64Min(0).Draw(t, "ttl")),
			Stale: time.Duration(rapid.Int64Min(0).Draw(t, "stale")), Loaded: rapid.Bool().Draw(t, "loaded"),
			Message: rapid.StringN(0, 100, -1).Draw(t, "message"),
		}
		j, got, err := DecodeAnswer(append(AppendAnswerHead(nil, i, &a), a.Value...), n)
		if err != nil || i != j || !reflect.DeepEqual(a, got) {
			t.Fatalf("got %d %+v, %v; want %d %+v", j, got, err, i, a)
		}
	})
}

func TestDurations(t *testing.T) {
	for _, c := range []struct{ in, out time.Duration }{
		{-1, 0}, {-1 << 63, 0}, {0, 0}, {1, 1}, {2, 2}, {time.Hour, time.Hour}, {cache.Forever - 1, cache.Forever - 1}, {cache.Forever, cache.Forever},
	} {
		r := reader{b: appendDuration(nil, c.in)}
		if got := r.duration(); got != c.out || r.end() != nil {
			t.Errorf("%d came back as %d, %v", c.in, got, r.err)
		}
	}
}

// bad builds requests byte by byte.
func bad(verb Verb, flags byte, body ...byte) []byte {
	b := append([]byte{Version, byte(verb), flags, 0, 0, 0, 0, 0, 0, 0, 0}, 1)
	return append(b, body...)
}

func TestG11DecoderRefuses(t *testing.T) {
	long := func(n int) []byte { return []byte(strings.Repeat("x", n)) }
	key := append([]byte{1, 'c', 0, 0, 1, 0x81, 0x80, 1}, long(cache.MaxKeyBytes+1)...)
	carried := append([]byte{1, 'c', 0, 1, 0, 0x81, 0x40}, long(MaxCarriedBytes+1)...)
	for _, c := range []struct {
		name, want string
		b          []byte
	}{
		{"nothing", "cut off", nil},
		{"version", "version 9", []byte{9}},
		{"verb", "does not know the verb", bad(77, 0)},
		{"flags", "unknown flags 0x4", bad(Get, 4, 0, 0, 0, 0, 0)},
		{"flags of a ping", "unknown flags 0x1", bad(Ping, 1)},
		{"left over", "1 bytes are left over", bad(Ping, 0, 0)},
		{"overlong number", "longer than need be", bad(Get, 0, 0x80, 0x00)},
		{"eleven bytes of number", "out of range", bad(Get, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1)},
		{"name", "256 bytes, at most 255", bad(Fence, 0, append([]byte{0x80, 2}, long(256)...)...)},
		{"key", "16385 bytes, at most 16384", bad(Get, 0, append([]byte{0}, key...)...)},
		{"count over the limit", "keys in one request", bad(Get, 0, 0, 0, 0, 0, 0x81, 0x80, 0x40)},
		{"count over what is there", "cut off", bad(Get, 0, 0, 0, 0, 0, 0x80, 0x80, 0x40)},
		{"carried count", "65 carried values", bad(Get, 0, 0, 0, 0, 65)},
		{"carried bytes", "at most 8192", bad(Get, 0, append([]byte{0}, carried...)...)},
		{"carried order", "ascending", bad(Get, 0, 0, 0, 0, 2, 1, 'b', 0, 1, 'a', 0, 0)},
		{"carried twice", "ascending", bad(Get, 0, 0, 0, 0, 2, 1, 'a', 0, 1, 'a', 0, 0)},
		{"all and keys", "all of them", bad(Fence, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 'k')},
		{"duration", "out of range", append([]byte{Version, byte(Ping), 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01)},
	} {
		_, err := DecodeRequest(c.b)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want %q", c.name, err, c.want)
		}
	}
}

func TestG11EncoderRefuses(t *testing.T) {
	big := map[string]string{"k": strings.Repeat("x", MaxCarriedBytes)}
	many := map[string]string{}
	for i := range MaxCarried + 1 {
		many[fmt.Sprint(i)] = ""
	}
	long := strings.Repeat("x", cache.MaxKeyBytes+1)
	for name, q := range map[string]*Request{
		"carried bytes": {Verb: Get, Get: &cache.GetRequest{Carried: big}},
		"carried count": {Verb: Get, Get: &cache.GetRequest{Carried: many}},
		"key":           {Verb: Get, Get: &cache.GetRequest{Keys: []string{long}}},
		"keys":          {Verb: Fence, Fence: &cache.FenceRequest{Keys: make([]string, MaxKeys+1)}},
		"name":          {Verb: Release, Release: &cache.ReleaseRequest{Cache: long}},
		"key to store":  {Verb: Store, Store: &cache.StoreRequest{Key: long}},
	} {
		if _, err := AppendRequest(nil, q); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// readAll reads a whole reply the way a client does.
func readAll(r io.Reader, keys int) (answers []cache.Answer, end End, err error) {
	br := bufio.NewReader(r)
	signed, err := ReadPreface(br)
	for err == nil {
		var f Frame
		if f, err = ReadFrame(br, 1<<20, signed); err != nil {
			break
		}
		switch f.Type {
		case TypeAnswer:
			var a cache.Answer
			_, a, err = DecodeAnswer(f.Payload, keys)
			answers = append(answers, a)
		case TypeEnd:
			end, err = DecodeEnd(f.Payload)
			return answers, end, err
		default:
			err = errors.New("unknown frame")
		}
	}
	return answers, end, err
}

func TestReplyComesBack(t *testing.T) {
	b := sampleReply()
	answers, end, err := readAll(iotest.OneByteReader(bytes.NewReader(b)), 2)
	if err != nil || len(answers) != 2 || string(answers[0].Value) != "value" || answers[1].Message != "origin says no" || end.Message != "bye" {
		t.Fatalf("got %+v %+v %v", answers, end, err)
	}
	for i := range b {
		if _, _, err := readAll(bytes.NewReader(b[:i]), 2); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	if _, _, err := readAll(bytes.NewReader(b), 1); err == nil {
		t.Error("an answer to a key that was not asked for is no error")
	}
}

// A frame that says it is long gets no memory before its bytes are there.
func TestG11FramesAllocateWhatArrives(t *testing.T) {
	head := AppendFrameHead(nil, TypeAnswer, 1<<30)
	got := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ReadFrame(bufio.NewReader(bytes.NewReader(head)), 1<<31, true)
		}
	})
	if n := got.AllocedBytesPerOp(); n > 128<<10 {
		t.Errorf("%d bytes were allocated for a frame of which none arrived", n)
	}
	if _, err := ReadFrame(bufio.NewReader(bytes.NewReader(head)), 1<<20, true); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a frame over the limit: %v", err)
	}
	long := append(AppendFrameHead(nil, TypeAnswer, 300<<10), bytes.Repeat([]byte("x"), 300<<10)...)
	f, err := ReadFrame(bufio.NewReader(bytes.NewReader(long)), 1<<20, false)
	if err != nil || len(f.Payload) != 300<<10 || cap(f.Payload) != len(f.Payload) {
		t.Errorf("a long frame: %d bytes, %v", len(f.Payload), err)
	}
}

func TestMessagesAreCut(t *testing.T) {
	long := cache.Answer{Message: strings.Repeat("ü", MaxMessage)}
	_, a, err := DecodeAnswer(AppendAnswerHead(nil, 0, &long), 1)
	if err != nil || len(a.Message) > MaxMessage || !strings.HasSuffix(a.Message, "ü [...]") {
		t.Errorf("%d bytes, ends with %q, %v", len(a.Message), a.Message[len(a.Message)-20:], err)
	}
	if n := len(AppendAnswerHead(nil, MaxKeys, &long)); n > AnswerOverhead {
		t.Errorf("an answer's head has %d bytes, more than AnswerOverhead", n)
	}
}

func FuzzDecodeRequest(f *testing.F) {
	for _, q := range samples() {
		b, _ := AppendRequest(nil, q)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := DecodeRequest(b)
		if err != nil {
			return
		}
		again, err := AppendRequest(nil, q)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x decodes, and encodes to %x, %v", b, again, err)
		}
	})
}

func FuzzReadReply(f *testing.F) {
	f.Add(sampleReply())
	f.Add([]byte{Version, 0, TypeEnd, 9, 0, 0, 0, 0, 0, 0, 0, 0, 5})
	f.Fuzz(func(t *testing.T, b []byte) {
		answers, _, _ := readAll(bytes.NewReader(b), 3)
		for _, a := range answers {
			if len(a.Value)+len(a.Message) > len(b) {
				t.Fatal("more came out than went in")
			}
		}
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	f.Add(append(AppendAnswerHead(nil, 1, &cache.Answer{TTL: 5, Loaded: true, Message: "m"}), "value"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		i, a, err := DecodeAnswer(b, 3)
		if err != nil {
			return
		}
		if again := append(AppendAnswerHead(nil, i, &a), a.Value...); !bytes.Equal(again, b) {
			t.Fatalf("%x decodes, and encodes to %x", b, again)
		}
	})
}

func FuzzDecodeEnd(f *testing.F) {
	f.Add(AppendEnd(nil, End{Code: Misdirected, Epoch: 1, Message: "http://a"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := DecodeEnd(b)
		if err != nil {
			return
		}
		if again := AppendEnd(nil, e); !bytes.Equal(again, b) {
			t.Fatalf("%x decodes, and encodes to %x", b, again)
		}
	})
}
