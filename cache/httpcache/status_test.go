package httpcache

import "testing"

func TestShowKey(t *testing.T) {
	h := start(t, Config{Instance: "a", ShowKey: true, Transport: origin(200, "Cache-Control: max-age=60", "Vary: Accept-Language", "", "x")})
	for _, want := range []string{
		`fleetcache; fwd=uri-miss; fwd-status=200; stored; key="/a?b=%22"; instance="a"`,
		`fleetcache; hit; ttl=59; key="/a?b=%22"; instance="a"`,
	} {
		got := get(h, "/a?b=%22").Header().Get("Cache-Status")
		if got != want && got != `fleetcache; hit; ttl=60; key="/a?b=%22"; instance="a"` {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
