package peers

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"

	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// How a connection is upgraded (RFC 9110, section 7.8). The client sends
//
//	GET (path of the server's URL)
//	Connection: Upgrade
//	Upgrade: fleetcache/1
//	Fleetcache-Features: what the client understands, in hexadecimal
//
// with the headers of auth.go, signed as if its body were the text of upgradeText. The server answers
//
//	101 Switching Protocols
//	Connection: Upgrade
//	Upgrade: fleetcache/1
//	Fleetcache-Features: what the server understands
//	Fleetcache-Proof: HMAC of the request's HMAC and these features
//
// and frames follow in both directions. So each end has proved to the other that it has the Secret, for this connection:
// the request's challenge and number are good for one. Any other answer means that calls go by POST.
const (
	upgradeToken   = "fleetcache/1"
	headerFeatures = "Fleetcache-Features"
)

// notUpgraded says that an address answers, and does not upgrade the connection.
type notUpgraded struct{ reason string }

func (e *notUpgraded) Error() string { return "peers: the connection is not upgraded: " + e.reason }

// upgradeText is what a request to upgrade is signed with in place of a body.
func upgradeText(features string) []byte {
	return []byte("upgrade to " + upgradeToken + " with features " + features)
}

func formatFeatures(f wire.Features) string { return strconv.FormatUint(uint64(f), 16) }

func parseFeatures(s string) (wire.Features, error) {
	f, err := strconv.ParseUint(s, 16, 64)
	return wire.Features(f), err
}

// accept is the code by which a server proves that it accepts the request that was signed with req.
func (s *signer) accept(req *mac, features string) mac {
	g := s.begin("fleetcache/1 accept")
	g.field(req[:], nil)
	g.text(features)
	return g.sum()
}

// upgrade makes one connection and has it upgraded. The verdict is what its error says of the peer.
func (p *peer) upgrade(ctx context.Context) (*link, verdict, error) {
	own := formatFeatures(p.pool.features)
	c := p.pool.credentialFor(p)
	c.body = sha256.Sum256(upgradeText(own))
	for sign := 1; ; sign++ {
		m, v, err := p.sign(ctx, &c)
		if err != nil {
			return nil, v, err
		}
		resp, nc, v, err := p.knock(ctx, &c, m, own)
		if err != nil {
			return nil, v, err
		}
		why := refusal(resp.Header.Get(headerRefusal))
		switch {
		case resp.StatusCode == http.StatusSwitchingProtocols:
			return p.upgraded(resp, nc, m)
		case resp.StatusCode != http.StatusUnauthorized || why == "":
			resp.Body.Close()
			return nil, answered, &notUpgraded{fmt.Sprintf("HTTP %d of type %q", resp.StatusCode, resp.Header.Get("Content-Type"))}
		}
		v, again, err := p.refused(resp, why, wire.Ping, &c, m, func() {})
		resp.Body.Close()
		if !again || sign == maxSigns {
			return nil, v, err
		}
	}
}

// knock sends a request to upgrade, and returns the answer with the connection that it came on.
func (p *peer) knock(ctx context.Context, c *credential, m mac, features string) (*http.Response, net.Conn, verdict, error) {
	var nc net.Conn
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { nc = i.Conn }})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		return nil, nil, unknown, p.fault(ErrUnreachable, "cannot be asked", err)
	}
	req.Header = http.Header{
		"Connection":   {"Upgrade"},
		"Upgrade":      {upgradeToken},
		headerFeatures: {features},
		headerTo:       {c.to},
		headerFrom:     {c.from},
		headerInstance: {hex.EncodeToString(c.instance[:])},
	}
	if c.number > 0 {
		req.Header[headerAuth] = []string{c.header(m)}
	}
	resp, err := p.pool.upgrader.Do(req)
	if err == nil {
		return resp, nc, unknown, nil
	}
	v, fault := p.transportError(err)
	disliked := nc != nil && v == failed && !errors.Is(fault, ErrUnauthorized)
	// What speaks HTTP/2 alone says so in the TLS handshake, by an alert that has no type of its own.
	if (disliked || strings.HasSuffix(err.Error(), "no application protocol")) && ctx.Err() == nil {
		// Something took the connection and does not like the request. A POST will tell what that is.
		return nil, nil, answered, &notUpgraded{err.Error()}
	}
	return nil, nil, v, fault
}

// upgraded makes a link of a connection that was upgraded, if its server proves that it has the Secret.
func (p *peer) upgraded(resp *http.Response, nc net.Conn, m mac) (*link, verdict, error) {
	rwc, ok := resp.Body.(io.ReadWriteCloser)
	if !ok || nc == nil {
		resp.Body.Close()
		return nil, answered, &notUpgraded{"Config.Client's Transport hides the connection"}
	}
	text := resp.Header.Get(headerFeatures)
	features, err := parseFeatures(text)
	if err != nil || !hasToken(resp.Header, "Upgrade", upgradeToken) {
		nc.Close()
		return nil, answered, &notUpgraded{"the server switches to another protocol"}
	}
	if s := p.pool.signer; s != nil {
		var proof mac
		want := s.accept(&m, text)
		if !decodeExactly(proof[:], resp.Header.Get(headerProof)) || !hmac.Equal(proof[:], want[:]) {
			nc.Close()
			return nil, final, p.fault(ErrNotAuthentic, "does not prove that it has the Secret: is Secret set there too, or has another program its address?", nil)
		}
	}
	return newLink(p, nc, rwc, features&p.pool.features), answered, nil
}

// hasToken reports whether a header's list has a token, in upper or lower case.
func hasToken(h http.Header, name, token string) bool {
	for _, v := range h.Values(name) {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}
