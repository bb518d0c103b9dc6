package cache_test

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

type record struct {
	Name  string
	Tags  []string
	Count map[string]int
	Next  *record
}

type shape interface{ area() int }

func (p point) area() int { return p.X * p.Y }

func init() { gob.Register(point{}) }

// message has the shape of a generated protocol buffer, as far as Proto is concerned.
type message interface{ marshal() string }

type number struct{ n int }

func (m *number) marshal() string { return strconv.Itoa(m.n) }

func appendMessage(dst []byte, m message) ([]byte, error) { return append(dst, m.marshal()...), nil }

func readMessage(src []byte, m message) (err error) {
	m.(*number).n, err = strconv.Atoi(string(src))
	return err
}

func TestCodecRoundTrip(t *testing.T) {
	full := record{Name: "a", Tags: []string{"x", "y"}, Count: map[string]int{"z": 3}, Next: &record{Name: "b"}}
	t.Run("JSON", roundTrip(cache.JSON[record]{}, full, record{}))
	t.Run("JSON pointer", roundTrip(cache.JSON[*record]{}, &full, nil))
	t.Run("JSON any", roundTrip(cache.JSON[any]{}, any("text"), any(true), nil))
	t.Run("Gob", roundTrip(cache.Gob[record]{}, full, record{}))
	t.Run("Gob pointer", roundTrip(cache.Gob[*record]{}, &full))
	t.Run("Gob nil interface", roundTrip(cache.Gob[shape]{}, nil))
	t.Run("Gob interface", roundTrip(cache.Gob[shape]{}, shape(point{2, 3})))
	t.Run("Gob any", roundTrip(cache.Gob[any]{}, any(point{2, 3}), any("text")))
	t.Run("Proto", roundTrip(cache.Proto[number](appendMessage, readMessage), &number{7}, &number{}))
}

func roundTrip[V any](codec cache.Codec[V], values ...V) func(*testing.T) {
	return func(t *testing.T) {
		for _, v := range values {
			checkRoundTrip(t, codec, v)
		}
	}
}

// checkRoundTrip checks that v survives, and that Append leaves what stands in front of it.
func checkRoundTrip[V any](t rapid.TB, codec cache.Codec[V], v V) {
	t.Helper()
	prefix := []byte("prefix")
	for _, dst := range [][]byte{nil, prefix, append(make([]byte, 0, 1<<16), prefix...)} {
		b, err := codec.Append(dst, v)
		if err != nil || !bytes.HasPrefix(b, dst) {
			t.Fatalf("Append(%q, %v) = %q, %v; want the prefix kept", dst, v, b, err)
		}
		got, err := codec.Decode(b[len(dst):])
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Fatalf("Decode = %v, %v; want %v", got, err, v)
		}
	}
	if string(prefix) != "prefix" {
		t.Fatalf("Append changed dst to %q", prefix)
	}
}

func TestCodecRoundTripOfAnything(t *testing.T) {
	strs := rapid.StringN(0, 20, 60)
	records := rapid.Custom(func(t *rapid.T) record {
		r := record{Name: strs.Draw(t, "name")}
		// A slice or map without elements does not survive as such, in either encoding.
		if tags := rapid.SliceOfN(strs, 1, 5).Draw(t, "tags"); rapid.Bool().Draw(t, "has tags") {
			r.Tags = tags
		}
		if counts := rapid.MapOfN(strs, rapid.Int(), 1, 5).Draw(t, "counts"); rapid.Bool().Draw(t, "has counts") {
			r.Count = counts
		}
		return r
	})
	rapid.Check(t, func(t *rapid.T) {
		r := records.Draw(t, "record")
		checkRoundTrip(t, cache.JSON[record]{}, r)
		checkRoundTrip(t, cache.Gob[record]{}, r)
		checkRoundTrip(t, cache.Proto[number](appendMessage, readMessage), &number{rapid.Int().Draw(t, "n")})
	})
}

func TestCodecErrorsKeepThePrefix(t *testing.T) {
	type unencodable struct{ C chan int }
	prefix := []byte("prefix")
	check := func(name string, b []byte, err error) {
		t.Helper()
		if err == nil || string(b) != "prefix" {
			t.Errorf("%s: Append = %q, %v; want an error and the prefix", name, b, err)
		}
	}
	b, err := cache.JSON[unencodable]{}.Append(prefix, unencodable{make(chan int)})
	check("JSON", b, err)
	b, err = cache.Gob[unencodable]{}.Append(prefix, unencodable{make(chan int)})
	check("Gob", b, err)
	// These have no form for nil: the other instance would silently get an empty value.
	b, err = cache.Gob[*record]{}.Append(prefix, nil)
	check("Gob of a nil pointer", b, err)
	b, err = cache.Proto[number](appendMessage, readMessage).Append(prefix, nil)
	check("Proto of a nil pointer", b, err)
}

// A type that is no message is a mistake that the compiler does not see: it is told, and nothing panics.
func TestProtoOfATypeThatIsNoMessage(t *testing.T) {
	codec := cache.Proto[point](appendMessage, readMessage)
	if b, err := codec.Append([]byte("prefix"), new(point)); err == nil || string(b) != "prefix" || !strings.Contains(err.Error(), "*cache_test.point does not implement") {
		t.Errorf("Append = %q, %v", b, err)
	}
	if v, err := codec.Decode([]byte("7")); err == nil || v != nil || !strings.Contains(err.Error(), "*cache_test.point does not implement") {
		t.Errorf("Decode = %v, %v", v, err)
	}
}

func TestProtoPassesErrorsOn(t *testing.T) {
	want := errors.New("no luck")
	codec := cache.Proto[number](
		func(dst []byte, _ message) ([]byte, error) { return dst, want },
		func([]byte, message) error { return want },
	)
	if _, err := codec.Append(nil, &number{1}); err != want {
		t.Errorf("Append: %v, want %v", err, want)
	}
	if v, err := codec.Decode(nil); err != want || v != nil {
		t.Errorf("Decode: %v, %v; want %v", v, err, want)
	}
}

func FuzzJSONDecode(f *testing.F) {
	for _, seed := range []string{`{"Name":"a","Tags":["x"],"Count":{"z":3},"Next":{}}`, `null`, `{"Next":{"Next":null}}`, `[`, ``, "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) { fuzzDecode(t, cache.JSON[record]{}, src) })
}

func FuzzGobDecode(f *testing.F) {
	seed, err := cache.Gob[record]{}.Append(nil, record{Name: "a", Tags: []string{"x"}, Next: &record{}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(seed[:len(seed)/2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, src []byte) { fuzzDecode(t, cache.Gob[record]{}, src) })
}

// fuzzDecode checks that Decode of anything does not panic, and that what it took for a value is one.
func fuzzDecode[V any](t *testing.T, codec cache.Codec[V], src []byte) {
	v, err := codec.Decode(src)
	if err != nil {
		return
	}
	b, err := codec.Append(nil, v)
	if err != nil {
		t.Fatalf("what was decoded does not encode: %v", err)
	}
	again, err := codec.Decode(b)
	if err != nil || fmt.Sprintf("%#v", again) == "" {
		t.Fatalf("what was encoded does not decode: %v", err)
	}
}
