package processtest

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// Client has no connections that stay.
var Client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}

// Fetch gets a URL, and fails the test if there is no answer.
func Fetch(t *testing.T, url string) (status int, body string, header http.Header) {
	t.Helper()
	resp, err := Client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

// Serve serves h on loopback until the end of the test, and returns its URL.
func Serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	go func() { _ = s.Serve(l) }() // until the end of the test
	t.Cleanup(func() { s.Close() })
	return "http://" + l.Addr().String()
}
