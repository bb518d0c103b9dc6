package memberlist

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

var testKey = []byte("0123456789abcdef0123456789abcdef")

func TestNewNamesEveryBadField(t *testing.T) {
	for want, c := range map[string]Config{
		"Self: the URL":             {Self: "10.0.0.1"},
		"Self is 5":                 {Self: "http://a/" + strings.Repeat("x", 502)},
		"Weight is -1":              {Weight: -1},
		"Weight is 1001":            {Weight: 1001},
		"Bind: \"x\" has no IP":     {Bind: "x"},
		"Bind: \"1.2.3.4:x\"":       {Bind: "1.2.3.4:x"},
		"Bind: \"1.2.3.4:65536\"":   {Bind: "1.2.3.4:65536"},
		"Advertise is \"x\"":        {Advertise: "x"},
		"Advertise is \"0.0.0.0\"":  {Advertise: "0.0.0.0"},
		"Advertise is empty":        {Bind: "::"},
		"Seeds: \"a/b\"":            {Seeds: []string{"ok", "a/b"}},
		"Seeds: \"\"":               {Seeds: []string{""}},
		"Seeds: \"a\" has no port":  {Bind: "127.0.0.1:0", Seeds: []string{"a"}},
		"Rejoin is -1":              {Rejoin: -1},
		"Keys: there is none":       {Keys: [][]byte{}},
		"Keys: key 1 has 15 bytes":  {Keys: [][]byte{testKey, make([]byte, 15)}},
		"Insecure is set together ": {Insecure: true, Keys: [][]byte{testKey}},
	} {
		if c.Self == "" {
			c.Self = "http://a"
		}
		if c.Keys == nil {
			c.Keys = [][]byte{testKey}
		}
		s, err := New(c)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.HasPrefix(err.Error(), "memberlist: Config."+want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	_, err := New(Config{Weight: -1, Bind: "x", Advertise: "y", Seeds: []string{"/"}, Rejoin: -1})
	if n := strings.Count(err.Error(), "\n"); n != 6 {
		t.Errorf("not all of 7 fields are named: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for _, tt := range []struct {
		bind, advertise, seed             string
		wantBind, wantAdvertise, wantSeed string
	}{
		{"", "", "cache.internal", "0.0.0.0:7946", ":7946", "cache.internal 7946"},
		{"10.0.0.1", "", "10.0.0.2", "10.0.0.1:7946", ":7946", "10.0.0.2 7946"},
		{"10.0.0.1:1", "10.1.1.1", "cache.internal.:3", "10.0.0.1:1", "10.1.1.1:1", "cache.internal. 3"},
		{"10.0.0.1:1", "10.1.1.1:2", "fd00::2", "10.0.0.1:1", "10.1.1.1:2", "fd00::2 1"},
		{"[fd00::1]:1", "[fd00::3]:2", "[fd00::2]:4", "[fd00::1]:1", "[fd00::3]:2", "fd00::2 4"},
		{"fd00::1", "fd00::3", "[fd00::2]", "[fd00::1]:7946", "[fd00::3]:7946", "fd00::2 7946"},
		{"::", "::ffff:10.0.0.1", "a", "[::]:7946", "10.0.0.1:7946", "a 7946"},
	} {
		c := Config{Self: "http://a", Keys: [][]byte{testKey}, Bind: tt.bind, Advertise: tt.advertise, Seeds: []string{tt.seed}}
		s, err := c.check()
		if err != nil {
			t.Errorf("%+v: %v", tt, err)
			continue
		}
		join := func(addr string, port int) string {
			if ip, err := netip.ParseAddr(addr); err == nil {
				return netip.AddrPortFrom(ip, uint16(port)).String()
			}
			return addr + ":7946"
		}
		seed := s.seeds[0].host + " " + strings.TrimPrefix(join("0.0.0.0", int(s.seeds[0].port)), "0.0.0.0:")
		if got := join(s.gossip.BindAddr, s.gossip.BindPort); got != tt.wantBind {
			t.Errorf("%+v: binds %s", tt, got)
		}
		if got := join(s.gossip.AdvertiseAddr, s.gossip.AdvertisePort); got != tt.wantAdvertise {
			t.Errorf("%+v: advertises %s", tt, got)
		}
		if seed != tt.wantSeed || s.rejoin != 15*time.Second {
			t.Errorf("%+v: seed %s, rejoin %v", tt, seed, s.rejoin)
		}
	}
}
