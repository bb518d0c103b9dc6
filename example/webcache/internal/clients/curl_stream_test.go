package clients

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/internal/processtest"
)

// stream runs curl such that it writes what comes as it comes, and returns its output and what waits for its end.
func stream(t *testing.T, args ...string) (_ *bufio.Reader, end func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), need(t, "curl"), append([]string{"-q", "--silent", "--show-error", "--no-buffer", "--noproxy", "*", "--max-time", "60"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return bufio.NewReader(out), func() {
		t.Helper()
		if err := cmd.Wait(); err != nil {
			t.Errorf("curl %s: %v", strings.Join(args, " "), err)
		}
	}
}

// wantLine fails the test if the next line is another one.
func wantLine(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	if got, err := r.ReadString('\n'); got != want+"\n" || err != nil {
		t.Fatalf("the next line is %q, %v; want %q", got, err, want)
	}
}

// slowly answers with a line, and with another one when it is told to.
func slowly(next <-chan struct{}, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(fields); i += 2 {
			w.Header().Set(fields[i], fields[i+1])
		}
		fmt.Fprintln(w, "begin")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-next:
			fmt.Fprintln(w, "end")
		case <-r.Context().Done():
		}
	}
}

// What the origin has sent reaches those who ask at any instance before it has sent the rest.
func TestCurlStreaming(t *testing.T) {
	next := make(chan struct{})
	o := startOrigin(t, slowly(next, "Cache-Control", "max-age=3600"))
	f := startFleet(t, o)
	var outs []*bufio.Reader
	for _, w := range append(f.all, f.all...) {
		out, end := stream(t, w.URL+"/slow")
		defer end()
		wantLine(t, out, "begin")
		outs = append(outs, out)
	}
	close(next)
	for _, out := range outs {
		wantLine(t, out, "end")
		if rest, err := io.ReadAll(out); len(rest) > 0 || err != nil {
			t.Errorf("there is more: %q, %v", rest, err)
		}
	}
	o.wantRequests(t, "GET /slow", 1)
	var a *answer
	processtest.WaitFor(t, "it to be stored", func() bool {
		a = curl(t, f.all[1].URL+"/slow")
		return strings.HasPrefix(a.from(), "fleetcache; hit")
	})
	if a.body != "begin\nend\n" {
		t.Errorf("what was stored is %q", a.body)
	}
}

// Events come one by one, to each client his own.
func TestCurlEvents(t *testing.T) {
	next := make(chan struct{})
	o := startOrigin(t, slowly(next, "Content-Type", "text/event-stream", "Cache-Control", "no-store"))
	f := startFleet(t, o)
	for i, w := range f.all {
		out, end := stream(t, "-H", "Accept: text/event-stream", w.URL+"/events")
		wantLine(t, out, "begin")
		next <- struct{}{}
		wantLine(t, out, "end")
		end()
		o.wantRequests(t, "GET /events", i+1)
	}
}

func TestCurlTrailers(t *testing.T) {
	o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, digits)
		_ = http.NewResponseController(w).Flush()
		w.Header().Set("X-Sum", "45")
	})
	f := startFleet(t, o)
	for _, method := range []string{"GET", "POST"} {
		for _, w := range f.all {
			if a := curl(t, "-X", method, w.URL+"/trailer"); a.body != digits || a.trailer.Get("X-Sum") != "45" {
				t.Errorf("%s: %q with the trailer %v, %v", method, a.body, a.trailer, a.header)
			}
		}
	}
}

// A body that curl sends in chunks, with Expect: 100-continue, is the origin's business.
func TestCurlUpload(t *testing.T) {
	o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintln(w, r.Method, n, err)
	})
	f := startFleet(t, o)
	file := write(t, "upload", strings.Repeat(digits, 300_000))
	for _, w := range f.all {
		for _, args := range [][]string{{"-T", file}, {"-T", file, "-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue"}} {
			a := curl(t, append(args, w.URL+"/upload")...)
			a.wantFrom(t, 200, "fwd=method")
			if a.body != "PUT 3000000 <nil>\n" {
				t.Errorf("the origin had %q", a.body)
			}
		}
	}
}
