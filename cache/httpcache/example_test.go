package httpcache_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache"
)

func Example() {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "hello")
	}))
	defer origin.Close()

	h, err := httpcache.New(httpcache.Config{Origin: origin.URL, Instance: "a"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()

	for range 2 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/greeting", nil))
		status, _, _ := strings.Cut(w.Header().Get("Cache-Status"), "; ttl=") // which is 59 or 60
		fmt.Println(w.Body, status)
	}
	// Output:
	// hello fleetcache; fwd=uri-miss; fwd-status=200; stored; instance="a"
	// hello fleetcache; hit
}
