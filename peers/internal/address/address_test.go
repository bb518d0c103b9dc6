package address_test

import (
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/peers/internal/address"
	"github.com/seed-0f2aaebe/fleetcache/peers/ring"
)

func TestNormalize(t *testing.T) {
	for in, want := range map[string]string{
		"http://10.0.0.1:8080":                          "http://10.0.0.1:8080/_fleetcache/",
		"HTTP://Example.COM:80/":                        "http://example.com/_fleetcache/",
		"https://example.com:443/x/":                    "https://example.com/x/",
		"https://example.com:80":                        "https://example.com:80/_fleetcache/",
		"http://[::1]:80":                               "http://[::1]/_fleetcache/",
		"http://[FE80::1]:8080/p":                       "http://[fe80::1]:8080/p",
		"http://example.com:":                           "http://example.com/_fleetcache/",
		"http://example.com/A%2fB":                      "http://example.com/A%2fB",
		"http://example.com/_fleetcache/":               "http://example.com/_fleetcache/",
		"":                                              "! empty",
		"10.0.0.1:8080":                                 "! does not parse",
		"ftp://example.com":                             "! http:// or https://",
		"http://":                                       "! no host",
		"http://:80":                                    "! no host",
		"http://u:secretpw@example.com":                 "! user",
		"http://u:secretpw@example.com:xx":              "! parse",
		"http://example.com?x":                          "! query",
		"http://example.com/?":                          "! query",
		"http://example.com#":                           "! fragment",
		"http://" + strings.Repeat("x", address.MaxURL): "! at most",
	} {
		got, err := address.Normalize(in)
		if bad, ok := strings.CutPrefix(want, "! "); ok {
			if err == nil || !strings.Contains(err.Error(), bad) || strings.Contains(err.Error(), "secretpw") {
				t.Errorf("%q: error %v, want %q", in, err, bad)
			}
		} else if got != want || err != nil {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		} else if again, err := address.Normalize(got); again != got || err != nil {
			t.Errorf("%q is not its own normal form: %q, %v", got, again, err)
		}
	}
}

func TestMaxWeightIsTheRings(t *testing.T) {
	if address.MaxWeight != ring.MaxWeight {
		t.Errorf("MaxWeight is %d, and ring's %d", address.MaxWeight, ring.MaxWeight)
	}
}
