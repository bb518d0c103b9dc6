package httpcache

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

func TestConfig(t *testing.T) {
	good := Config{Origin: "http://origin.test"}
	tests := []struct {
		name   string
		change func(*Config)
		want   string // "": no error
	}{
		{"only Origin", func(c *Config) {}, ""},
		{"https and a port", func(c *Config) { c.Origin = "https://[::1]:8443/" }, ""},
		{"no Origin", func(c *Config) { c.Origin = "" }, "Config.Origin: the URL is empty: use one such as"},
		{"no scheme", func(c *Config) { c.Origin = "localhost:80" }, "does not begin with http"},
		{"no host", func(c *Config) { c.Origin = "http:///x" }, "has no host"},
		{"path", func(c *Config) { c.Origin = "http://x/app" }, "has something behind its host"},
		{"query", func(c *Config) { c.Origin = "http://x/?" }, "has something behind its host"},
		{"fragment", func(c *Config) { c.Origin = "http://x#" }, "has something behind its host"},
		{"port too large", func(c *Config) { c.Origin = "http://x:99999" }, "a port that is not 1 to 65535"},
		{"port zero", func(c *Config) { c.Origin = "http://x:0" }, "a port that is not 1 to 65535"},
		{"password", func(c *Config) { c.Origin = "http://u:sesame@x" }, "leave it out"},
		{"password in what does not parse", func(c *Config) { c.Origin = "http://u:sesame@x:%" }, "does not parse"},
		{"Instance", func(c *Config) { c.Instance = `a"b` }, "Config.Instance"},
		{"Instance is not ASCII", func(c *Config) { c.Instance = "ä" }, "Config.Instance"},
		{"MaxBytes", func(c *Config) { c.MaxBytes = 1 }, "Config.MaxBytes is 1: use at least"},
		{"MaxObjectBytes", func(c *Config) { c.MaxBytes, c.MaxObjectBytes = 1<<20, 1<<20+1 }, "Config.MaxObjectBytes is 1048577: use 1 to 1048576"},
		{"negative MaxObjectBytes", func(c *Config) { c.MaxObjectBytes = -1 }, "Config.MaxObjectBytes"},
		{"MaxVariants", func(c *Config) { c.MaxVariants = -1 }, "Config.MaxVariants is -1: use a positive number, or 0 for the default of 64"},
		{"Targets", func(c *Config) { c.Targets = []string{"cdn cache"} }, `Config.Targets has "cdn cache"`},
		{"FillTimeout", func(c *Config) { c.FillTimeout = -1 }, "Config.FillTimeout"},
		{"MaxFills", func(c *Config) { c.MaxFills = -1 }, "Config.MaxFills"},
		{"two", func(c *Config) { c.MaxFills, c.FillTimeout = -1, -time.Second }, "Config.FillTimeout is -1s: use a positive duration, or 0 for the default of 30s\nhttpcache: Config.MaxFills"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := good
			tt.change(&cfg)
			h, err := New(cfg)
			if err == nil {
				h.Close()
			}
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "sesame") {
				t.Errorf("the error tells a password: %v", err)
			}
		})
	}
}

func TestOriginIsNormalised(t *testing.T) {
	for raw, want := range map[string]string{
		"HTTP://Example.COM:80/": "http://example.com",
		"https://example.com:80": "https://example.com:80",
		"https://x:443":          "https://x",
		"http://[::1]":           "http://[::1]",
		"http://[::1]:8080":      "http://[::1]:8080",
	} {
		if h := start(t, Config{Origin: raw}); h.sites.any.prefix != "r"+want {
			t.Errorf("%s: %s, want %s", raw, h.sites.any.prefix, want)
		}
	}
}

// What MaxObjectBytes allows by default, the cache has room for.
func TestLargestObjectIsKept(t *testing.T) {
	for _, maxBytes := range []int64{cache.MinMaxBytes, 1 << 20, 16 << 20} {
		synctest.Test(t, func(t *testing.T) {
			o := origin(200, "Cache-Control: max-age=60", "", strings.Repeat("x", int(maxBytes/4)))
			_, hs := startFleet(t, 1, Config{Transport: o, MaxBytes: maxBytes})
			for range 3 {
				if w := get(hs[0], "/x"); w.Body.Len() != int(maxBytes/4) {
					t.Errorf("MaxBytes %d: got %d bytes of %d", maxBytes, w.Body.Len(), maxBytes/4)
				}
				synctest.Wait()
			}
			if n := o.requests.Load(); n != 1 {
				t.Errorf("MaxBytes %d: the origin saw %d requests, want 1", maxBytes, n)
			}
		})
	}
}
