package app

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed-0f2aaebe/fleetcache/internal/freeaddr"
	"github.com/seed-0f2aaebe/fleetcache/internal/processtest"
)

// TestMain runs the tests; or, in a process that a test starts, the program.
func TestMain(m *testing.M) {
	if os.Getenv("WEBCACHE_TEST_MAIN") == "1" {
		os.Exit(Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Setenv("WEBCACHE_TEST_MAIN", "1")
	goleak.VerifyTestMain(m)
}

// start starts the program as a process of its own.
func start(t *testing.T, args ...string) (_ *exec.Cmd, stdout, stderr *processtest.Output) {
	t.Helper()
	return processtest.Start(t, os.Args[0], args...)
}

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := Run([]string{"-help"}, nil, &stdout, &stderr); code != 0 || stderr.Len() > 0 || !strings.Contains(stdout.String(), "-secret-file") {
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
		code := Run([]string{"-origin", "http://127.0.0.1:1", "-listen", "127.0.0.1:0", name, l.Addr().String()}, nil, io.Discard, &stderr)
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
			origin := processtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
				arrived <- struct{}{}
				select {
				case <-release:
				case <-r.Context().Done():
				}
				io.WriteString(w, "at last")
			})
			addrs, err := freeaddr.Find("127.0.0.1", 2)
			if err != nil {
				t.Fatal(err)
			}
			timeout := "1m"
			if stuck {
				timeout = "50ms"
			}
			cmd, _, stderr := start(t, "-origin", origin, "-listen", addrs[0], "-admin", addrs[1], "-shutdown-timeout", timeout)
			processtest.WaitFor(t, "it to be healthy", func() bool {
				resp, err := processtest.Client.Get("http://" + addrs[1] + "/healthz")
				if err == nil {
					resp.Body.Close()
				}
				return err == nil && resp.StatusCode == 200
			})
			got := post("http://" + addrs[0] + "/slow")
			<-arrived
			cmd.Process.Signal(syscall.SIGTERM)
			if !stuck {
				processtest.WaitFor(t, "the listener to be closed", func() bool {
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
		resp, err := processtest.Client.Post(url, "text/plain", nil)
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
