package app

import (
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache"
)

const (
	maxFile       = 1 << 20 // larger files are left out
	originLatency = 2 * time.Millisecond
)

// An origin serves the files of a folder, and counts how often each is asked for, and by whom.
type origin struct {
	url    string
	paths  []string          // of URLs, escaped
	files  map[string]string // names of files, by path
	server *http.Server

	mu    sync.Mutex          // guards loads
	loads map[string][]string // by path: the instances that asked for it, in that order
}

func startOrigin(folder string) (*origin, error) {
	o := &origin{files: make(map[string]string), loads: make(map[string][]string)}
	if err := o.find(folder); err != nil {
		return nil, usageError{fmt.Sprintf("-source: %v: name a folder with files of at most %d bytes", err, maxFile)}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o.url = "http://" + l.Addr().String()
	o.server = &http.Server{Handler: o, ReadHeaderTimeout: 10 * time.Second}
	go o.server.Serve(l) // ends with close
	return o, nil
}

// find finds the files of a folder.
func (o *origin) find(folder string) error {
	folder, err := filepath.EvalSymlinks(folder) // WalkDir does not follow a link
	if err != nil {
		return err
	}
	if info, err := os.Stat(folder); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is not a folder", folder)
	}
	err = filepath.WalkDir(folder, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if info, err := d.Info(); err != nil || info.Size() > maxFile {
			return err
		}
		rel, err := filepath.Rel(folder, name)
		if err != nil {
			return err
		}
		path := (&url.URL{Path: "/" + filepath.ToSlash(rel)}).EscapedPath()
		o.files[path] = name
		o.paths = append(o.paths, path)
		return nil
	})
	if err == nil && len(o.paths) == 0 {
		err = fmt.Errorf("%s has no files", folder)
	}
	return err
}

func (o *origin) close() { o.server.Close() }

// ServeHTTP serves a file, a little later than it could.
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	name, ok := o.files[path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	// Via: 1.1 fleetcache (instance)
	_, by, _ := strings.Cut(r.Header.Get("Via"), "(")
	o.mu.Lock()
	o.loads[path] = append(o.loads[path], strings.TrimSuffix(by, ")"))
	o.mu.Unlock()
	time.Sleep(originLatency)
	content, err := os.ReadFile(name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Cache-Control", "max-age=3600")
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.Write(content)
}

// isLarge reports whether a file is larger than a chunk, so that several instances may have it.
func (o *origin) isLarge(path string) bool {
	info, err := os.Stat(o.files[path])
	return err == nil && info.Size() > httpcache.ChunkBytes
}

// loaded returns a copy of loads.
func (o *origin) loaded() map[string][]string {
	o.mu.Lock()
	defer o.mu.Unlock()
	loads := make(map[string][]string, len(o.loads))
	for path, by := range o.loads {
		loads[path] = slices.Clone(by)
	}
	return loads
}

// example returns the path of a file that people may know.
func (o *origin) example() string {
	if _, ok := o.files["/net/http/server.go"]; ok {
		return "/net/http/server.go"
	}
	return o.paths[0]
}
