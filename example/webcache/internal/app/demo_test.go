package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/internal/processtest"
	"github.com/seed-0f2aaebe/fleetcache/peers"
)

// tree makes a folder with n files, some with names that are hard on URLs.
func tree(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	names := []string{"a b", "a+b", "a%20b", "50%", "what?", "c#", "ü", "a;b=c", `"quoted"`, "[x]", "~", "a&b", "A", "a"}
	for i := range n {
		name := filepath.Join(dir, fmt.Sprintf("d%d", i%7), fmt.Sprintf("f%d %s", i, names[i%len(names)]))
		os.MkdirAll(filepath.Dir(name), 0o700)
		if err := os.WriteFile(name, []byte(strings.Repeat(fmt.Sprintf("file %d\n", i), i*i%3000)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// demo is runDemo, but for the words.
func demo(t *testing.T, args ...string) (*report, *origin, *fleet) {
	t.Helper()
	opts, err := parseFlags(append([]string{"-demo", "-log", "error"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	o, err := startOrigin(opts.folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.close)
	f, err := startFleet(context.Background(), opts, o.url, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.kill)
	return newReport(o, f, drive(context.Background(), opts, o, f, t.Output())), o, f
}

// Three processes and an origin: each object is loaded once.
func TestG1ThreeProcesses(t *testing.T) {
	r, o, f := demo(t, "-requests", "3000", "-source", tree(t, 300))
	if err := r.err(); err != nil || r.loads != len(r.asked) || r.lost+r.reloaded != 0 {
		r.print(t.Output())
		t.Errorf("%v; %d loads of %d objects, %d lost, %d reloaded", err, r.loads, len(r.asked), r.lost, r.reloaded)
	}
	for _, in := range f.instances {
		if len(r.owned) != 3 || r.owned[in] == 0 || r.at[in] == 0 {
			t.Errorf("instance %d owns %d objects and had %d requests", in.index, r.owned[in], r.at[in])
		}
		code, body, header := processtest.Fetch(t, in.admin+"/stats")
		var s stats
		if err := json.Unmarshal([]byte(body), &s); err != nil || code != 200 || header.Get("Content-Type") != "application/json" {
			t.Fatalf("/stats: %d, %v", code, err)
		}
		if s.Instance != in.name() || int(s.HTTP.Requests) != r.at[in] || int(s.HTTP.Fills) != r.owned[in] || s.Pool == nil || len(s.Pool.Peers) != 2 || s.Version == "" {
			t.Errorf("/stats: %+v", s)
		}
		if code, _, _ := processtest.Fetch(t, in.admin+"/other"); code != 404 {
			t.Errorf("/other: %d", code)
		}
	}
	// What is not in the folder is the origin's business, and so is a path that a ServeMux would redirect.
	in := f.instances[0]
	if code, _, header := processtest.Fetch(t, in.url+"/not//there"); code != 404 || !strings.Contains(header.Get("Cache-Status"), "fwd-status=404") {
		t.Errorf("got %d %v", code, header)
	}
	if code, body, _ := processtest.Fetch(t, in.url+peers.DefaultPath); code != 200 || !strings.Contains(body, "epoch") {
		t.Errorf("%s: %d %s", peers.DefaultPath, code, body)
	}
	if code, _, header := processtest.Fetch(t, in.url+o.paths[0]); code != 200 || !strings.Contains(header.Get("Cache-Status"), fmt.Sprintf("instance=%q", in.name())) {
		t.Errorf("got %d %v", code, header)
	}
}

// Killing one of three processes under load: nobody else's client notices, what the dead one owned is
// loaded once more at most, and nothing else is loaded again.
func TestG8SIGKILLUnderLoad(t *testing.T) {
	r, _, f := demo(t, "-kill", "-requests", "6000", "-source", tree(t, 700))
	if err := r.err(); err != nil || len(r.gone) != 1 {
		r.print(t.Output())
		t.Errorf("%v; %d instances are gone, %d loads of %d objects, %d reloaded", err, len(r.gone), r.loads, len(r.asked), r.reloaded)
	}
	if r.reloaded == 0 {
		t.Errorf("nothing was asked for again that was lost: the test shows nothing")
	}
	for _, in := range f.instances {
		if !in.isGone() && r.at[in] < 1500 {
			t.Errorf("instance %d had %d requests", in.index, r.at[in])
		}
	}
}

// Each of three processes is replaced under load: no request fails, and the origin hardly notices.
func TestG9RollUnderLoad(t *testing.T) {
	r, _, f := demo(t, "-roll", "-requests", "20000", "-source", tree(t, 700))
	if err := r.err(); err != nil || f.replaced != 3 || r.reloaded > r.distinct/10 {
		t.Errorf("%v; %d instances were replaced, and %d of %d objects loaded again", err, f.replaced, r.reloaded, r.distinct)
	}
	r.print(t.Output())
}

// What counts as a duplicate, when c was lost.
func TestReport(t *testing.T) {
	f := &fleet{}
	for _, url := range []string{"a", "b", "c"} {
		f.instances = append(f.instances, &instance{url: url, gone: make(chan struct{})})
	}
	close(f.instances[2].gone)
	for _, tt := range []struct {
		by                   string
		duplicates, reloaded int
	}{
		{"a", 0, 0}, {"c", 0, 0}, {"c a", 0, 1}, {"a c", 0, 1}, {"a b", 1, 0}, {"a a", 1, 0}, {"a a a", 2, 0}, {"c a b", 1, 1}, {"c a a", 1, 1},
	} {
		o := &origin{loads: map[string][]string{}}
		for _, name := range strings.Fields(tt.by) {
			o.loads["/x"] = append(o.loads["/x"], name+peers.DefaultPath)
		}
		r := newReport(o, f, &result{})
		if r.duplicates != tt.duplicates || r.reloaded != tt.reloaded || (r.err() == nil) != (tt.duplicates == 0) {
			t.Errorf("%s: %d duplicates and %d reloaded, %v", tt.by, r.duplicates, r.reloaded, r.err())
		}
	}
}

func TestDemoPrintsATable(t *testing.T) {
	cmd, stdout, stderr := start(t, "-demo", "-requests", "500", "-workers", "4", "-source", tree(t, 50))
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	for _, want := range []string{"\n500 requests at 3 instances", "hits in own memory", "hits at a peer", "misses, from the origin", "origin loads  ",
		"duplicate loads                   0   must be 0\n", "p99"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("%q is missing in\n%s", want, stdout)
		}
	}
	if cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("exit code %d", cmd.ProcessState.ExitCode())
	}
}

// Whatever becomes of the demo, its instances do not stay.
func TestInstancesEndWithTheDemo(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			source, temp := tree(t, 10), t.TempDir()
			t.Setenv("TMPDIR", temp)
			cmd, stdout, stderr := start(t, "-demo", "-serve", "-requests", "50", "-source", source)
			urls := stderr.Await(t, `instance \d  (http://\S+)  pid`, 3)
			curls := stdout.Await(t, `  curl -sI (\S+) \| grep -i -e '\^cache-status' -e '\^age' `, 3)
			if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
				t.Errorf("%v are left in the folder for temporary files, %v", left, err)
			}
			if strings.Contains(stderr.String(), "level=INFO") {
				t.Errorf("the instances chatter:\n%s", stderr)
			}
			if code, _, header := processtest.Fetch(t, curls[0]); code != 200 || header.Get("Cache-Status") == "" {
				t.Errorf("curl %s: %d %v", curls[0], code, header)
			}
			if stats := stdout.Await(t, `  curl -s (\S+/stats)`, 3); len(stats) == 3 {
				processtest.Fetch(t, stats[2])
			}
			cmd.Process.Signal(sig)
			if err := cmd.Wait(); (err == nil) != (sig != syscall.SIGKILL) {
				t.Errorf("the demo ended with %v\n%s", err, stderr)
			}
			for _, u := range urls {
				processtest.WaitFor(t, u+" to be gone", func() bool {
					c, err := net.Dial("tcp", strings.TrimPrefix(u, "http://"))
					if err == nil {
						c.Close()
					}
					return err != nil
				})
			}
		})
	}
}

// Somebody kills an instance by hand while the demo runs.
func TestAnInstanceIsKilledByHand(t *testing.T) {
	cmd, stdout, stderr := start(t, "-demo", "-requests", "4000", "-source", tree(t, 300), "-log", "error")
	pid, err := strconv.Atoi(stderr.Await(t, `pid (\d+)\n`, 3)[1])
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, stdout, stderr)
	}
	if !strings.Contains(stdout.String(), "   killed\n") || !strings.Contains(stdout.String(), "lost requests") {
		t.Errorf("got\n%s", stdout)
	}
}

func TestAdminWithoutHostIsOnLoopback(t *testing.T) {
	opts, err := parseFlags([]string{"-origin", "http://x", "-admin", ":0"})
	if err != nil || opts.admin != "127.0.0.1:0" {
		t.Errorf("%+v, %v", opts, err)
	}
}

// A fleet of one has no peers' address, and leaves that path to the origin.
func TestServiceAlone(t *testing.T) {
	url := processtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, r.URL)
	})
	opts, err := parseFlags([]string{"-origin", url, "-listen", "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := newService(t.Context(), opts, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	front := processtest.Serve(t, s.ServeHTTP)
	for _, path := range []string{"/", "//a//b", peers.DefaultPath, "/a%2Fb"} {
		if code, body, _ := processtest.Fetch(t, front+path); code != 200 || body != path {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}
