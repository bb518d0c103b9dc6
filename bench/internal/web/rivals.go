package web

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
	"github.com/seed-0f2aaebe/fleetcache/internal/freeaddr"
)

// workers is how many of the others' threads or processes answer: as many as a small machine has cores.
const workers = 2

// start starts a program that listens on an address, once its files are written.
func (e env) start(ctx context.Context, addr string, files map[string]string, name string, args ...string) (*server, error) {
	for file, text := range files {
		file = filepath.Join(e.temp, file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = e.temp
	p, err := process.StartProgram(ctx, cmd, addr)
	if err != nil {
		return nil, err
	}
	return &server{addrs: []string{addr}, pids: []int{p.PID}, close: p.Close}, nil
}

func freeAddr() (string, error) {
	addrs, err := freeaddr.Find("127.0.0.1", 1)
	if err != nil {
		return "", err
	}
	return addrs[0], nil
}

func openNginx(ctx context.Context, e env) (*server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;\n" // the folder is root's
	}
	conf := user + fmt.Sprintf(`daemon off;
worker_processes %d;
error_log stderr;
pid nginx.pid;
events { worker_connections 1024; }
http {
	access_log off;
	sendfile on;
	open_file_cache max=1000 inactive=1h;
	open_file_cache_valid 1h;
	keepalive_requests 1000000000;
	keepalive_timeout 600;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	proxy_cache_path cache keys_zone=web:10m use_temp_path=off;
	server {
		listen %s;
		location / {
			proxy_pass %s;
			proxy_cache web;
			add_header X-Cache $upstream_cache_status;
		}
	}
}
`, workers, addr, e.origin)
	return e.start(ctx, addr, map[string]string{"nginx.conf": conf}, "nginx", "-e", "stderr", "-p", e.temp, "-c", filepath.Join(e.temp, "nginx.conf"))
}

func openVarnish(ctx context.Context, e env) (*server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	return e.start(ctx, addr, nil, "varnishd", "-F", "-j", "none", "-n", filepath.Join(e.temp, "varnish"), "-a", addr,
		"-b", strings.TrimPrefix(e.origin, "http://"), "-s", "malloc,256m", "-T", "none", "-p", "timeout_idle=600")
}

func openTrafficServer(ctx context.Context, e env) (*server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	in := func(name string) string { return filepath.Join(e.temp, name) }
	for _, dir := range []string{"cache", "log", "run"} {
		if err := os.Mkdir(in(dir), 0o755); err != nil {
			return nil, err
		}
	}
	files := map[string]string{
		"runroot.yaml": strings.ReplaceAll(`prefix: TEMP
exec_prefix: /usr
bindir: /usr/bin
sbindir: /usr/sbin
sysconfdir: TEMP/etc
datadir: TEMP/cache
includedir: /usr/include
libdir: /usr/lib/trafficserver
libexecdir: /usr/lib/trafficserver/modules
localstatedir: TEMP
runtimedir: TEMP/run
logdir: TEMP/log
cachedir: TEMP/cache
`, "TEMP", e.temp),
		"etc/records.config": fmt.Sprintf(`CONFIG proxy.config.http.server_ports STRING %s:ip-in=%s
CONFIG proxy.config.admin.user_id STRING #-1
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT %d
CONFIG proxy.config.http.keep_alive_no_activity_timeout_in INT 600
CONFIG proxy.config.http.insert_response_via_str INT 2
CONFIG proxy.config.cache.ram_cache.size INT 67108864
CONFIG proxy.config.cache.ram_cache.algorithm INT 1
`, port, host, workers),
		"etc/remap.config":   "map / " + e.origin + "/\n",
		"etc/ip_allow.yaml":  "ip_allow: [{apply: in, ip_addrs: 127.0.0.0/8, action: allow, methods: ALL}]\n",
		"etc/storage.config": in("cache") + " 64M\n",
	}
	return e.start(ctx, addr, files, "traffic_server", "--run-root="+e.temp)
}
