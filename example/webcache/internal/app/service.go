package app

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache"
	"github.com/seed-0f2aaebe/fleetcache/peers"
)

// A service is one instance.
type service struct {
	opts     *options
	name     string // of the instance: its URL if there are others
	log      *slog.Logger
	identity *identity
	access   *accessLog   // nil: there is none
	front    http.Handler // of clients
	cache    *httpcache.Handler
	fleet    *membership // nil of an instance without others
	pool     *peers.Pool // its
	poolPath string
	started  time.Time
	leaving  atomic.Bool // no longer healthy
}

// runService runs an instance until ctx ends, and then until the others have what it holds and its requests have finished. It
// logs to stderr.
func runService(ctx context.Context, opts *options, stderr io.Writer) error {
	var level slog.LevelVar
	level.Set(max(opts.log, slog.LevelWarn)) // the start is told in one line, when it is done
	s, err := newService(ctx, opts, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: &level})))
	if err != nil {
		return err
	}
	defer s.close()
	level.Set(opts.log)
	log := s.log

	server := newServer(s, log)
	server.TLSConfig = s.identity.server()
	servers := []*http.Server{server}
	l, err := net.Listen("tcp", opts.listen)
	if err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	listeners, said := []net.Listener{l}, []any{"address", l.Addr()}
	defer l.Close()
	if opts.admin != "" {
		l, err := net.Listen("tcp", opts.admin)
		if err != nil {
			return fmt.Errorf("-admin: %w", err)
		}
		defer l.Close()
		servers = append(servers, newServer(s.adminHandler(), log))
		listeners, said = append(listeners, l), append(said, "admin", l.Addr())
	}
	if s.pool != nil {
		st := s.pool.Stats()
		said = append(said, "members", len(st.Peers)+1, "epoch", st.Epoch)
	}
	log.Info("listening", said...)
	failed := make(chan error, len(servers))
	for i, server := range servers {
		defer server.Close()
		go func() { failed <- serve(server, listeners[i]) }()
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	s.leave(server)
	return nil
}

// serve serves until the server is shut down.
func serve(server *http.Server, l net.Listener) error {
	if server.TLSConfig != nil {
		return server.ServeTLS(l, "", "")
	}
	return server.Serve(l)
}

// leave takes the instance out of service within -shutdown-timeout. The server serves while the others take over what this
// instance holds, which they ask it for; only then nobody new is let in, and those who are there get their answers. Meanwhile the others hear that it
// is gone, if that is how they find each other.
func (s *service) leave(server *http.Server) {
	s.leaving.Store(true)
	s.log.Info("shutting down", "timeout", s.opts.shutdown)
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.shutdown)
	defer cancel()
	if s.pool != nil {
		if err := s.pool.Drain(ctx); err != nil {
			s.log.Warn("not everything was handed over", "error", err)
		}
	}
	var telling sync.WaitGroup
	defer telling.Wait()
	if s.fleet != nil {
		telling.Go(func() {
			if err := s.fleet.leave(); err != nil {
				s.log.Warn("the others find out by themselves that this instance is gone", "error", err)
			}
		})
	}
	if err := server.Shutdown(ctx); err != nil {
		s.log.Warn("requests were cut off", "error", err)
	}
}

// newService returns an instance that waits no longer than ctx for who else there is, or the first thing that is wrong with its options, in one line.
func newService(ctx context.Context, opts *options, log *slog.Logger) (_ *service, err error) {
	log = log.With("instance", cmp.Or(opts.self, opts.listen))
	s := &service{opts: opts, name: opts.listen, log: log, started: time.Now()}
	defer func() {
		if err != nil {
			s.close()
			err = usageError{flagNames.Replace(err.Error())}
		}
	}()
	if s.identity, err = newIdentity(&opts.tls, log); err != nil {
		return nil, err
	}
	cfg := httpcache.Config{
		Origins: opts.origins.byHost, PreserveHost: opts.preserveHost, MaxBytes: opts.maxBytes, MaxObjectBytes: opts.maxObject, Logger: log,
		TrustClient: opts.trustClient, StoreSetCookie: opts.storeSetCookie, StorePost: opts.storePost,
	}
	if cfg.TLS, err = originTLS(opts.tls.originCA); err != nil {
		return nil, err
	}
	if opts.inFleet() {
		if s.fleet, err = join(ctx, opts, s.identity, log); err != nil {
			return nil, err
		}
		s.pool = s.fleet.pool
		u, err := url.Parse(s.pool.Self())
		if err != nil {
			return nil, err
		}
		s.name, s.poolPath, cfg.Peers = s.pool.Self(), u.Path, s.pool
	}
	cfg.Instance = s.name
	if s.cache, err = httpcache.New(cfg); err != nil {
		return nil, err
	}
	s.front = http.HandlerFunc(s.serveClient)
	if opts.accessLog != "" {
		if s.access, err = openAccessLog(opts.accessLog, opts.stdout, s.name, log); err != nil {
			return nil, err
		}
		s.front = s.access.wrap(s.front)
	}
	return s, nil
}

// A usageError is about the flags.
type usageError struct{ msg string }

func (e usageError) Error() string { return e.msg }

// flagNames makes the flags' names of the fields that they become, and one line of an error.
var flagNames = strings.NewReplacer(
	`httpcache: Config.Origins["*"]`, "-origin", "httpcache: Config.Origins", "-origin", "with PreserveHost", "with -preserve-host", "httpcache: cache: Config.MaxBytes", "-max-bytes", "httpcache: Config.MaxObjectBytes", "-max-object",
	"httpcache: Config.Instance", "-listen", "peers: Config.Self", "-self", "peers: Config.Secret", "-secret-file",
	"peers: Config.DrainTime", "-drain", "discover: DNSConfig.Name", "-peers-dns",
	"\n", "; ")

func (s *service) close() {
	if s.cache != nil {
		s.cache.Close()
	}
	if s.fleet != nil {
		s.fleet.close()
	}
	if s.identity != nil {
		s.identity.close()
	}
	if s.access != nil {
		s.access.close()
	}
}

// ServeHTTP serves clients and other instances. There is no http.ServeMux: it would redirect a path such as /a//b.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.pool != nil && r.URL.Path == s.poolPath {
		s.pool.ServeHTTP(w, r)
		return
	}
	s.front.ServeHTTP(w, r)
}

func (s *service) serveClient(w http.ResponseWriter, r *http.Request) {
	if ca := s.identity.clientCA; ca != nil && !ca.vouches(r.TLS) {
		http.Error(w, "a client needs a certificate here", http.StatusForbidden)
		return
	}
	s.cache.ServeHTTP(w, r)
}

// newServer returns a server that bounds how long a client may take to ask, and to ask again. What comes after the
// header may take its time: uploads, events, and downloads to slow clients.
func newServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
