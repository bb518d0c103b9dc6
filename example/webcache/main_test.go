package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain runs the tests; or, in a process that a test starts, the program.
func TestMain(m *testing.M) {
	if os.Getenv("WEBCACHE_TEST_MAIN") == "1" {
		os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Setenv("WEBCACHE_TEST_MAIN", "1")
	goleak.VerifyTestMain(m)
}

// client has no connections that stay.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}

func fetch(t *testing.T, url string) (status int, body string, header http.Header) {
	t.Helper()
	resp, err := client.Get(url)
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

// start starts the program as a process of its own, which the test kills if it is still there at the end.
func start(t *testing.T, args ...string) (_ *exec.Cmd, stdout, stderr *output) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	stdout, stderr = newOutput(), newOutput()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd, stdout, stderr
}

func TestBadFlags(t *testing.T) {
	dir := t.TempDir()
	short, good := filepath.Join(dir, "short"), filepath.Join(dir, "good")
	os.WriteFile(short, []byte("too short      \n\n"), 0o600)
	os.WriteFile(good, []byte("0123456789abcdef\n"), 0o600)
	origin := "-origin http://127.0.0.1:1 "
	tests := []struct{ args, want string }{
		{"", "-origin is missing"},
		{"-listen 127.0.0.1:0", "-origin is missing"},
		{"-origin localhost:80", "-origin: the URL"},
		{"-origin http://x/path", "-origin: the URL"},
		{"-origin http://%zz", "-origin: the URL does not parse"},
		{origin + "-foo", "flag provided but not defined: -foo"},
		{origin + "-listen", "flag needs an argument: -listen"},
		{origin + "-listen nonsense", "-listen:"},
		{origin + "-admin nonsense", "-admin:"},
		{origin + "stray", `unexpected argument "stray"`},
		{origin + "-max-bytes 256MB", `invalid value "256MB" for flag -max-bytes: use a number and`},
		{origin + "-max-bytes MiB", "-max-bytes: use a number and"},
		{origin + "-max-bytes -1", "-max-bytes: use a number and"},
		{origin + "-max-bytes 99999999999GiB", "-max-bytes: use a number and"},
		{origin + "-max-bytes 1KiB", "-max-bytes is 1024: use at least"},
		{origin + "-max-bytes 1MiB -max-object 1MiB", "-max-object is 1048576: use 1 to"},
		{origin + "-shutdown-timeout -1s", "-shutdown-timeout is -1s"},
		{origin + "-shutdown-timeout soon", "for flag -shutdown-timeout"},
		{origin + "-log loud", "for flag -log"},
		{origin + "-peers http://a", "-self is missing"},
		{origin + "-peers http://a -self http://b", "-secret-file is missing"},
		{origin + "-peers http://a -self http://b -secret-file " + dir + "/none", "-secret-file: open "},
		{origin + "-peers http://a -self http://b -secret-file " + short, "has 9 bytes: use 16"},
		{origin + "-peers http://a -self http://b -insecure -secret-file " + good, "leave one of them out"},
		{origin + "-peers http://a -self nonsense -secret-file " + good, "-self: the URL"},
		{origin + "-peers http://b,nonsense -self http://b -secret-file " + good, `-peers: "nonsense": the URL`},
		{origin + "-peers http://a,http://A:80 -self http://b -secret-file " + good, "listed twice"},
		{origin + "-requests 5", "-requests is for -demo"},
		{origin + "-kill", "-kill is for -demo"},
		{origin + "-demo", "-origin does not go with -demo"},
		{"-demo -requests 0", "-requests is 0"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(strings.Fields(tt.args), nil, &stdout, &stderr)
			if code != 2 || stdout.Len() > 0 || strings.Count(stderr.String(), "\n") != 1 || !strings.HasPrefix(stderr.String(), "webcache: ") || !strings.Contains(stderr.String(), tt.want) {
				t.Errorf("exit %d, stdout %q, stderr %q; want 2 and one line with %q", code, &stdout, &stderr, tt.want)
			}
			if strings.Contains(stderr.String(), "Config.") {
				t.Errorf("a field is named instead of a flag: %s", &stderr)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"-help"}, nil, &stdout, &stderr); code != 0 || stderr.Len() > 0 || !strings.Contains(stdout.String(), "-secret-file") {
		t.Errorf("exit %d, stdout %q, stderr %q", code, &stdout, &stderr)
	}
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var stderr bytes.Buffer
	code := run([]string{"-origin", "http://127.0.0.1:1", "-listen", l.Addr().String()}, nil, io.Discard, &stderr)
	if code != 1 || !strings.Contains(stderr.String(), "address already in use") || strings.Count(stderr.String(), "\n") != 1 {
		t.Errorf("exit %d, stderr %q", code, &stderr)
	}
}

func TestSizes(t *testing.T) {
	for s, want := range map[string]int64{"5": 5, "5B": 5, "4KiB": 4096, "256MiB": 256 << 20, "1GiB": 1 << 30} {
		var f sizeFlag
		if err := f.Set(s); err != nil || int64(f) != want {
			t.Errorf("%s: %d, %v", s, f, err)
		}
		var again sizeFlag
		if err := again.Set(f.String()); err != nil || again != f {
			t.Errorf("%s is written as %s", s, f.String())
		}
	}
	for _, s := range []string{"", "MiB", "1.5MiB", "1 MiB", "1mib", "1iB", "0", "1KiBKiB", "9223372036854775807GiB"} {
		if err := new(sizeFlag).Set(s); err == nil {
			t.Errorf("%q is a size", s)
		}
	}
}

// SIGTERM: nobody new is let in, who is there is served, and the exit code is 0.
func TestGracefulExit(t *testing.T) {
	for _, stuck := range []bool{false, true} {
		t.Run(fmt.Sprintf("stuck=%v", stuck), func(t *testing.T) {
			arrived, release := make(chan struct{}, 1), make(chan struct{})
			origin := serve(t, func(w http.ResponseWriter, r *http.Request) {
				arrived <- struct{}{}
				select {
				case <-release:
				case <-r.Context().Done():
				}
				io.WriteString(w, "at last")
			})
			addrs, err := freeAddrs(2)
			if err != nil {
				t.Fatal(err)
			}
			timeout := "1m"
			if stuck {
				timeout = "50ms"
			}
			cmd, _, stderr := start(t, "-origin", origin, "-listen", addrs[0], "-admin", addrs[1], "-shutdown-timeout", timeout)
			waitFor(t, "it to be healthy", func() bool {
				resp, err := client.Get("http://" + addrs[1] + "/healthz")
				if err == nil {
					resp.Body.Close()
				}
				return err == nil && resp.StatusCode == 200
			})
			got := post("http://" + addrs[0] + "/slow")
			<-arrived
			cmd.Process.Signal(syscall.SIGTERM)
			if !stuck {
				waitFor(t, "the listener to be closed", func() bool {
					c, err := net.Dial("tcp", addrs[0])
					if err == nil {
						c.Close()
					}
					return err != nil
				})
				close(release)
			}
			if a := <-got; !stuck && (a.err != nil || a.body != "at last") || stuck && a.err == nil {
				t.Errorf("the request got %q, %v", a.body, a.err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v, %s", err, stderr)
			}
		})
	}
}

type answer struct {
	body string
	err  error
}

// post sends a request behind, and returns where its answer will be.
func post(url string) <-chan answer {
	got := make(chan answer, 1)
	go func() {
		resp, err := client.Post(url, "text/plain", nil)
		if err != nil {
			got <- answer{err: err}
			return
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		got <- answer{string(b), err}
	}()
	return got
}

// serve serves h on a socket until the end of the test, and returns its URL.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return "http://" + l.Addr().String()
}

// waitFor waits for what other processes do, of which nothing tells.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited too long for %s", what)
		}
	}
}
