package app

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/internal/freeaddr"
	"github.com/seed-0f2aaebe/fleetcache/internal/processtest"
	"github.com/seed-0f2aaebe/fleetcache/peers"
)

// A start is told in one line, with the addresses that there are, and the end in another.
func TestLogOfAnInstance(t *testing.T) {
	const secret = "0123456789abcdef-sesame"
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	addrs, err := freeaddr.Find("127.0.0.1", 1)
	if err != nil {
		t.Fatal(err)
	}
	self := "http://" + addrs[0]
	for _, tt := range []struct {
		name, instance, also string
		args                 []string
	}{
		{"alone", "127.0.0.1:0", "", []string{"-listen", "127.0.0.1:0"}},
		{"fleet", self, ` members=2 epoch=([0-9a-f]{16})`, []string{"-listen", addrs[0], "-self", self, "-peers", self + ",http://127.0.0.1:1", "-secret-file", file}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd, _, stderr := start(t, append(tt.args, "-origin", "http://127.0.0.1:1", "-admin", "127.0.0.1:0")...)
			admin := stderr.Await(t, `admin=(127\.0\.0\.1:[1-9]\d*)`, 1)[0]
			address := stderr.Await(t, ` address=(127\.0\.0\.1:[1-9]\d*) `, 1)[0]
			told := regexp.MustCompile(`(?m)^.*"peers: peer is down".*\n`).ReplaceAllString(stderr.String(), "") // the other one
			if strings.Count(told, "\n") != 1 || !regexp.MustCompile(tt.also+`\n$`).MatchString(told) {
				t.Errorf("the start is told as\n%s", stderr)
			}
			if code, _, _ := processtest.Fetch(t, "http://"+admin+"/healthz"); code != 200 {
				t.Errorf("/healthz: %d", code)
			}
			if code, _, _ := processtest.Fetch(t, "http://"+address+"/x"); code != 502 { // which is logged
				t.Errorf("got %d", code)
			}
			if tt.also != "" {
				checkEpoch(t, "http://"+admin, "http://"+address, stderr.Await(t, tt.also, 1)[0])
			}
			cmd.Process.Signal(syscall.SIGTERM)
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			lines := strings.Split(strings.TrimSuffix(stderr.String(), "\n"), "\n")
			if len(lines) < 3 {
				t.Errorf("logged only\n%s", stderr)
			}
			for _, l := range lines {
				if !strings.Contains(l, " instance="+tt.instance+" ") || strings.Contains(l, "sesame") {
					t.Errorf("logged %s", l)
				}
			}
		})
	}
}

// checkEpoch checks that an instance's epoch is spelled the same everywhere.
func checkEpoch(t *testing.T, admin, instance, want string) {
	t.Helper()
	var s struct{ Pool struct{ Epoch string } }
	_, body, _ := processtest.Fetch(t, admin+"/stats")
	if err := json.Unmarshal([]byte(body), &s); err != nil || s.Pool.Epoch != want {
		t.Errorf("/stats has the epoch %q, %v; want %s", s.Pool.Epoch, err, want)
	}
	var p struct{ Epoch string }
	_, body, _ = processtest.Fetch(t, instance+peers.DefaultPath)
	if err := json.Unmarshal([]byte(body), &p); err != nil || p.Epoch != want {
		t.Errorf("%s has the epoch %q, %v; want %s", peers.DefaultPath, p.Epoch, err, want)
	}
}

// Those that are there share what the others would have got, evenly.
func TestPick(t *testing.T) {
	d := &driver{fleet: &fleet{}}
	for range instanceCount {
		d.fleet.instances = append(d.fleet.instances, &instance{gone: make(chan struct{})})
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for there := instanceCount; there > 0; there-- {
		count := make(map[*instance]int)
		for range 6000 {
			count[d.pick(rng)]++
		}
		for _, in := range d.fleet.instances[:there] {
			if n, want := count[in], 6000/there; n < want*9/10 || n > want*11/10 {
				t.Errorf("%d of %d instances are there: one has %d requests of 6000", there, instanceCount, n)
			}
		}
		close(d.fleet.instances[there-1].gone)
	}
	if in := d.pick(rng); in != nil {
		t.Error("an instance that is gone was picked")
	}
}
