package httpcache

import (
	"bytes"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache/internal/rules"
)

var testTime = time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)

// testObjects are objects of every kind.
func testObjects() []*object {
	none := policy{whileRevalidate: rules.Absent, ifError: rules.Absent}
	return []*object{
		{kind: kindMark, why: rules.WhyPrivate, asker: "me"},
		{kind: kindMark, why: rules.WhyNoStore, asker: "me", claim: "flow", at: "http://a:80/"},
		{kind: kindBytes, part: partLast, header: http.Header{"X-Sum": {"42"}}},
		{kind: kindBytes, part: partMore, keep: time.Hour, header: http.Header{}, body: body{inline: []byte("part")}},
		{kind: kindResponse, status: 200, header: http.Header{}, policy: none},
		{kind: kindResponse, status: 200, header: http.Header{}, policy: none, body: body{size: -1, live: true, at: "http://b:80/", id: "b", chunk: 1 << 18}},
		{
			kind: kindResponse, asker: "me", status: 404, header: http.Header{"Date": {"x"}, "X-A": {"1", "2", ""}}, age: 90 * time.Minute, keep: 3 * time.Hour, since: time.Second,
			policy:  policy{lifetime: 2 * time.Hour, whileRevalidate: 0, ifError: time.Minute, noCache: true, mustRevalidate: true, validator: true, immutable: true},
			variant: variant{family: "family", fields: []string{"Accept", "X-Y"}, values: "Accept=1:a\nX-Y\n"},
			keys:    []string{"k1", "k2"}, body: body{id: "b", size: 4, inline: []byte("body")},
		},
		{kind: kindResponse, status: 206, header: http.Header{}, policy: none, body: body{id: "b", size: 9, partial: true, first: 5, inline: []byte("body")}},
		{kind: kindResponse, status: 200, header: http.Header{}, age: 1500 * time.Millisecond, policy: policy{lifetime: rules.Forever}, body: body{size: 1 << 20, inline: bytes.Repeat([]byte("x"), 1<<20)}},
	}
}

// What crosses to another instance is what it was, and as old.
func TestCodecRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, o := range testObjects() {
			o.arrived = time.Now()
			o.retry = o.arrived
			if o.kind == kindResponse {
				o.retry = o.arrived.Add(time.Minute)
			}
			b, err := codec{}.Append([]byte("before"), o)
			if err != nil || !bytes.HasPrefix(b, []byte("before")) {
				t.Fatalf("Append: %v", err)
			}
			got, err := codec{}.Decode(b[len("before"):])
			if err != nil {
				t.Fatal(err)
			}
			if !same(got, o) {
				t.Errorf("got %+v, want %+v", got, o)
			}
			if got.memory() <= int64(len(o.body.inline)) {
				t.Errorf("memory %d of a body of %d", got.memory(), len(o.body.inline))
			}
		}
	})
}

// same compares what crosses: an empty list is as good as none.
func same(a, b *object) bool {
	x, y := *a, *b
	for _, o := range []*object{&x, &y} {
		o.body.inline, o.remote = append([]byte{}, o.body.inline...), false
		o.variant.count, o.shown = nil, nil
		if o.kind != kindResponse {
			o.retry = o.arrived
		}
		if len(o.header) == 0 {
			o.header = nil
		}
	}
	return reflect.DeepEqual(x, y)
}

// What has passed since a stored object arrived is told by what is left of its time: it is not younger where it gets to.
func TestDecodeTTLAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testObjects()[6]
		o.arrived = time.Now()
		o.retry = o.arrived.Add(2 * time.Hour)
		b, _ := codec{}.Append(nil, o)
		time.Sleep(time.Hour)
		got, err := codec{}.DecodeTTL(b, o.left(time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now().Add(time.Minute)
		asked := o.arrived.Add(-o.since)
		if got.ageAt(now) != o.ageAt(now) || !got.retry.Equal(o.retry) || got.left(now) != o.left(now) || !got.arrived.Add(-got.since).Equal(asked) {
			t.Errorf("aged %v with %v left, want %v with %v", got.ageAt(now), got.left(now), o.ageAt(now), o.left(now))
		}
		// One on its way is encoded at the moment, and not kept.
		o.body.live = true
		b, _ = codec{}.Append(nil, o)
		if got, err = (codec{}).Decode(b); err != nil || got.ageAt(time.Now()) != o.ageAt(time.Now()) || !got.arrived.Add(-got.since).Equal(asked) {
			t.Errorf("on its way: aged %v, want %v; asked for at %v, want %v (%v)", got.ageAt(time.Now()), o.ageAt(time.Now()), got.arrived.Add(-got.since), asked, err)
		}
	})
}

func TestDecodeMalformed(t *testing.T) {
	for _, o := range testObjects() {
		o.body.inline = nil
		good, _ := codec{}.Append(nil, o)
		for i := range len(good) {
			if o, err := (codec{}).Decode(good[:i]); err == nil {
				t.Errorf("%d of %d bytes decode to %+v", i, len(good), o)
			}
		}
	}
	for name, src := range map[string]string{
		"unknown kind":         "\x04abc",
		"no kind":              "\x00abc",
		"mark without asker":   "\x02\x01x",
		"lower-case name":      "\x03\x00\x00\x01\x01a\x01b",
		"line break in a name": "\x03\x00\x00\x01\x03A\r\n\x01b",
		"and in a value":       "\x03\x00\x00\x01\x01A\x03b\r\n",
		"many lines":           "\x03\x00\x00\xff\xff\xff\xff\x0f",
		"long name":            "\x03\x00\x00\x01\xff\xff\xff\xff\x0fA",
		"status too small":     "\x01\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01\x01\x00\x01\x00\x00\x00\x00",
		"status too large":     "\x01\x00\x00\x00\x00\x00\xe8\x07\x00\x00\x00\x01\x01\x00\x01\x00\x00\x00\x00",
	} {
		if o, err := (codec{}).Decode([]byte(src)); err == nil {
			t.Errorf("%s: decodes to %+v", name, o)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, o := range testObjects() {
		if o.body.size < 1000 {
			b, _ := codec{}.Append(nil, o)
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		o, err := codec{}.Decode(src)
		if err != nil {
			return
		}
		if age := o.ageAt(o.arrived); age < 0 {
			t.Errorf("age %v", age)
		}
		o.body.live = false // else it is older already
		b, err := codec{}.Append(nil, o)
		if err != nil {
			t.Fatal(err)
		}
		again, err := codec{}.Decode(b)
		if err != nil {
			t.Fatalf("%q decodes, and is encoded as %q: %v", src, b, err)
		}
		retry := again.retry.Sub(again.arrived)
		if again.arrived, again.retry = o.arrived, o.arrived.Add(retry); !same(again, o) {
			t.Errorf("%+v became %+v", o, again)
		}
	})
}

// What a request brings along gets to the instance that asks the origin as it is, and what another instance makes up does no harm.
func FuzzCarrier(f *testing.F) {
	f.Add("id", "GET", "than", "from", "of", "Accept", "a", "b", true, false, true, int64(5))
	f.Add("id", "HEAD", "", "", "", "X-A", "", "\xff", false, true, false, int64(0))
	f.Add("", "POST", "", "", "", "lower", "\r\n", "", false, false, false, int64(-1))
	f.Fuzz(func(t *testing.T, id, method, than, from, of, name, v1, v2 string, cached, behind, anew bool, keepFor int64) {
		a := &ask{id: id, method: method, than: than, from: from, of: of, cached: cached, behind: behind, anew: anew, keepFor: max(time.Duration(keepFor), 0), header: http.Header{}}
		if validField(name, v1) && validField(name, v2) {
			a.header[name] = []string{v1, v2}
		}
		carried := carrier{}.Inject(withAsk(t.Context(), a))
		got := askOf(carrier{}.Extract(t.Context(), carried))
		if id == "" && got.ID() != a.ID() || got.ID() == "" {
			t.Errorf("the ID %q became %q", a.ID(), got.ID())
		}
		if method != http.MethodHead {
			a.method = http.MethodGet
		}
		want := &ask{id: a.ID(), method: a.method, than: than, from: from, of: of, cached: cached, behind: behind, anew: anew, keepFor: a.keepFor}
		if len(a.header) > 0 {
			want.header = a.header
		}
		if len(got.header) == 0 {
			got.header = nil
		}
		if want.ID(); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v became %+v", want, got)
		}
		carried[carriedAsk] = v1
		if h := askOf(carrier{}.Extract(t.Context(), carried)).header; h != nil {
			for name, values := range h {
				for _, v := range values {
					if !validField(name, v) {
						t.Errorf("%q: a field %q: %q", v1, name, v)
					}
				}
			}
		}
	})
}

// Whatever the target of a request: its key leads back to what the origin is sent, and to this origin.
func FuzzKey(f *testing.F) {
	for _, s := range []string{"/", "//a//b?", "/%2F%zz", "*", "http://evil/x", "/a b", "/?;", "/\"", "/%", "/a%00?%zz#x"} {
		f.Add(s)
	}
	h := start(f, Config{Transport: origin(200)})
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target) // as net/http does
		if err != nil {
			return
		}
		key, fwd := h.key(h.sites.any.prefix, u)
		if fwd != (forward{}) {
			return
		}
		back, _, ok := h.target(key)
		if !ok || h.sites.any.prefix+back.RequestURI() != key || back.Host != "origin.test" || back.Scheme != "http" || back.User != nil {
			t.Errorf("target %q, key %q: back to %v, %v", target, key, back, ok)
		}
		variant := variantKey(key, strings.Repeat("f", idLen), []string{"Accept"}, "Accept\n")
		if baseOf(variant) != key || familyOf(variant) != strings.Repeat("f", idLen) || familyOf(key) != "" || place(variant) != place(key) {
			t.Errorf("key %q: its variant is %q", key, variant)
		}
	})
}
