package app

import (
	"bufio"
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// An accessLog has a line of JSON for each request of a client. It has no header fields but those that are named here, and so no credentials.
type accessLog struct {
	lines   *lineWriter
	handler slog.Handler
}

// openAccessLog returns an accessLog in a file, or on stdout if that is called -. log says what of it is lost.
func openAccessLog(file string, stdout io.Writer, instance string, log *slog.Logger) (*accessLog, error) {
	lines, err := newLineWriter(file, stdout, log)
	if err != nil {
		return nil, err
	}
	return &accessLog{lines: lines, handler: slog.NewJSONHandler(lines, nil).WithAttrs([]slog.Attr{slog.String("instance", instance)})}, nil
}

// close writes what is left.
func (a *accessLog) close() { a.lines.close() }

// wrap returns next such that its requests are logged, when they are done.
func (a *accessLog) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The handler may change both.
		host, path, header := r.Host, r.URL.RequestURI(), r.Header
		l := &loggedWriter{ResponseWriter: w, begin: time.Now()}
		whole := false
		defer func() { a.write(l, r, host+path, header, whole) }() // a panic goes on to net/http
		next.ServeHTTP(l, r)
		whole = true
	})
}

func (a *accessLog) write(l *loggedWriter, r *http.Request, target string, header http.Header, whole bool) {
	end := time.Now()
	if whole {
		l.note(http.StatusOK) // as net/http does
	}
	status, came := cacheOf(l.Header()["Cache-Status"], l.status)
	rec := slog.NewRecord(l.begin, slog.LevelInfo, "request", 0)
	rec.AddAttrs(
		slog.String("remote", r.RemoteAddr), slog.String("method", r.Method), slog.String("url", target), slog.String("proto", r.Proto),
		slog.Int("status", l.status), slog.Int64("bytes", l.bytes), seconds("duration", end.Sub(l.begin)),
		slog.String("cache", came),
	)
	if !l.first.IsZero() {
		rec.AddAttrs(seconds("ttfb", l.first.Sub(l.begin)))
	}
	for _, a := range [...]slog.Attr{
		slog.String("cache_status", status), slog.String("user_agent", header.Get("User-Agent")),
		slog.String("referer", withoutUser(header.Get("Referer"))), slog.String("trace_id", traceID(header.Get("Traceparent"))),
	} {
		if a.Value.String() != "" {
			rec.AddAttrs(a)
		}
	}
	if !whole {
		rec.AddAttrs(slog.Bool("aborted", true))
	}
	_ = a.handler.Handle(context.Background(), rec) // a lineWriter says itself what is wrong
}

// seconds is a duration that is read without knowing that it is one.
func seconds(key string, d time.Duration) slog.Attr {
	return slog.Float64(key, float64(d.Microseconds())/1e6)
}

// cacheOf returns what the cache says of a response, which is the last one of the values of Cache-Status, and where it came from: hit, miss, stale, pass or error.
func cacheOf(values []string, code int) (status, came string) {
	if len(values) > 0 && strings.HasPrefix(values[len(values)-1], "fleetcache;") {
		status = values[len(values)-1]
	}
	params := strings.Split(status, "; ")
	has := func(prefix string) bool {
		for _, p := range params[1:] {
			if strings.HasPrefix(p, prefix) {
				return true
			}
		}
		return false
	}
	switch {
	case has("hit") && has("ttl=-"):
		return status, "stale"
	case has("hit"):
		return status, "hit"
	case has("fwd=method"), has("fwd=bypass"):
		if has("fwd-status=") {
			return status, "pass"
		}
	case has("fwd=") && has("fwd-status="):
		return status, "miss"
	}
	if code >= 400 || code == 0 {
		return status, "error" // and no answer of the origin's
	}
	return status, "pass"
}

// withoutUser returns a URL without the user and the password that may be in it.
func withoutUser(raw string) string {
	if !strings.Contains(raw, "@") {
		return raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
}

// traceID returns the trace of a traceparent (W3C Trace Context), "" if it has none.
func traceID(parent string) string {
	if len(parent) < 55 || parent[2] != '-' || parent[35] != '-' {
		return ""
	}
	id := parent[3:35]
	if _, err := hex.DecodeString(id); err != nil || strings.Trim(id, "0") == "" || strings.ToLower(id) != id {
		return ""
	}
	return id
}

// A loggedWriter remembers what becomes of a response.
type loggedWriter struct {
	http.ResponseWriter
	begin, first time.Time // first: of the header
	status       int
	bytes        int64
}

// Unwrap is for http.ResponseController.
func (l *loggedWriter) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// note remembers the status that the client gets: the first one that is final.
func (l *loggedWriter) note(code int) {
	if l.status == 0 && (code >= 200 || code == http.StatusSwitchingProtocols) {
		l.status, l.first = code, time.Now()
	}
}

func (l *loggedWriter) WriteHeader(code int) {
	l.note(code)
	l.ResponseWriter.WriteHeader(code)
}

func (l *loggedWriter) Write(b []byte) (int, error) {
	l.note(http.StatusOK)
	n, err := l.ResponseWriter.Write(b)
	l.bytes += int64(n)
	return n, err
}

// ReadFrom implements io.ReaderFrom, which net/http's own writer does so that files need not be copied.
func (l *loggedWriter) ReadFrom(src io.Reader) (n int64, err error) {
	l.note(http.StatusOK)
	n, err = io.Copy(l.ResponseWriter, src)
	l.bytes += n
	return n, err
}

// FlushError is what http.ResponseController calls.
func (l *loggedWriter) FlushError() error {
	l.note(http.StatusOK)
	return http.NewResponseController(l.ResponseWriter).Flush()
}

// Hijack implements http.Hijacker: who takes the connection over writes the rest itself, as for a status of 101.
func (l *loggedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(l.ResponseWriter).Hijack()
	if err == nil {
		l.note(http.StatusSwitchingProtocols)
	}
	return conn, rw, err
}

// Flush implements http.Flusher.
func (l *loggedWriter) Flush() { _ = l.FlushError() }
