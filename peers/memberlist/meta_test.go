package memberlist

import (
	"bytes"
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/address"
)

func TestMeta(t *testing.T) {
	for _, m := range []discover.Member{
		{URL: "http://10.0.0.1:8080/_fleetcache/", Weight: 1},
		{URL: "https://[fd00::1]/x", Weight: 1000, Leaving: true},
	} {
		if got, err := decodeMeta(encodeMeta(m)); got != m || err != nil {
			t.Errorf("%v became %v, %v", m, got, err)
		}
		// What a later program may add.
		b := append(encodeMeta(m), "more"...)
		b[1] |= 0xfe
		if got, err := decodeMeta(b); got != m || err != nil {
			t.Errorf("%v and more became %v, %v", m, got, err)
		}
	}
	// The bytes are the same for ever.
	if got, want := encodeMeta(discover.Member{URL: "http://a/", Weight: 300, Leaving: true}), []byte("\x01\x01\xac\x02\x09http://a/"); !bytes.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestMetaErrors(t *testing.T) {
	for meta, want := range map[string]string{
		"":                             "0 bytes",
		"\x01":                         "1 bytes",
		"\x02\x00\x01\x08http://a":     "version 2",
		"\x01\x00":                     "weight",
		"\x01\x00\x00\x08http://a":     "weight",
		"\x01\x00\xe9\x07\x08http://a": "weight", // 1001
		"\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xffx": "weight",
		"\x01\x00\x01":                                         "cut off",
		"\x01\x00\x01\x09http://a":                             "cut off",
		"\x01\x00\x01\xff\xff\xff\xff\x0f":                     "cut off",
		"\x01\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01": "cut off",
		"\x01\x00\x01\x00":                                     "empty",
		"\x01\x00\x01\x05hello":                                "http://",
		"\x01\x00\x01\x0ahttp://a?b":                           "query",
	} {
		if got, err := decodeMeta([]byte(meta)); err == nil || !strings.Contains(err.Error(), want) || got != (discover.Member{}) {
			t.Errorf("%q: %v, error %v, want %q", meta, got, err, want)
		}
	}
}

func FuzzMeta(f *testing.F) {
	f.Add([]byte("\x01\x01\xac\x02\x09http://a/"))
	f.Add([]byte("\x01\xff\x01\x15https://[fd00::1]:8/pmore"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMeta(b)
		if err != nil {
			return
		}
		if url, err := address.Normalize(m.URL); url != m.URL || err != nil || m.Weight < 1 || m.Weight > address.MaxWeight {
			t.Fatalf("%+v: Set would refuse it: %v", m, err)
		}
		if again, err := decodeMeta(encodeMeta(m)); again != m || err != nil {
			t.Errorf("%+v became %+v, %v", m, again, err)
		}
	})
}
