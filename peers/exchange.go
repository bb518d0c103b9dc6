package peers

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

const contentType = "application/x-fleetcache"

// maxSigns is how often a request is signed: once more after a challenge ran out, and once
// more after many others overtook it.
const maxSigns = 3

var (
	headerContent = []string{contentType}
	noValue       = []string{}
)

// exchange sends q in a POST, hands each answer to deliver, and calls heard for each part of the
// reply that is genuine. The verdict is what its error says of the peer; a
// context's end is not told from other failures.
func (p *peer) exchange(ctx context.Context, q *wire.Request, deliver func(int, cache.Answer), heard func()) (verdict, error) {
	q.Epoch = p.pool.Epoch()
	q.Timeout = cache.Forever
	if d, ok := ctx.Deadline(); ok {
		q.Timeout = time.Until(d)
	}
	body, err := p.body(q)
	if err != nil {
		return unknown, p.fault(ErrTooLarge, "was not sent the request", err)
	}
	c := p.pool.credentialFor(p)
	c.body = sha256.Sum256(body)
	for sign := 1; ; sign++ {
		m, v, err := p.sign(ctx, &c)
		if err != nil {
			return v, err
		}
		resp, v, err := p.post(ctx, &c, m, body, q.Verb)
		if err != nil {
			return v, err
		}
		v, again, err := p.receive(resp, q, &c, m, deliver, heard)
		if again && sign < maxSigns {
			continue
		}
		return v, err
	}
}

// body returns the body of a POST: a preface and a frame.
func (p *peer) body(q *wire.Request) ([]byte, error) {
	const room = 2 + wire.MaxFrameHead
	b, err := wire.AppendRequest(make([]byte, room, room+sizeHint(q)), q)
	if err == nil {
		err = p.checkRequest(len(b) - room)
	}
	if err != nil {
		return nil, err
	}
	// What stands before the request is put before it once its length is known.
	var head [room]byte
	h := wire.AppendFrameHead(wire.AppendPreface(head[:0], false), wire.TypeRequest, 0, len(b)-room)
	return b[room-copy(b[room-len(h):], h):], nil
}

func sizeHint(q *wire.Request) int {
	n := 256
	switch q.Verb {
	case wire.Get:
		for _, k := range q.Get.Keys {
			n += len(k) + 3
		}
	case wire.Store:
		n += len(q.Store.Key) + len(q.Store.Value)
	}
	return n
}

// sign gives c a challenge and a number, and returns its code. It asks the peer for a challenge if
// there is none.
func (p *peer) sign(ctx context.Context, c *credential) (mac, verdict, error) {
	if p.pool.signer == nil {
		return mac{}, unknown, nil
	}
	g := p.grant.Load()
	if g == nil || !time.Now().Before(g.until) {
		fresh, v, err := p.askChallenge(ctx, c)
		if err != nil {
			return mac{}, v, err
		}
		if !p.grant.CompareAndSwap(g, fresh) {
			// Another call was faster. To use its challenge makes one session there, and not one for each call.
			if others := p.grant.Load(); others != nil {
				fresh = others
			}
		}
		g = fresh
	}
	c.challenge = g.challenge
	c.number = p.number.Add(1)
	return p.pool.signer.request(c), unknown, nil
}

// askChallenge sends a request that is not signed and has no body, which is refused with a challenge.
// That refusal need not be genuine: a false challenge makes for a request that no instance accepts.
func (p *peer) askChallenge(ctx context.Context, c *credential) (*grant, verdict, error) {
	unsigned := credential{to: c.to, from: c.from, instance: c.instance}
	resp, v, err := p.post(ctx, &unsigned, mac{}, nil, wire.Ping)
	if err != nil {
		return nil, v, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get(headerRefusal) == "" {
		if resp.StatusCode == http.StatusOK && resp.Header.Get("Content-Type") == contentType {
			return nil, final, p.fault(ErrNotAuthentic, "answers without asking for the Secret: is Secret set there too?", nil)
		}
		return nil, failed, p.nonsense(resp)
	}
	if g := parseGrant(resp.Header); g != nil {
		return g, unknown, nil
	}
	if refusal(resp.Header.Get(headerRefusal)) == refusedCertificate {
		return nil, final, p.refusedCertificate()
	}
	return nil, final, p.fault(ErrUnauthorized, "gives no challenge to sign: is Secret set there too?", nil)
}

// post sends body in a request and returns the reply when its header is there.
func (p *peer) post(ctx context.Context, c *credential, m mac, body []byte, verb wire.Verb) (*http.Response, verdict, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return nil, unknown, p.fault(ErrUnreachable, "cannot be asked", err)
	}
	req.Header = http.Header{
		"Content-Type": headerContent,
		headerTo:       {c.to},
		headerFrom:     {c.from},
		headerInstance: {hex.EncodeToString(c.instance[:])},
	}
	if c.number > 0 {
		req.Header[headerAuth] = []string{c.header(m)}
	}
	if verb != wire.Store {
		// An http.Transport sends a POST that failed on a used connection once more only if not a
		// byte of it was written, which is as often as a Store may be sent, or if it has
		// this header, which is not sent when it is empty. All else may arrive twice.
		req.Header["Idempotency-Key"] = noValue
	}
	resp, err := p.pool.client.Do(req)
	if err != nil {
		v, err := p.transportError(err)
		return nil, v, err
	}
	return resp, unknown, nil
}

func (p *peer) transportError(err error) (verdict, error) {
	if ue := (*url.Error)(nil); errors.As(err, &ue) {
		err = ue.Err // the URL is said already
	}
	op := (*net.OpError)(nil)
	isOp := errors.As(err, &op)
	if isOp && op.Op == "remote error" || errors.As(err, new(*tls.CertificateVerificationError)) { // an alert of TLS
		return failed, p.fault(ErrUnauthorized, "does not agree on TLS certificates with this instance (look at those of both sides)", err)
	}
	v := failed
	if isOp && op.Op == "dial" {
		v = final
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.EADDRNOTAVAIL) {
			v = unknown // it is this machine that is short of something
		}
	}
	return v, p.fault(ErrUnreachable, "cannot be reached", notContexts(err))
}

// notContexts returns err so that it does not pass for the end of the caller's context: to errors.Is,
// a dialer's time-out is context.DeadlineExceeded.
func notContexts(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return errors.New(err.Error())
	}
	return err
}

// receive reads the reply to q, which was signed with m, and closes it. again says that the request was
// not executed and should be signed once more.
func (p *peer) receive(resp *http.Response, q *wire.Request, c *credential, m mac, deliver func(int, cache.Answer), heard func()) (v verdict, again bool, err error) {
	defer resp.Body.Close()
	why := refusal(resp.Header.Get(headerRefusal))
	switch {
	case resp.StatusCode == http.StatusUnauthorized && why != "":
		return p.refused(resp, why, q.Verb, c, m, heard)
	case resp.StatusCode != http.StatusOK, resp.Header.Get("Content-Type") != contentType:
		return failed, false, p.nonsense(resp)
	}
	v, err = p.readReply(resp.Body, q, m, deliver, heard)
	if v == answered {
		p.renew(c.challenge, resp.Header)
	}
	return v, false, err
}

// renew takes the challenge in h in place of the one that a request was signed with. Of many requests
// that were signed with the same one, the first reply's is taken.
func (p *peer) renew(used challenge, h http.Header) {
	g := p.grant.Load()
	if g == nil || g.challenge != used {
		return
	}
	if fresh := parseGrant(h); fresh != nil {
		p.grant.CompareAndSwap(g, fresh)
	}
}

// refused deals with a refusal. It is believed only if the peer proves that it is its own: else
// somebody could make a store be sent twice.
func (p *peer) refused(resp *http.Response, why refusal, verb wire.Verb, c *credential, m mac, heard func()) (_ verdict, again bool, _ error) {
	if why == refusedCertificate {
		return final, false, p.refusedCertificate()
	}
	s := p.pool.signer
	if s == nil {
		return final, false, p.fault(ErrUnauthorized, "wants requests signed with a Secret, and this instance has none", nil)
	}
	fresh := parseGrant(resp.Header)
	var proof, want mac
	if fresh != nil {
		want = s.refusal(&m, why, &fresh.challenge)
	}
	if fresh == nil || !decodeExactly(proof[:], resp.Header.Get(headerProof)) || !hmac.Equal(proof[:], want[:]) {
		p.grant.Store(nil)
		return final, false, p.fault(ErrUnauthorized, "refuses this instance's credential: is Secret the same on both?", nil)
	}
	heard()
	if g := p.grant.Load(); g != nil && g.challenge == c.challenge {
		p.grant.CompareAndSwap(g, fresh)
	}
	err := p.fault(ErrUnauthorized, fmt.Sprintf("refuses the request as %s", why), nil)
	// What is stale was not executed by this process of the peer's. A replay of a store may be the store itself, after
	// somebody sent a copy of it, and so may one that has expired.
	return answered, why == refusedStale || verb != wire.Store && (why == refusedExpired || why == refusedReplay), err
}

func (p *peer) refusedCertificate() error {
	return p.fault(ErrUnauthorized, "refuses this instance's TLS certificate, or got none: look at Client's certificates here, and at Authorize and the http.Server's ClientAuth there", nil)
}

// nonsense returns the error for a response that is not a peer's.
func (p *peer) nonsense(resp *http.Response) error {
	ct := resp.Header.Get("Content-Type")
	text := fmt.Sprintf("gave no usable answer: HTTP %d", resp.StatusCode)
	switch {
	case resp.StatusCode/100 == 3:
		text += fmt.Sprintf(" redirects to %q; is the Pool mounted at this path?", resp.Header.Get("Location"))
	case resp.StatusCode == http.StatusOK:
		text += fmt.Sprintf(" of type %q, not a Pool's; does another program have this address?", ct)
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusMethodNotAllowed:
		text += fmt.Sprintf(" of type %q; is the Pool mounted at this path?", ct)
	default:
		text += fmt.Sprintf(" of type %q from something in between", ct)
	}
	return p.fault(ErrProtocol, text, nil)
}
