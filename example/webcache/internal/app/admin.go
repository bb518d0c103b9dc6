package app

import (
	"encoding/json"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache"
	"github.com/seed-0f2aaebe/fleetcache/peers"
)

// stats is what /stats says, as JSON.
type stats struct {
	Instance      string
	Version       string
	UptimeSeconds float64
	HTTP          httpcache.Stats
	Pool          *peers.Stats `json:",omitempty"` // of a fleet
}

// adminHandler serves /healthz and /readyz, 200 or 503, /stats and /purge. An instance is not ready while it joins
// its fleet: until then it keeps nothing.
func (s *service) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case s.leaving.Load():
			http.Error(w, "shutting down", http.StatusServiceUnavailable)
		case s.cache.Stats().Cache.Joining:
			http.Error(w, "joining the fleet", http.StatusServiceUnavailable)
		default:
			w.Write([]byte("ok\n"))
		}
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if s.leaving.Load() {
			http.Error(w, "shutting down", http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		_ = e.Encode(s.stats())
	})
	mux.Handle("POST /purge", purgeHandler(s.cache, s.opts.adminToken, s.name))
	return mux
}

func (s *service) stats() stats {
	st := stats{Instance: s.name, Version: version(), UptimeSeconds: time.Since(s.started).Seconds(), HTTP: s.cache.Stats()}
	if s.pool != nil {
		p := s.pool.Stats()
		st.Pool = &p
	}
	return st
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
