package wire

import (
	"bytes"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

func FuzzDecodeRequest(f *testing.F) {
	for _, q := range samples() {
		f.Add(encoded(f, q))
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

func FuzzView(f *testing.F) {
	for _, q := range samples() {
		f.Add(encoded(f, q))
	}
	f.Fuzz(func(t *testing.T, b []byte) { compareView(t, b) })
}

func FuzzRequestFrame(f *testing.F) {
	f.Add(samplePost(f))
	f.Add([]byte{Version, 0, byte(TypeRequest), 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		payload, err := RequestFrame(b)
		if err != nil {
			return
		}
		frame, _, err := ParseFrame(b[2:], uint64(len(b)))
		if again := appendFrame(AppendPreface(nil, false), TypeRequest, frame.Call, payload); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x is a body, and is made as %x, %v", b, again, err)
		}
	})
}

func FuzzReadReply(f *testing.F) {
	f.Add(sampleStream())
	f.Add(sampleReply(nil))
	f.Add(sampleReply(sampleSigner))
	f.Fuzz(func(t *testing.T, b []byte) {
		answers, signatures, end, err := readAll(bytes.NewReader(b))
		size := len(end.Message) + SignatureSize*len(signatures)
		if len(b) > 1 && b[1] == 0 {
			size = len(end.Message)
		}
		for _, a := range answers {
			size += len(a.Value) + len(a.Message)
		}
		if size > len(b) {
			t.Fatalf("more came out than went in, %v", err)
		}
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	k := Keyed{Index: 1, Answer: cache.Answer{TTL: 5, Loaded: true, Message: "m", Value: []byte("value")}}
	f.Add(appendKeyed(nil, &k))
	k.Last, k.Epoch = true, 6
	f.Add(appendKeyed(nil, &k))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := DecodeAnswer(b)
		if err != nil {
			return
		}
		if again := appendKeyed(nil, &k); !bytes.Equal(again, b) {
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

// FuzzReader reads a stream of frames however it is cut, and puts together what comes in parts.
func FuzzReader(f *testing.F) {
	for _, b := range sampleFrames() {
		f.Add(b, uint16(3), uint16(0))
	}
	long := bytes.Repeat([]byte("x"), longFrame+ownedPayload)
	f.Add(appendFrame(appendFrame(nil, TypeAnswer, 1, long), TypeEnd, 1, nil), uint16(1000), uint16(5))
	f.Add(appendParts(nil, TypeRequest, 9, long, 1<<10), uint16(0), uint16(40))
	f.Fuzz(func(t *testing.T, stream []byte, a, b uint16) {
		checkReader(t, bytes.NewReader(stream), stream)
		checkReader(t, &cutter{r: bytes.NewReader(stream), cuts: []int{int(a), int(b), 1 << 10}}, stream)
		frames, _ := parsed(stream)
		partial := map[uint64]*Message{}
		came := map[uint64]int{}
		for _, f := range frames {
			m := partial[f.Call]
			var err error
			switch {
			case f.Type&FirstPart != 0 && f.Type != TypePart|FirstPart:
				came[f.Call] = 0
				m, err = NewMessage(f.Type, f.Payload, 1<<20)
			case f.Type == TypePart && m != nil:
				err = m.Add(f.Payload, a%2 == 0)
			case f.Type == TypeCredit:
				if n, err := DecodeCredit(f.Payload); err == nil && n < 0 {
					t.Fatalf("credit of %d", n)
				}
				continue
			default:
				continue
			}
			if err != nil {
				delete(partial, f.Call)
				continue
			}
			came[f.Call] += len(f.Payload)
			if m.Came() > came[f.Call] || held(m) > 3*m.Came()+PartSize {
				t.Fatalf("%d bytes in memory for %d, of %d that came", held(m), m.Came(), came[f.Call])
			}
			if partial[f.Call] = m; m.Whole() {
				delete(partial, f.Call)
			}
		}
	})
}
