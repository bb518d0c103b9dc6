package wire

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

var (
	sampleKnown = []Known{{"http://10.0.0.1:80/_fleetcache/", time.Minute, KnownMember}, {"http://10.0.0.2/", 0, KnownLeft}, {"https://h/", time.Second, KnownCame}}
	sampleHello = &cache.HelloReply{
		Life: 1<<64 - 1, Seq: 300, Gap: true,
		Holds:  []cache.FenceRequest{{ID: 7, Keys: []string{"", "k"}, Hold: time.Second}, {ID: 8, All: true, Hold: time.Minute}, {ID: 9, Tags: []string{"", "t"}, Hold: 1}},
		Missed: []cache.Invalidation{{ID: 9, Keys: []string{"a//b"}}, {ID: 10, All: true}},
	}
)

func TestHelloRoundTrip(t *testing.T) {
	for _, h := range []*cache.HelloReply{sampleHello, {}} {
		b, err := AppendHello(nil, sampleKnown, h)
		if err != nil {
			t.Fatal(err)
		}
		known, got, err := DecodeHello(b)
		if err != nil || !reflect.DeepEqual(known, sampleKnown) || !reflect.DeepEqual(got, h) {
			t.Errorf("%+v, %+v, %v", known, got, err)
		}
		for i := range b {
			if _, _, err := DecodeHello(b[:i]); err == nil {
				t.Errorf("the first %d of %d bytes decode", i, len(b))
			}
		}
	}
	list := &cache.ListReply{Keys: []string{"", "k"}, Versions: []uint64{1<<64 - 1, 0}, Next: 1<<64 - 2}
	b, err := AppendList(nil, list)
	if got, derr := DecodeList(b); err != nil || derr != nil || !reflect.DeepEqual(got, list) {
		t.Errorf("%+v, %v, %v", got, err, derr)
	}
	for i := range b {
		if _, err := DecodeList(b[:i]); err == nil {
			t.Errorf("the first %d of %d bytes decode", i, len(b))
		}
	}
	if _, err := AppendList(nil, &cache.ListReply{Keys: []string{"k"}}); err == nil {
		t.Error("a list is encoded in which a key has no version")
	}
	names := []string{"", "users"}
	if got, err := DecodeNames(AppendNames(nil, names)); err != nil || !reflect.DeepEqual(got, names) {
		t.Errorf("%v, %v", got, err)
	}
}

// What a list of instances may not be.
func TestKnownIsChecked(t *testing.T) {
	for name, b := range map[string][]byte{
		"too many":    {0x81, 0x80, 0x01},
		"announced":   {3, 0, 0},
		"as what":     AppendKnown(nil, []Known{{"http://a/", 0, KnownCame + 1}}),
		"a long URL":  AppendKnown(nil, []Known{{strings.Repeat("x", maxURL+1), 0, KnownMember}}),
		"left over":   append(AppendKnown(nil, sampleKnown), 0),
		"nothing":     {},
		"cut off":     AppendKnown(nil, sampleKnown)[:20],
		"no duration": {1, 1, 'x'},
	} {
		if known, err := DecodeKnown(b); err == nil {
			t.Errorf("%s: decodes as %+v", name, known)
		}
	}
}

// FuzzAnswerValues decodes values that answer other verbs than get: whatever decodes is encoded as it was.
func FuzzAnswerValues(f *testing.F) {
	b, err := AppendHello(nil, sampleKnown, sampleHello)
	if err != nil {
		f.Fatal(err)
	}
	l, err := AppendList(nil, &cache.ListReply{Keys: []string{"k", ""}, Versions: []uint64{1 << 63, 7}, Next: 5})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{b, l, AppendKnown(nil, sampleKnown), AppendNames(nil, []string{"users"}), {}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(again []byte, err error) {
			if err != nil || string(again) != string(b) {
				t.Errorf("%x decodes, and is encoded as %x, %v", b, again, err)
			}
		}
		if known, h, err := DecodeHello(b); err == nil {
			check(AppendHello(nil, known, h))
		}
		if known, err := DecodeKnown(b); err == nil {
			check(AppendKnown(nil, known), nil)
		}
		if l, err := DecodeList(b); err == nil {
			check(AppendList(nil, l))
		}
		if names, err := DecodeNames(b); err == nil {
			check(AppendNames(nil, names), nil)
		}
	})
}
