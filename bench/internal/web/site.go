package web

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

const (
	kib = 1 << 10

	// pathCount is how many objects of each size there are: one for each connection, so that no two of them ask for the same one at a time.
	pathCount = 64
)

var sizes = []int{kib, 64 * kib}

// An object is what a path is answered with. Its values are made once: the handler that everything is compared with is as bare as can be.
type object struct {
	contentType, cacheControl, etag, modified, length []string
	body                                              []byte
}

// A site is the objects, and a handler that writes them. Those of two processes are the same.
type site struct {
	objects map[string]*object
}

func newSite() *site {
	s := &site{objects: make(map[string]*object)}
	modified := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Format(http.TimeFormat)
	for _, size := range sizes {
		for i := range pathCount {
			body := make([]byte, size)
			random := rand.NewChaCha8([32]byte{byte(size >> 8), byte(size >> 16), byte(i)})
			_, _ = random.Read(body) // never fails
			s.objects[path(size, i)] = &object{
				contentType: []string{"application/octet-stream"}, cacheControl: []string{"public, max-age=86400"},
				etag: []string{fmt.Sprintf(`"%d-%d"`, size, i)}, modified: []string{modified}, length: []string{strconv.Itoa(size)}, body: body,
			}
		}
	}
	return s
}

func path(size, i int) string { return fmt.Sprintf("/%dKiB/%d", size/kib, i) }

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o := s.objects[r.URL.Path]
	if o == nil {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h["Content-Type"], h["Cache-Control"], h["Etag"], h["Last-Modified"], h["Content-Length"] = o.contentType, o.cacheControl, o.etag, o.modified, o.length
	_, _ = w.Write(o.body) // an error is the client's, who knows
}

// newServer returns a server with the example service's limits: those of time are what net/http does something for with each request.
func newServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 * kib}
}

// An origin is a site in this process, that counts what it is asked.
type origin struct {
	*site
	url    string
	asked  atomic.Int64
	server *http.Server
}

func newOrigin() (*origin, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o := &origin{site: newSite(), url: "http://" + l.Addr().String()}
	o.server = newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.asked.Add(1)
		o.ServeHTTP(w, r)
	}))
	go func() { _ = o.server.Serve(l) }() // the error is that it was closed
	return o, nil
}
