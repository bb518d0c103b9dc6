//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/internal/processtest"
)

// A fleet is instances that find each other by a file.
type fleet struct {
	t       *testing.T
	origin  *origin
	dir     string // with the files of members and of the secret
	members []string
	started []*instance
}

// An instance is one process. Another one that takes its place is another instance.
type instance struct {
	index      int
	url, admin string
	client     *http.Client
	cmd        *exec.Cmd
	log        *processtest.Output
	gone       chan struct{} // closed when the process has ended
	hurt       atomic.Int64  // how often it was stopped or killed: what it is asked meanwhile may fail
}

func (in *instance) String() string { return strings.TrimPrefix(in.url, "http://") }

func newFleet(t *testing.T, o *origin) *fleet {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv(inside), "fleet")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	f := &fleet{t: t, origin: o, dir: dir}
	f.write("secret", "0123456789abcdef")
	return f
}

// write replaces a file by a rename.
func (f *fleet) write(name, text string) {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		f.t.Fatal(err)
	}
}

// list makes the URLs the members.
func (f *fleet) list(urls []string) {
	f.t.Helper()
	f.members = urls
	f.write("members", strings.Join(urls, "\n")+"\n")
}

// url returns the i-th instance's, at a port.
func url(i, port int) string { return fmt.Sprintf("http://%s:%d", addr(i), port) }

// start starts a process at the i-th address.
func (f *fleet) start(i, port int) *instance {
	f.t.Helper()
	in := &instance{index: i, url: url(i, port), admin: url(i, port+1000), log: new(processtest.Output), gone: make(chan struct{})}
	in.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: requestTime}
	in.cmd = exec.Command(filepath.Join(os.Getenv(inside), "webcache"),
		"-listen", strings.TrimPrefix(in.url, "http://"), "-self", in.url, "-admin", strings.TrimPrefix(in.admin, "http://"),
		"-origin", f.origin.url, "-peers-file", filepath.Join(f.dir, "members"), "-peers-interval", "200ms", "-secret-file", filepath.Join(f.dir, "secret"))
	in.cmd.Stdout, in.cmd.Stderr = in.log, in.log
	in.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid(i), Gid: uid(i)}}
	if err := in.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.started = append(f.started, in)
	go func() {
		in.cmd.Wait()
		close(in.gone)
	}()
	f.t.Cleanup(func() {
		in.cmd.Process.Kill()
		<-in.gone
		in.client.CloseIdleConnections()
		if log := in.log.String(); f.t.Failed() || strings.Contains(log, "DATA RACE") || strings.Contains(log, "panic") {
			f.t.Errorf("%v logged\n%s", in, log)
		}
	})
	return in
}

// startAll starts all instances, and waits until they have found each other.
func (f *fleet) startAll() (all []*instance) {
	f.t.Helper()
	var urls []string
	for i := range instanceCount {
		urls = append(urls, url(i, 8080))
	}
	f.list(urls)
	for i := range instanceCount {
		all = append(all, f.start(i, 8080))
	}
	f.await(all)
	return all
}

// await waits until instances are ready, and each of them has the members that are listed, and has reached all.
func (f *fleet) await(all []*instance) {
	f.t.Helper()
	begin := time.Now()
	for _, in := range all {
		for why := "?"; why != ""; {
			if why = f.unready(in); why == "" {
				break
			}
			if time.Since(begin) > settleTime {
				f.t.Fatalf("%v is not ready: %s", in, why)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// unready returns why the instance is not a ready member of the fleet.
func (f *fleet) unready(in *instance) string {
	if code, err := in.status("/readyz"); err != nil || code != 200 {
		return fmt.Sprint("/readyz: ", code, err)
	}
	resp, err := in.client.Get(in.admin + "/stats")
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	var s struct {
		Pool struct {
			Peers []struct {
				URL string
				Up  bool
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return err.Error()
	}
	if len(s.Pool.Peers)+1 != len(f.members) {
		return fmt.Sprint("it knows ", s.Pool.Peers)
	}
	for _, p := range s.Pool.Peers {
		if !p.Up {
			return p.URL + " is down"
		}
	}
	return ""
}

// isDown is what an instance logs when it takes another one, which was up, for dead.
var isDown = regexp.MustCompile(`level=WARN msg="peers: peer is down".* peer=(\S+) `)

// suspected returns how often members, but for some, were taken for dead so far. Where that was wrong, since this machine had more to do than to answer
// in time, nothing is promised of the number of loads.
func (f *fleet) suspected(but ...*instance) (n int) {
	for _, in := range f.started {
		for _, m := range isDown.FindAllStringSubmatch(in.log.String(), -1) {
			isOne := func(in *instance) bool { return strings.HasPrefix(m[1], in.url+"/") }
			if !slices.ContainsFunc(but, isOne) && slices.ContainsFunc(f.members, func(url string) bool { return strings.HasPrefix(m[1], url+"/") }) {
				n++
			}
		}
	}
	return n
}

func (in *instance) status(path string) (int, error) {
	resp, err := in.client.Get(in.admin + path)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}

func (in *instance) signal(s syscall.Signal) { in.cmd.Process.Signal(s) }
