package app

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBadFlags(t *testing.T) {
	dir := t.TempDir()
	short, good := filepath.Join(dir, "short"), filepath.Join(dir, "good")
	os.WriteFile(short, []byte("too short      \n\n"), 0o600)
	os.WriteFile(good, []byte("0123456789abcdef\n"), 0o600)
	empty := t.TempDir()
	origin := "-origin http://127.0.0.1:1 "
	ca, other := newAuthority(t), newAuthority(t)
	cert, key := ca.issue(t, "a")
	_, otherKey := other.issue(t, "b")
	overTLS := origin + "-tls-cert " + cert + " -tls-key " + key + " "
	certificates := "-peer-cert " + cert + " -peer-key " + key + " -peer-ca " + ca.ca + " "
	tests := []struct{ args, want string }{
		{"", "-origin is missing"},
		{"-listen 127.0.0.1:0", "-origin is missing"},
		{"-origin localhost:80", "-origin: the URL"},
		{"-origin http://x/path", "-origin: the URL"},
		{"-origin http://%zz", "-origin: the URL does not parse"},
		{origin + "-foo", "flag provided but not defined: -foo"},
		{origin + "-listen", "flag needs an argument: -listen"},
		{"-origin http://h:99999", "-origin: the URL \"http://h:99999\" has a port that is not 1 to 65535"},
		{origin + "-listen nonsense", "-listen: address nonsense: missing port in address: use a host and a port"},
		{origin + "-listen 127.0.0.1:", "-listen: address 127.0.0.1:: missing port: use a host and a port"},
		{origin + "-listen 127.0.0.1:99999", "-listen: address 99999: invalid port: use a host and a port"},
		{origin + "-listen :-1", "-listen: address -1: invalid port: use a host and a port"},
		{origin + "-listen [::1", "-listen: address [::1: missing ']' in address: use a host and a port"},
		{origin + "-admin nonsense", "-admin: address nonsense: missing port in address: use a host and a port"},
		{origin + "-admin :", "-admin: address :: missing port: use a host and a port"},
		{origin + "-admin :65536", "-admin: address 65536: invalid port: use a host and a port"},
		{origin + "stray", `unexpected argument "stray"`},
		{origin + "-max-bytes 256MB", `invalid value "256MB" for flag -max-bytes: use a number and`},
		{origin + "-max-bytes MiB", "-max-bytes: use a number and"},
		{origin + "-max-bytes -1", "-max-bytes: use a number and"},
		{origin + "-max-bytes 99999999999GiB", "-max-bytes: use a number and"},
		{origin + "-max-bytes 1KiB", "-max-bytes is 1KiB: use at least 64KiB; the default is 256MiB"},
		{origin + "-max-bytes 100", "-max-bytes is 100: use at least 64KiB; the default is 256MiB"},
		{origin + "-max-bytes 1MiB -max-object 2MiB", "-max-object is 2MiB: use at most 1MiB, which is -max-bytes"},
		{origin + "-max-object 1GiB", "-max-object is 1GiB: use at most 256MiB, which is -max-bytes"},
		{origin + "-shutdown-timeout -1s", "-shutdown-timeout is -1s"},
		{origin + "-shutdown-timeout soon", "for flag -shutdown-timeout"},
		{origin + "-log loud", `invalid value "loud" for flag -log: use debug, info, warn or error`},
		{origin + "-peers=", "-peers is empty: give the URLs"},
		{origin + "-peers= -self http://b -insecure", "-peers is empty: give the URLs"},
		{origin + "-peers ,,, -self http://b -insecure", "-peers is empty: give the URLs"},
		{origin + "-self http://b", "-self is given without -peers"},
		{origin + "-secret-file " + good, "-secret-file is given without -peers"},
		{origin + "-insecure", "-insecure is given without -peers"},
		{origin + "-peers http://a", "-self is missing"},
		{origin + "-peers http://a -self http://b", "-secret-file is missing"},
		{origin + "-peers http://a -self http://b -secret-file " + dir + "/none", "-secret-file: open "},
		{origin + "-peers http://a -self http://b -secret-file " + short, "has 9 bytes: use 16"},
		{origin + "-peers http://a -self http://b -insecure -secret-file " + good, "leave one of them out"},
		{origin + "-peers http://a -self nonsense -secret-file " + good, `-self: "nonsense" is no http or https URL: use http://host:port`},
		{origin + "-peers http://a -insecure -self 127.0.0.1:8081", `-self: "127.0.0.1:8081" is no http or https URL: use http://host:port`},
		{origin + "-peers http://a -insecure -self http://:80", `-self: "http://:80" has no host: use http://host:port`},
		{origin + "-peers http://a -insecure -self http://b?c", `-self: "http://b?c" has a query or a fragment: use http://host:port`},
		{origin + "-peers http://a:99999 -insecure -self http://b", `-peers: "http://a:99999" has a port that is not 1 to 65535: use http://host:port`},
		{origin + "-peers http://a,http://u:sesame@c -insecure -self http://b", "-peers has a URL with a user or a password: use http://host:port"},
		{origin + "-peers http://b,nonsense -self http://b -secret-file " + good, `-peers: "nonsense" is no http or https URL: use http://host:port`},
		{origin + "-peers http://a,http://A:80 -self http://b -secret-file " + good, "listed twice"},
		{origin + "-shutdown-timeout 0s", "-shutdown-timeout is 0s: use a positive duration"},
		{origin + "-peers http://a -self http://a -insecure -drain -1s", "-drain is -1s: use a positive duration"},
		{origin + "-peers http://a -self http://a -insecure -drain 25s", "-drain is 25s: use less than -shutdown-timeout, which is 25s"},
		{origin + "-drain 1s", "-drain is given without -peers, -peers-file or -peers-dns"},
		{origin + "-peers-interval 1s", "-peers-interval is given without -peers, -peers-file or -peers-dns"},
		{origin + "-peers http://a -self http://a -insecure -peers-interval 1s", "-peers-interval is for -peers-file and -peers-dns"},
		{origin + "-peers-file x -self http://a -insecure -peers-interval 0s", "-peers-interval is 0s: use a positive duration"},
		{origin + "-peers http://a -peers-file x", "-peers-file is given together with -peers: leave one of them out"},
		{origin + "-peers-file x -peers-dns y", "-peers-dns is given together with -peers-file: leave one of them out"},
		{origin + "-peers-file=", "-peers-file is empty"},
		{origin + "-peers-file x", "-self is missing: with -peers-file,"},
		{origin + "-peers-file x -self http://a", "-secret-file is missing: with -peers-file,"},
		{origin + "-peers-file " + dir + "/none -self http://a -insecure", "-peers-file: stat " + dir + "/none: no such file or directory"},
		{origin + "-peers-file " + dir + " -self http://a -insecure", "-peers-file: " + dir + " is not a file"},
		{origin + "-peers-file " + good + " -self http://a -insecure", "-peers-file: " + good + ": line 1: "},
		{origin + "-peers-dns=", "-peers-dns is empty"},
		{origin + "-peers-dns x -insecure", "-self is missing: with -peers-dns,"},
		{origin + "-peers-dns x -insecure -self http://a:80", `-self: "http://a:80" has a name for a host: with -peers-dns, give the address that is looked up`},
		{origin + "-origin http://x", "-origin is given twice for all hosts: leave one of them out"},
		{origin + "-origin a=http://x -origin a=http://u:sesame@x", "-origin is given twice for a: leave one of them out"},
		{origin + "-origin a=http://x/path", `-origin["a"]: the URL "http://x/path" has something behind its host`},
		{origin + "-tls-cert " + cert, "-tls-key is missing: with -tls-cert, give the file with its key"},
		{origin + "-tls-key " + key, "-tls-cert is missing: with -tls-key, give the file with the certificate"},
		{origin + "-tls-cert= -tls-key " + key, "-tls-cert is empty: give it a value"},
		{origin + "-tls-cert " + cert + " -tls-key " + otherKey, "-tls-cert and -tls-key: " + cert + " and " + otherKey + ": tls: private key does not match"},
		{origin + "-tls-cert " + dir + "/none -tls-key " + key, "-tls-cert: open " + dir + "/none: no such file"},
		{origin + "-tls-client-ca " + ca.ca, "-tls-cert is missing: with -tls-client-ca, clients show"},
		{overTLS + "-tls-client-ca " + good, "-tls-client-ca: " + good + " has no certificates: give those of authorities"},
		{overTLS + "-tls-client-ca " + key, "-tls-client-ca: " + key + " has a PRIVATE KEY: give certificates alone"},
		{overTLS + certificates, "-peer-cert is given without -peers, -peers-file or -peers-dns"},
		{origin + certificates, "-tls-cert is missing: with -peer-cert, instances and clients"},
		{overTLS + "-peer-cert " + cert, "-peer-key is missing: with -peer-cert"},
		{overTLS + "-peer-cert " + cert + " -peer-key " + key, "-peer-ca is missing: with -peer-cert"},
		{overTLS + "-peer-name x", "-peer-ca is missing: with -peer-name"},
		{overTLS + certificates + "-peers http://a -self http://a", `-self: "http://a" does not begin with https: with -tls-cert, the others`},
		{overTLS + certificates + "-peers https://a -self https://a -insecure", "-insecure is given together with -peer-cert: leave one"},
		{origin + "-peer-ca " + ca.ca + " -peers http://a -self http://a -secret-file " + good, "with -peer-ca, instances reach each other over TLS"},
		{overTLS + "-peers https://a -self https://a", "-secret-file is missing: with -peers, give a file with a secret that all have, or certificates with -peer-cert, or say -insecure"},
		{overTLS + certificates + "-peers https://a,http://b -self https://a", "-peers: "},
		{origin + "-origin-ca " + ca.ca, "-origin-ca is given, and no -origin begins with https"},
		{"-origin https://x -origin-ca " + good, "-origin-ca: " + good + " has no certificates"},
		{origin + "-access-log=", "-access-log is empty: name a file, or -"},
		{origin + "-access-log " + dir, "-access-log: open " + dir + ": is a directory"},
		{origin + "-admin-token-file " + good, "-admin is missing: with -admin-token-file"},
		{origin + "-admin :9 -admin-token-file " + short, "-admin-token-file: " + short + " has 9 bytes: use 16 random ones"},
		{"-demo -peers-file x", "-peers-file does not go with -demo"},
		{origin + "-requests 5", "-requests is for -demo"},
		{origin + "-kill", "-kill is for -demo"},
		{origin + "-demo", "-origin does not go with -demo"},
		{"-demo -requests 0", "-requests is 0"},
		{"-demo -max-bytes 100", "-max-bytes is 100: use at least 64KiB; the default is 256MiB"},
		{"-demo -max-bytes 256MB", "for flag -max-bytes: use a number and"},
		{"-demo -max-object 1MiB", "-max-object does not go with -demo"},
		{"-demo -kill -roll", "-roll is given together with -kill: leave one of them out"},
		{origin + "-roll", "-roll is for -demo"},
		{"-demo -source=", "-source is empty"},
		{"-demo -source " + dir + "/none", "-source: lstat " + dir + "/none: no such file or directory"},
		{"-demo -source " + short, "-source: " + short + " is not a folder"},
		{"-demo -source " + empty, "-source: " + empty + " has no files"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := Run(strings.Fields(tt.args), nil, &stdout, &stderr)
			if code != 2 || stdout.Len() > 0 || strings.Count(stderr.String(), "\n") != 1 || !strings.HasPrefix(stderr.String(), "webcache: ") || !strings.Contains(stderr.String(), tt.want) {
				t.Errorf("exit %d, stdout %q, stderr %q; want 2 and one line with %q", code, &stdout, &stderr, tt.want)
			}
			if strings.Contains(stderr.String(), "Config.") {
				t.Errorf("a field is named instead of a flag: %s", &stderr)
			}
			if strings.Contains(stderr.String(), "sesame") {
				t.Errorf("a password is told: %s", &stderr)
			}
		})
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

func TestLogLevel(t *testing.T) {
	for args, want := range map[string]slog.Level{
		"-origin http://x":              slog.LevelInfo,
		"-origin http://x -log debug":   slog.LevelDebug,
		"-origin http://x -log WARN":    slog.LevelWarn,
		"-demo":                         slog.LevelWarn,
		"-demo -log info":               slog.LevelInfo,
		"-demo -log error -requests 10": slog.LevelError,
	} {
		opts, err := parseFlags(strings.Fields(args))
		if err != nil || opts.log != want {
			t.Errorf("%s: %v, %v; want %v", args, opts.log, err, want)
		}
	}
}
