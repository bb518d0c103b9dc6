package app

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// write makes a file with a text, and returns its name.
func write(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// What a file says is what the flags would say.
func TestConfigIsFlags(t *testing.T) {
	secret := write(t, "secret", "0123456789abcdef")
	for _, tt := range []struct{ yaml, more, flags string }{
		{"origin: http://o", "", "-origin http://o"},
		{"# only what is needed\norigin: http://o\n", "-max-bytes 1MiB", "-origin http://o -max-bytes 1MiB"},
		{"origin: http://o\nmax-bytes: 512MiB", "-max-bytes 1MiB", "-origin http://o -max-bytes 1MiB"},
		{"origin: http://o\nmax-bytes: 1048576\ndrain: 5s\nstore-set-cookie: true\npeers: http://a\nself: http://a\nsecret-file: " + secret, "",
			"-origin http://o -max-bytes 1MiB -drain 5s -store-set-cookie -peers http://a -self http://a -secret-file " + secret},
		{"origin: {www.example.com: http://a, \"*\": http://b, \"[::1]:8080\": http://c}", "", "-origin www.example.com=http://a -origin http://b -origin [::1]:8080=http://c"},
		{"origin:\n  www.example.com: http://a\n  api.example.com: http://b\n", "", "-origin www.example.com=http://a -origin api.example.com=http://b"},
		{"origin: [a=http://a, http://b]", "", "-origin a=http://a -origin *=http://b"},
		{"origin: {a: http://a}", "-origin http://b", "-origin http://b"},
		{"origin: &o http://o\npeers: [http://a, *o]\nself: http://a\ninsecure: true\n", "", "-origin http://o -peers http://a,http://o -self http://a -insecure"},
		{"peers:\n- http://a\n- http://b\norigin: http://o\nself: http://a\ninsecure: true", "-insecure=true", "-origin http://o -peers http://a,http://b -self http://a -insecure"},
		{"origin: http://o\npreserve-host: true\nadmin: :9\naccess-log: '-'\nlog: warn", "-log=debug", "-origin http://o -preserve-host -admin :9 -access-log - -log debug"},
	} {
		got, err := parseFlags(append([]string{"-config", write(t, "c.yaml", tt.yaml)}, strings.Fields(tt.more)...))
		if err != nil {
			t.Errorf("%s\n%v", tt.yaml, err)
			continue
		}
		want, err := parseFlags(strings.Fields(tt.flags))
		if err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(got.origins.byHost, want.origins.byHost) || !slices.Equal(got.secret, want.secret) {
			t.Errorf("%s\norigins %v, want %v", tt.yaml, got.origins, want.origins)
		}
		got.origins, want.origins, got.secret, want.secret, got.source, want.source = originFlag{}, originFlag{}, nil, nil, nil, nil
		if a, b := printed(got), printed(want); a != b {
			t.Errorf("%s\n%s, want\n%s", tt.yaml, a, b)
		}
	}
}

func TestBadConfig(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ yaml, want string }{
		{"", "no documents"},
		{"a: [1\nb: 2", "L1.C4"},
		{"origin: http://o\n---\norigin: http://o", "single document"},
		{"- origin", "line 1: this is no map: use lines such as max-bytes: 256MiB"},
		{"origin: http://o\nmax-byte: 1MiB", "line 2: max-byte: there is no such key: use the names of the flags"},
		{"-origin: http://o", "line 1: -origin: there is no such key"},
		{"config: other.yaml", "line 1: config: there is no such key"},
		{"origin: http://o\n\n# again\norigin: http://p", "line 4: origin: the key is there twice, first in line 1"},
		{"? [origin]\n: http://o", "there is no such key"},
		{"<<: {origin: http://o}", "line 1: <<: there is no such key"},
		{"origin:", "line 1: origin: line 1: there is no value: give one, or leave the key out"},
		{"origin:\n  a: http://a\n  b:", "line 1: origin: line 3: there is no value"},
		{"origin:\n  a: http://a\n  a: http://b", "line 1: origin: line 3: a is there twice, first in line 2"},
		{"origin:\n- [http://a]", "line 1: origin: line 2: use a single value here"},
		{"origin: [http://a, http://b]", "-origin is given twice for all hosts: leave one of them out, or say for which host"},
		{"origin: [a=http://a, a=http://u:sesame@b]", "-origin is given twice for a: leave one"},
		{"origin: http://o\nmax-bytes: 256MB", `line 2: max-bytes: invalid value "256MB": use a number and B, KiB`},
		{"origin: http://o\nmax-bytes: [1MiB]", "line 2: max-bytes: use one value"},
		{"origin: http://o\npeers: {a: b}", "line 2: peers: use a list, or one value"},
		{"origin: http://o\ninsecure: yes", `line 2: insecure: invalid value "yes": use true or false`},
		{"origin: http://o\ndrain: 20", `line 2: drain: invalid value "20": use a number and a unit, such as 500ms, 10s or 1m`},
		{"origin: http://o\nlog: loud", "line 2: log: invalid value \"loud\": use debug, info"},
		{"origin: http://o\nkill: true", "line 2: kill: this is for -demo, which takes no file"},
		{"origin: http://u:sesame@o", "-origin: the URL has a user"},
		{"origin: {a b: http://o}", `-origin["a b"]: this is no host`},
		{"origin: {a: http://o, A: http://o}", `-origin["a"]: the host is there twice, in other letters`},
		{"origin: {\"a:80\": http://o}\npreserve-host: true", `-origin["a:80"]: the host has a port: leave it out, with -preserve-host`},
		{"self: http://a\norigin: http://o", "-self is given without -peers"},
	} {
		name := filepath.Join(dir, "c.yaml")
		if err := os.WriteFile(name, []byte(tt.yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		code := Run([]string{"-config", name}, nil, &stdout, &stderr)
		if told := stderr.String(); code != 2 || stdout.Len() > 0 || strings.Count(told, "\n") != 1 || !strings.Contains(told, tt.want) || strings.Contains(told, "sesame") {
			t.Errorf("%q: exit %d, %s, want %s", tt.yaml, code, told, tt.want)
		}
	}
	for args, want := range map[string]string{
		"-config " + dir + "/none":      "-config: open " + dir + "/none: no such file",
		"-config " + dir + "/x -demo":   "-config does not go with -demo",
		"-config " + dir + " -origin x": "-config: read " + dir,
	} {
		if _, err := parseFlags(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

// The example names every flag of the service, and is one.
func TestConfigExample(t *testing.T) {
	const file = "../../webcache.yaml"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	p := newProgram(nil)
	if err := p.readConfig(file, nil); err != nil {
		t.Error(err)
	}
	p.VisitAll(func(f *flag.Flag) {
		if named := strings.Contains(string(text), "\n"+f.Name+":") || strings.Contains(string(text), "\n# "+f.Name+":"); !named && f.Name != configFlag && (!demoFlags[f.Name] || serviceToo[f.Name]) {
			t.Errorf("%s does not name %s", file, f.Name)
		}
	})
	// With what is commented out uncommented, it is still made of keys.
	var all []string
	for line := range strings.Lines(string(text)) {
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "# "), ":"); ok && newProgram(nil).Lookup(name) != nil && strings.HasPrefix(line, "# ") {
			line = line[2:]
		}
		all = append(all, line)
	}
	if err := newProgram(nil).readConfig(write(t, "all.yaml", strings.Join(all, "")), nil); err != nil {
		t.Error(err)
	}
}

// printed is all that options hold but for functions.
func printed(o *options) string { return fmt.Sprintf("%+v", *o) }
