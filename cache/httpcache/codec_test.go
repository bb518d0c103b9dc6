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
)

var testTime = time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)

func TestCodec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		objects := []*object{
			{pass: whyPrivate},
			{status: 200, header: http.Header{}, body: []byte{}, lifetime: time.Minute},
			{status: 200, header: http.Header{"Date": {"x"}, "X-A": {"1", "2", ""}}, body: []byte("body"), lifetime: 2 * time.Hour, age: 90 * time.Minute},
			{status: 200, header: http.Header{}, body: bytes.Repeat([]byte("x"), 1<<20), lifetime: maxSeconds * time.Second, age: 1500 * time.Millisecond},
		}
		for _, o := range objects {
			o.arrived = now
			b, err := codec{}.Append([]byte("before"), o)
			if err != nil || !bytes.HasPrefix(b, []byte("before")) {
				t.Fatalf("Append: %v", err)
			}
			got, err := codec{}.Decode(b[len("before"):])
			if err != nil {
				t.Fatal(err)
			}
			if o.pass != "" {
				got.arrived = o.arrived
			}
			if !reflect.DeepEqual(got, o) {
				t.Errorf("got %+v, want %+v", got, o)
			}
			if got.size() <= int64(len(o.body)) {
				t.Errorf("size %d of a body of %d", got.size(), len(o.body))
			}
		}
	})
}

func TestDecodeMalformed(t *testing.T) {
	good, _ := codec{}.Append(nil, &object{status: 200, header: http.Header{"A": {"b"}}, lifetime: time.Minute})
	for i := range len(good) {
		if o, err := (codec{}).Decode(good[:i]); err == nil {
			t.Errorf("%d of %d bytes decode to %+v", i, len(good), o)
		}
	}
	for name, src := range map[string]string{
		"unknown kind":         "\x02abc",
		"mark without reason":  "\x00",
		"status too small":     "\x01\x01\x00\x00\x00",
		"lower-case name":      "\x01\xc8\x01\x00\x00\x01\x01a\x01b",
		"line break in a name": "\x01\xc8\x01\x00\x00\x01\x03A\r\n\x01b",
		"and in a value":       "\x01\xc8\x01\x00\x00\x01\x01A\x03b\r\n",
		"many lines":           "\x01\xc8\x01\x00\x00\xff\xff\xff\xff\x0f",
		"long name":            "\x01\xc8\x01\x00\x00\x01\xff\xff\xff\xff\x0fA",
	} {
		if o, err := (codec{}).Decode([]byte(src)); err == nil {
			t.Errorf("%s: decodes to %+v", name, o)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, o := range []*object{
		{pass: whyPrivate},
		{status: 200, header: http.Header{"Date": {"x"}, "X-A": {"1", "2"}}, body: []byte("body"), lifetime: time.Hour, age: time.Minute},
	} {
		b, _ := codec{}.Append(nil, o)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		o, err := codec{}.Decode(src)
		if err != nil {
			return
		}
		if age := o.ageAt(time.Now().Add(time.Hour)); age < 0 || age > o.lifetime {
			t.Errorf("age %v of %v", age, o.lifetime)
		}
		b, err := codec{}.Append(nil, o)
		if err != nil {
			t.Fatal(err)
		}
		again, err := codec{}.Decode(b)
		if err != nil {
			t.Fatalf("%q decodes, and is encoded as %q: %v", src, b, err)
		}
		if !reflect.DeepEqual(again.header, o.header) || !bytes.Equal(again.body, o.body) || again.status != o.status ||
			again.pass != o.pass || again.lifetime != o.lifetime {
			t.Errorf("%+v became %+v", o, again)
		}
	})
}

func FuzzCacheControl(f *testing.F) {
	for _, s := range []string{"max-age=60", `private="a, b", x="\"", s-maxage=5`, ",,a,", "a=", "\"", "max-age=1, MAX-AGE=2", "a = b", "no-store\n=", "x=\"\\"} {
		f.Add(s, "")
	}
	f.Add("public", "max-age=60")
	f.Fuzz(func(t *testing.T, a, b string) {
		d, ok := parseCacheControl([]string{a, b})
		// As one list, it must say the same.
		joined, okJoined := parseCacheControl([]string{a + "," + b})
		if ok && (!okJoined || !reflect.DeepEqual(d, joined)) {
			t.Errorf("%q and %q: %v, together %v %v", a, b, d, joined, okJoined)
		}
		if !ok {
			if d != nil {
				t.Errorf("%q, %q: not ok, and %v", a, b, d)
			}
			return
		}
		// What a simpler reader would find, we must have found, too.
		for _, name := range []string{"no-store", "private", "no-cache"} {
			plain := strings.EqualFold(strings.Trim(a, " \t"), name) || strings.EqualFold(strings.Trim(b, " \t"), name)
			if plain && !d.has(name) {
				t.Errorf("%q, %q: %s is missing in %v", a, b, name, d)
			}
		}
		for name, value := range d {
			if token, rest := cutToken(name); token == "" || rest != "" || strings.ToLower(name) != name {
				t.Errorf("%q, %q: a directive called %q", a, b, name)
			}
			if sec, ok := parseSeconds(value); ok && (sec < 0 || sec > maxSeconds*time.Second) {
				t.Errorf("%q is %v", value, sec)
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
	})
}
