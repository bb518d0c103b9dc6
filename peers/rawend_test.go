package peers

import (
	"net/http"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// A rawEnd is the server's end of an upgraded connection, in a test's hands.
type rawEnd struct {
	rawLink
	s *session // of which only the handshake is used
}

// takeOver has each connection that is upgraded at n handed to serve, which owns it, on a goroutine of its own.
func (n *node) takeOver(t testing.TB, serve func(*rawEnd)) {
	n.upgrades.Store(true)
	n.handle(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.Header.Get("Upgrade") == "" {
			n.Pool.ServeHTTP(w, r)
			return
		}
		in, why := n.admit(r)
		if why != "" {
			n.refuse(w, why, &in)
			return
		}
		nc, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		s := newSession(n.Pool, nc, rw, in.from, in.instance, nil)
		if err := s.welcome(&in); err != nil {
			t.Error(err)
			nc.Close()
			return
		}
		serve(&rawEnd{rawLink{t, nc, wire.NewReader(rw)}, s})
		nc.Close()
	})
}

// serveFrames answers each frame by what answer returns for it, until the connection ends.
func (e *rawEnd) serveFrames(answer func(wire.Frame) []byte) {
	for {
		f, err := nextFrame(e.in)
		if err != nil {
			return
		}
		if b := answer(f); b != nil {
			if _, err := e.nc.Write(b); err != nil {
				return
			}
		}
	}
}

// lastAnswer returns a frame with the only answer to a get.
func lastAnswer(call uint64, value []byte) []byte {
	head := wire.AppendLastAnswerHead(nil, 0, &cache.Answer{TTL: time.Minute}, 0)
	return frame(wire.TypeAnswer, call, append(head, value...))
}

func endFrame(call uint64, code wire.Code) []byte {
	return frame(wire.TypeEnd, call, wire.AppendEnd(nil, wire.End{Code: code}))
}
