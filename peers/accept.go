package peers

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"time"
)

// maxSessionsPerClient is how many upgraded connections one client may have. The oldest is closed for one more: it is
// probably one that broke, unnoticed at this end.
const maxSessionsPerClient = 4

// serveUpgrade upgrades a connection. It returns false if it has not written an answer: the request is to be
// answered as any GET, and the client sends POSTs.
func (p *Pool) serveUpgrade(w http.ResponseWriter, r *http.Request) (done bool) {
	in, why := p.admit(r)
	if why != "" {
		p.refuse(w, why, &in)
		return true
	}
	text := r.Header.Get(headerFeatures)
	if _, err := parseFeatures(text); err != nil {
		return false
	}
	if in.signer != nil && sha256.Sum256(upgradeText(text)) != in.body {
		p.traffic.rejectedGarbage.Add(1)
		return false
	}
	if in.instance == p.instance || in.to != p.self || p.closed.Load() || p.draining.Load() {
		return false // the answer to a POST says what is wrong
	}
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil { // HTTP/2, or something around the handler that does not let it
		return false
	}
	var rd io.Reader = nc
	if n := rw.Reader.Buffered(); n > 0 {
		early, _ := rw.Reader.Peek(n)
		rd = io.MultiReader(bytes.NewReader(bytes.Clone(early)), nc)
	}
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	s := newSession(p, nc, rd, in.from, in.instance, server)
	if err := s.welcome(&in); err != nil {
		nc.Close()
		return true
	}
	if !p.remember(s) {
		nc.Close()
		return true
	}
	go s.run() // until the connection ends, which Close sees to
	return true
}

// welcome tells the client that its connection is upgraded.
func (s *session) welcome(in *incoming) error {
	own := formatFeatures(s.pool.features)
	h := http.Header{"Connection": {"Upgrade"}, "Upgrade": {upgradeToken}, headerFeatures: {own}}
	if in.signer != nil {
		proof := in.signer.accept(in.mac, own)
		h.Set(headerProof, base64url.EncodeToString(proof[:]))
	}
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	if err := h.Write(&b); err != nil {
		return err
	}
	b.WriteString("\r\n")
	// The deadlines are the http.Server's.
	if err := errors.Join(s.nc.SetDeadline(time.Time{}), s.nc.SetWriteDeadline(time.Now().Add(s.patience))); err != nil {
		return err
	}
	_, err := s.nc.Write(b.Bytes())
	return err
}

// remember enters a session into the books. It returns false if the Pool is closed.
func (p *Pool) remember(s *session) bool {
	p.sessionMu.Lock()
	if p.closed.Load() {
		p.sessionMu.Unlock()
		return false
	}
	same := 0
	var oldest *session
	for _, other := range p.sessions { // in the order in which they came
		if other.client == s.client && other.from == s.from {
			if same++; oldest == nil {
				oldest = other
			}
		}
	}
	if same >= maxSessionsPerClient {
		p.forgetLocked(oldest) // at once, so that it is not taken for one that is there
	}
	p.sessions = append(p.sessions, s)
	leaving, known := p.servers[s.server]
	register := s.server != nil && !known
	if register {
		p.servers[s.server] = false
	}
	leaving = leaving || p.draining.Load()
	p.sessionMu.Unlock()
	if same >= maxSessionsPerClient {
		oldest.stop(errRetired)
	}
	if register {
		// A connection that was hijacked is none of the server's any more.
		s.server.RegisterOnShutdown(func() { p.sendAway(s.server) })
	}
	if leaving {
		s.goAway(false)
	}
	return true
}

// forget takes a session out of the books.
func (p *Pool) forget(s *session) {
	p.sessionMu.Lock()
	defer p.sessionMu.Unlock()
	p.forgetLocked(s)
}

// forgetLocked is forget. sessionMu must be held.
func (p *Pool) forgetLocked(s *session) {
	for i, other := range p.sessions {
		if other == s {
			p.sessions = append(p.sessions[:i:i], p.sessions[i+1:]...)
			return
		}
	}
}

// sendAway tells the clients of a server that shuts down to ask others.
func (p *Pool) sendAway(server *http.Server) {
	p.sessionMu.Lock()
	p.servers[server] = true
	p.sessionMu.Unlock()
	for _, s := range p.allSessions() {
		if s.server == server {
			s.goAway(false)
		}
	}
}

func (p *Pool) allSessions() []*session {
	p.sessionMu.Lock()
	defer p.sessionMu.Unlock()
	return append([]*session(nil), p.sessions...)
}
