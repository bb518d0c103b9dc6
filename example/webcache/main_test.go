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
	for _, name := range []string{"-listen", "-admin"} {
		var stderr bytes.Buffer
		code := run([]string{"-origin", "http://127.0.0.1:1", "-listen", "127.0.0.1:0", name, l.Addr().String()}, nil, io.Discard, &stderr)
		if code != 1 || !strings.HasPrefix(stderr.String(), "webcache: "+name+": ") || !strings.Contains(stderr.String(), "address already in use") || strings.Count(stderr.String(), "\n") != 1 {
			t.Errorf("exit %d, stderr %q", code, &stderr)
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
