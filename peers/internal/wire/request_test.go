package wire

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

func TestRequestsComeBack(t *testing.T) {
	for name, q := range samples() {
		b := encoded(t, q)
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

// What is decoded stays as it is when the memory of the message is used for another one, but for a store's value.
func TestDecodedRequestsAreCopies(t *testing.T) {
	for name, q := range samples() {
		b := encoded(t, q)
		got, err := DecodeRequest(b)
		if err != nil {
			t.Fatal(err)
		}
		if q.Verb == Store {
			got.Store.Value = bytes.Clone(got.Store.Value)
		}
		for i := range b {
			b[i] ^= 0xff
		}
		if !reflect.DeepEqual(got, q) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func drawText(t *rapid.T, what string) string {
	return string(rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, what))
}

func drawDuration(t *rapid.T, what string) time.Duration {
	return time.Duration(rapid.Int64Min(0).Draw(t, what))
}

// drawKeys draws keys, nil if there are none.
func drawKeys(t *rapid.T) []string {
	var keys []string
	for range rapid.IntRange(0, 20).Draw(t, "keys") {
		keys = append(keys, drawText(t, "key"))
	}
	return keys
}

// drawTags draws the tags of a value.
func drawTags(t *rapid.T) []string {
	tags := drawKeys(t)
	for checkTags(tags) != nil {
		tags = tags[1:]
	}
	return tags[:len(tags):len(tags)]
}

func drawRequest(t *rapid.T) *Request {
	q := &Request{Verb: Verb(rapid.IntRange(1, 6).Draw(t, "verb")), Epoch: rapid.Uint64().Draw(t, "epoch"), Timeout: drawDuration(t, "timeout")}
	flag := func(what string) bool { return rapid.Bool().Draw(t, what) }
	all := flag("all")
	var keys []string
	if !all {
		keys = drawKeys(t)
	}
	var tags []string
	if !all && len(keys) == 0 {
		tags = drawKeys(t)
	}
	name, version, id := drawText(t, "name"), drawText(t, "version"), rapid.Uint64().Draw(t, "id")
	switch q.Verb {
	case Get:
		q.MaxValue = rapid.Uint64().Draw(t, "max")
		q.Get = &cache.GetRequest{Cache: name, Version: version, Keys: keys, Reload: flag("reload"), Takeover: flag("takeover"), Peek: flag("peek")}
		for range rapid.IntRange(0, 8).Draw(t, "carried") {
			if q.Get.Carried == nil {
				q.Get.Carried = map[string]string{}
			}
			q.Get.Carried[drawText(t, "carried key")] = drawText(t, "carried value")
		}
	case Fence:
		q.Fence = &cache.FenceRequest{Cache: name, ID: id, Keys: keys, Tags: tags, All: all, Hold: drawDuration(t, "hold")}
	case Release:
		q.Release = &cache.ReleaseRequest{Cache: name, ID: id, Keys: keys, Tags: tags, All: all}
	case Store:
		q.Store = &cache.StoreRequest{Cache: name, Version: version, Key: drawText(t, "key"), Fence: id,
			Value: rapid.SliceOf(rapid.Byte()).Draw(t, "value"), TTL: drawDuration(t, "ttl"), Stale: drawDuration(t, "stale"),
			Size: rapid.Int64Min(0).Draw(t, "size"), Tags: drawTags(t)}
	}
	return q
}

func TestPropertyRequestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := drawRequest(t)
		b, err := AppendRequest([]byte("before"), q)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeRequest(b[len("before"):])
		if err != nil || !reflect.DeepEqual(got, q) {
			t.Fatalf("got %+v, %v\nwant %+v", got, err, q)
		}
		body := appendFrame(AppendPreface(nil, false), TypeRequest, 0, b)
		if payload, err := RequestFrame(body); err != nil || !bytes.Equal(payload, b) {
			t.Fatalf("the body holds %x, %v; want %x", payload, err, b)
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
	return append([]byte{byte(verb), flags, 0, 0, 0, 0, 0, 0, 0, 0, 1}, body...)
}

func TestG11DecoderRefuses(t *testing.T) {
	long := func(n int) []byte { return []byte(strings.Repeat("x", n)) }
	key := append([]byte{1, 'c', 0, 0, 1, 0x81, 0x80, 1}, long(cache.MaxKeyBytes+1)...)
	carried := append(append([]byte{1, 'c', 0, 1, 0, 0x81, 0x40}, long(MaxCarriedBytes+1)...), 0)
	// A pair of 4096 bytes, and one of 4097.
	sum := append(append([]byte{1, 'c', 0, 2, 0, 0x80, 0x20}, long(4096)...), append([]byte{1, 'k', 0x80, 0x20}, append(long(4096), 0)...)...)
	for _, c := range []struct {
		name, want string
		b          []byte
	}{
		{"nothing", "cut off", nil},
		{"verb 0", ErrUnsupported.Error(), bad(0, 0)},
		{"verb", ErrUnsupported.Error(), bad(77, 0)},
		{"a flag", "flags 0x8: " + ErrUnsupported.Error(), bad(Get, 8, 0, 0, 0, 0, 0)},
		{"a flag of a ping", "flags 0x1", bad(Ping, 1)},
		{"a flag of a store", "flags 0x2", bad(Store, 2)},
		{"left over", "1 bytes are left over", bad(Ping, 0, 0)},
		{"overlong number", "longer than need be", bad(Get, 0, 0x80, 0x00)},
		{"eleven bytes of number", "out of range", bad(Get, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1)},
		{"name", "256 bytes, at most 255", bad(Fence, 0, append([]byte{0x80, 2}, long(256)...)...)},
		{"key", "16385 bytes, at most 16384", bad(Get, 0, append([]byte{0}, key...)...)},
		{"count over the limit", "keys in one request", bad(Get, 0, 0, 0, 0, 0, 0x81, 0x80, 0x40)},
		{"keys over the limit", "keys in one request", bad(Get, 0, append([]byte{0, 0, 0, 0, 0x81, 0x80, 0x40}, make([]byte, MaxKeys+1)...)...)},
		{"count over what is there", "cut off", bad(Get, 0, 0, 0, 0, 0, 0x80, 0x80, 0x40)},
		{"carried count", "65 carried values", bad(Get, 0, 0, 0, 0, 65)},
		{"carried bytes", "at most 8192", bad(Get, 0, append([]byte{0}, carried...)...)},
		{"carried bytes in sum", "8193 bytes, at most 8192", bad(Get, 0, append([]byte{0}, sum...)...)},
		{"carried order", "ascending", bad(Get, 0, 0, 0, 0, 2, 1, 'b', 0, 1, 'a', 0, 0)},
		{"carried twice", "ascending", bad(Get, 0, 0, 0, 0, 2, 1, 'a', 0, 1, 'a', 0, 0)},
		{"all and keys", "nor all keys", bad(Fence, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 'k')},
		{"all and tags", "nor all keys", bad(Fence, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 't')},
		{"no tags", "nor tags alone", bad(Release, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)},
		{"a store without its tags", "out of range", bad(Store, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)},
		{"duration", "out of range", append([]byte{byte(Ping), 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01)},
		{"size", "out of range", bad(Store, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01)},
	} {
		_, err := DecodeRequest(c.b)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want %q", c.name, err, c.want)
		}
		if unsupported := strings.Contains(c.want, "flags 0x") || strings.HasPrefix(c.name, "verb"); errors.Is(err, ErrUnsupported) != unsupported {
			t.Errorf("%s: whether %v is ErrUnsupported should be %v", c.name, err, unsupported)
		}
		compareView(t, c.b)
	}
}

func TestG11BodyRefused(t *testing.T) {
	good := samplePost(t)
	with := func(i int, b byte) []byte {
		changed := bytes.Clone(good)
		changed[i] = b
		return changed
	}
	for _, c := range []struct {
		name, want string
		b          []byte
	}{
		{"nothing", "cut off", nil},
		{"half a preface", "cut off", good[:1]},
		{"half a head", "cut off", good[:4]},
		{"half a frame", "cut off", good[:len(good)-1]},
		{"version", "version 2 of the format", with(0, 2)},
		{"flag", "unknown flags 0x2", with(1, 2)},
		{"signed", "said to be signed", with(1, 1)},
		{"type", "of type 1", with(2, byte(TypeAnswer))},
		{"parts", "of type 131", with(2, byte(TypeRequest|FirstPart))},
		{"left over", "1 bytes are left over", append(bytes.Clone(good), 0)},
		{"length of one byte", "over the limit", append(bytes.Clone(good[:4]), 0x7f)},
		{"length", "over the limit", append(bytes.Clone(good[:4]), 0xff, 0xff, 0xff, 0xff, 0x7f)},
		{"overlong length", "longer than need be", append(bytes.Clone(good[:4]), 0x80, 0)},
	} {
		if _, err := RequestFrame(c.b); err == nil || !strings.Contains(err.Error(), c.want) {
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
		"version":       {Verb: Get, Get: &cache.GetRequest{Version: long}},
		"key":           {Verb: Get, Get: &cache.GetRequest{Keys: []string{long}}},
		"keys":          {Verb: Fence, Fence: &cache.FenceRequest{Keys: make([]string, MaxKeys+1)}},
		"name":          {Verb: Release, Release: &cache.ReleaseRequest{Cache: long}},
		"key to store":  {Verb: Store, Store: &cache.StoreRequest{Key: long}},
	} {
		if _, err := AppendRequest(nil, q); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := AppendRequest(nil, &Request{Verb: Fence, Fence: &cache.FenceRequest{All: true, Keys: []string{"k"}}}); err == nil {
		t.Error("a fence of all keys and some is no error")
	}
	if _, err := AppendRequest(nil, &Request{Verb: 77}); err == nil {
		t.Error("an unknown verb is no error")
	}
}
