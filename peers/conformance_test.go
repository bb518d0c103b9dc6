package peers_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// The suite that every cache.Peers must pass, over real sockets.
func TestConformance(t *testing.T) {
	t.Run("secret", func(t *testing.T) {
		peerstest.TestPeers(t, newSubject(peers.Config{Secret: []byte("a secret of the conformance test")}))
	})
	t.Run("insecure", func(t *testing.T) {
		peerstest.TestPeers(t, newSubject(peers.Config{Insecure: true}))
	})
}

func newSubject(cfg peers.Config) peerstest.NewSubject {
	return func(t testing.TB, n int) peerstest.Subject {
		var (
			s       peerstest.Subject
			members []peers.Member
			servers []*httptest.Server
			hung    = make([]atomic.Bool, n)
			over    = make(chan struct{})
			pools   = make([]*peers.Pool, n)
		)
		for i := range n {
			srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if hung[i].Load() {
					io.Copy(io.Discard, r.Body)
					<-over
					return
				}
				pools[i].ServeHTTP(w, r)
			}))
			srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
			c := cfg
			c.Self = "http://" + srv.Listener.Addr().String()
			c.PingAfter, c.PingTimeout = 50*time.Millisecond, time.Second
			pool, err := peers.New(c)
			if err != nil {
				t.Fatal(err)
			}
			pools[i] = pool
			srv.Start()
			servers = append(servers, srv)
			members = append(members, peers.Member{URL: pool.Self()})
			s.Peers = append(s.Peers, pool)
		}
		for _, p := range pools {
			if err := p.Set(members...); err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() {
			close(over)
			for i, p := range pools {
				p.Close()
				servers[i].CloseClientConnections()
				servers[i].Close()
			}
		})
		s.Stop = func(i int) {
			servers[i].Listener.Close()
			servers[i].CloseClientConnections()
		}
		s.Hang = func(i int) { hung[i].Store(true) }
		return s
	}
}
