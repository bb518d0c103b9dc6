package clients

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/internal/processtest"
)

// An answer is what curl got.
type answer struct {
	status  int
	proto   string // "1.1" or "2"
	header  http.Header
	trailer http.Header
	body    string
}

// from returns the answer's own part of Cache-Status.
func (a *answer) from() string { return a.header.Get("Cache-Status") }

// wantFrom fails the test if the cache says something else of where the answer comes from.
func (a *answer) wantFrom(t *testing.T, status int, from string) {
	t.Helper()
	if a.status != status || !strings.HasPrefix(a.from(), "fleetcache; "+from) {
		t.Errorf("status %d, Cache-Status %q; want %d, %q", a.status, a.from(), status, from)
	}
}

// curl runs curl, and fails the test if that does.
func curl(t *testing.T, args ...string) *answer {
	t.Helper()
	dir := t.TempDir()
	head, body := filepath.Join(dir, "head"), filepath.Join(dir, "body")
	cmd := exec.CommandContext(t.Context(), need(t, "curl"), append([]string{
		"-q", "--silent", "--show-error", "--noproxy", "*", "--max-time", "60", "-D", head, "-o", body, "-w", "%{http_code} %{http_version}",
	}, args...)...)
	out, err := cmd.CombinedOutput()
	a := new(answer)
	if _, scanErr := fmt.Sscan(string(out), &a.status, &a.proto); err != nil || scanErr != nil {
		t.Fatalf("curl %s: %v, %v: %s", strings.Join(args, " "), err, scanErr, out)
	}
	text, err := os.ReadFile(body)
	if err != nil && !os.IsNotExist(err) { // which it is if the body is empty
		t.Fatal(err)
	}
	a.body = string(text)
	if text, err = os.ReadFile(head); err != nil {
		t.Fatal(err)
	}
	a.header, a.trailer = parseHead(t, text)
	return a
}

// fill runs curl for what the cache does not have, and waits until it has it: for a moment after the last byte, it is still on its way.
func fill(t *testing.T, args ...string) *answer {
	t.Helper()
	a := curl(t, args...)
	a.wantFrom(t, 200, "fwd=uri-miss; fwd-status=200; stored")
	processtest.WaitFor(t, "it to be stored", func() bool { return strings.HasPrefix(curl(t, args...).from(), "fleetcache; hit") })
	return a
}

// parseHead parses what curl -D has written: the headers of 1xx and final responses, of which the last one counts, and a trailer.
func parseHead(t *testing.T, text []byte) (header, trailer http.Header) {
	t.Helper()
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		if line, err := r.R.Peek(5); err == nil && string(line) == "HTTP/" {
			if _, err := r.ReadLine(); err != nil {
				t.Fatal(err)
			}
			fields, err := r.ReadMIMEHeader()
			if err != nil && err != io.EOF {
				t.Fatalf("%v: %q", err, text)
			}
			header = http.Header(fields)
			continue
		}
		fields, err := r.ReadMIMEHeader() // it may have no empty line behind it
		if err != nil && err != io.EOF {
			t.Fatalf("%v: %q", err, text)
		}
		return header, http.Header(fields)
	}
}
