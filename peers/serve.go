package peers

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// ServeHTTP answers the requests of other instances, which are POSTs, and tells people and probes by GET
// and HEAD that a Pool is here. The path is the program's business.
func (p *Pool) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		p.servePost(w, r)
	case http.MethodGet, http.MethodHead:
		if r.Method == http.MethodGet && hasToken(r.Header, "Upgrade", upgradeToken) && p.serveUpgrade(w, r) {
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-store")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"name": "fleetcache", "protocol": wire.Version, "epoch": hexEpoch(p.Epoch()),
		})
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		http.Error(w, "fleetcache: use GET, or be a member of the fleet", http.StatusMethodNotAllowed)
	}
}

func (p *Pool) servePost(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	// Whoever sends a body slowly holds a connection, credential or not.
	wait := p.cfg.ReadTimeout + time.Duration(min(max(r.ContentLength, 0), int64(p.maxRequest()))>>20)*time.Second
	_ = rc.SetReadDeadline(time.Now().Add(wait)) // what does not support it, does not
	if r.Header.Get("Content-Type") != contentType {
		// A page in somebody's browser cannot send this type without asking first.
		p.traffic.rejectedGarbage.Add(1)
		http.Error(w, "fleetcache: this address is for the members of the fleet", http.StatusUnsupportedMediaType)
		return
	}
	in, why := p.admit(r)
	if why != "" {
		p.refuse(w, why, &in)
		return
	}
	if in.mac != nil && p.now()-in.made > challengeLife/2 {
		setChallenge(w.Header(), p.challenger.issue(p.now()))
	}
	reply := newReplyWriter(p, w, rc, &in)
	code, message := p.serve(reply, r, &in.credential)
	reply.end(wire.End{Code: code, Epoch: p.Epoch(), Message: message})
}

// incoming is what is known of a request before its body is read.
type incoming struct {
	credential
	signer *signer       // the Secret that it is signed with; nil if it is not known to be
	mac    *mac          // what it was signed with
	made   time.Duration // when its challenge was
}

// admit looks whether r has the fleet's credential.
func (p *Pool) admit(r *http.Request) (in incoming, why refusal) {
	in.to, in.from = r.Header.Get(headerTo), Sender(r)
	hasID := decodeHex(in.instance[:], r.Header.Get(headerInstance))
	switch {
	case p.cfg.Authorize != nil:
		if err := p.cfg.Authorize(r); err != nil {
			p.warn("a request was refused by Config.Authorize", r, "error", err)
			return in, refusedCertificate
		}
	case p.tlsOnly && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0):
		p.warn("a request without a verified TLS certificate was refused", r)
		return in, refusedCertificate
	}
	if p.signer == nil {
		return in, ""
	}
	got, ok := in.parseAuth(r.Header.Get(headerAuth))
	if !ok || !hasID {
		return in, refusedUnsigned
	}
	for _, sg := range p.accepted { // compare with all: how long it takes says nothing
		if want := sg.request(&in.credential); hmac.Equal(got[:], want[:]) {
			in.signer, in.mac = sg, &got
		}
	}
	if in.signer == nil {
		p.warn("a request was refused that is signed with another Secret", r)
		return in, refusedSecret
	}
	if in.made, ok = p.challenger.check(&in.challenge); !ok {
		if in.to != p.self {
			in.signer = nil // that this instance did not execute it says nothing of the one it was for
		}
		return in, refusedStale
	}
	return in, p.challenger.use(&in.challenge, in.made, in.number, p.now())
}

// Sender returns the URL by which the sender of a request to a Pool names itself, for Config.Authorize to compare
// with the certificate in r.TLS. A Secret proves it too, but only after Authorize.
func Sender(r *http.Request) string { return r.Header.Get(headerFrom) }

func decodeHex(dst []byte, value string) bool {
	if len(value) != hex.EncodedLen(len(dst)) {
		return false
	}
	_, err := hex.Decode(dst, []byte(value))
	return err == nil
}

// refuse answers a request that does not have the credential. Nothing was executed of it.
func (p *Pool) refuse(w http.ResponseWriter, why refusal, in *incoming) {
	if why == refusedUnsigned || why == refusedStale || why == refusedExpired {
		p.traffic.challenged.Add(1)
	} else {
		p.traffic.rejectedAuth.Add(1)
	}
	h := w.Header()
	h.Set("WWW-Authenticate", "Fleetcache")
	h.Set(headerRefusal, string(why))
	if p.signer != nil && why != refusedCertificate {
		ch := p.challenger.issue(p.now())
		setChallenge(h, ch)
		if in.signer != nil {
			proof := in.signer.refusal(in.mac, why, &ch)
			h.Set(headerProof, base64url.EncodeToString(proof[:]))
		}
	}
	w.WriteHeader(http.StatusUnauthorized)
}

// warn logs what may come from anybody, at most once in ten seconds.
func (p *Pool) warn(what string, r *http.Request, args ...any) {
	if p.mayWarn() {
		p.log.Warn("peers: "+what, append([]any{"from", r.RemoteAddr, "says", r.Header.Get(headerFrom)}, args...)...)
	}
}

// mayWarn returns true at most once in ten seconds.
func (p *Pool) mayWarn() bool {
	now := int64(p.now()) + 1
	last := p.traffic.lastWarning.Load()
	return (last == 0 || now-last >= int64(10*time.Second)) && p.traffic.lastWarning.CompareAndSwap(last, now)
}

// serve serves a request that has the credential, and returns what the end of its reply says.
func (p *Pool) serve(reply *replyWriter, r *http.Request, c *credential) (wire.Code, string) {
	t := &p.traffic
	switch {
	case c.instance == p.instance:
		return wire.Self, p.self
	case c.to != p.self:
		t.rejectedGarbage.Add(1)
		return wire.Misdirected, p.self
	case p.closed.Load():
		return wire.Closed, ""
	}
	defer t.inFlight.Add(-1)
	if t.inFlight.Add(1) > int64(p.cfg.MaxInFlight) {
		t.rejectedLimit.Add(1)
		return wire.Overloaded, ""
	}
	body, code, message := p.readBody(reply.w, r)
	if code != wire.OK {
		t.rejectedLimit.Add(1)
		return code, message
	}
	// The deadline was for the body. From here on, the end of reading means that the client left.
	_ = reply.rc.SetReadDeadline(time.Time{})
	if p.signer != nil && sha256.Sum256(body) != c.body {
		t.rejectedGarbage.Add(1)
		return wire.BadRequest, "the body is not the one that was signed"
	}
	payload, err := wire.RequestFrame(body)
	var q *wire.Request
	if err == nil {
		q, err = wire.DecodeRequest(payload)
	}
	if err != nil {
		t.rejectedGarbage.Add(1)
		if errors.Is(err, wire.ErrUnsupported) {
			return wire.Unsupported, err.Error()
		}
		return wire.BadRequest, err.Error()
	}
	p.noteEpoch(c.from, q.Epoch)
	t.served.Add(1)
	if q.Verb == wire.Get {
		reply.expect(q.Answers(), q.MaxValue, p.cfg.MaxValueBytes)
	} else {
		reply.expect(q.Answers(), uint64(p.maxRequest()), p.maxRequest())
	}
	return p.execute(r.Context(), c.from, c.instance, q, reply.answer)
}

// noteEpoch compares the epoch that came with a request with this instance's.
func (p *Pool) noteEpoch(from string, epoch uint64) {
	if pr := p.view.Load().peers[from]; pr != nil {
		pr.epochs.note(p, pr.url, epoch)
	} else {
		p.traffic.strangers.noteStranger(p, from, epoch)
	}
}

// readBody reads a body into memory that is its caller's.
func (p *Pool) readBody(w http.ResponseWriter, r *http.Request) ([]byte, wire.Code, string) {
	limit := p.maxRequest()
	tooLarge := fmt.Sprintf("it takes %d bytes at most", limit)
	if r.ContentLength > int64(limit) {
		return nil, wire.TooLarge, tooLarge
	}
	size := 4 << 10
	if r.ContentLength >= 0 {
		size = min(int(r.ContentLength), 64<<10) // more once it is there
	}
	body := http.MaxBytesReader(w, r.Body, int64(limit))
	b := make([]byte, 0, size+1) // one more, to see the end without growing
	for {
		n, err := body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		switch {
		case err == io.EOF:
			return b, wire.OK, ""
		case errors.As(err, new(*http.MaxBytesError)):
			return nil, wire.TooLarge, tooLarge
		case err != nil:
			return nil, wire.BadRequest, "it did not arrive as a whole, or in time: " + err.Error()
		}
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(2*cap(b), limit+1)), b...)
		}
	}
}

// execute hands q, which comes from that URL, to the cache that it is for. The codes are of the reply's end.
func (p *Pool) execute(ctx context.Context, from string, instance instanceID, q *wire.Request, deliver func(int, cache.Answer)) (code wire.Code, message string) {
	if p.hear(from, instance) && (q.Verb == wire.Hello || q.Verb == wire.Store) {
		return wire.Failed, "this instance has forgotten the sender, which left its view and could not be reached, and tells it so when it comes back into it"
	}
	switch q.Verb {
	case wire.Ping:
		return wire.OK, ""
	case wire.Stats:
		return p.tellStats(deliver)
	case wire.Leave:
		deliver(0, cache.Answer{Value: wire.AppendNames(nil, p.heardLeave(from, instance))})
		return wire.OK, ""
	}
	name := cacheOf(q)
	a := p.attachment(name)
	if a == nil {
		return wire.UnknownCache, ""
	}
	if q.Timeout != cache.Forever {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, q.Timeout)
		defer cancel()
	}
	defer func() {
		if v := recover(); v != nil { // http.ErrAbortHandler too: the connection is fine
			p.traffic.panics.Add(1)
			p.log.Error("peers: a cache panicked", "cache", name, "panic", v, "stack", string(debug.Stack()))
			code, message = wire.Failed, fmt.Sprintf("panic: %v", v)
		}
	}()
	err := p.respond(ctx, from, a.r, q, deliver)
	if err == nil && q.Verb == wire.List && q.List.Cursor == cache.Pulled {
		p.handover.pulled(from, name)
	}
	return codeOf(ctx, err)
}

func cacheOf(q *wire.Request) string {
	switch q.Verb {
	case wire.Get:
		return q.Get.Cache
	case wire.Fence:
		return q.Fence.Cache
	case wire.Release:
		return q.Release.Cache
	case wire.Hello:
		return q.Hello.Cache
	case wire.List:
		return q.List.Cache
	}
	return q.Store.Cache
}

func (p *Pool) respond(ctx context.Context, from string, r cache.Responder, q *wire.Request, deliver func(int, cache.Answer)) error {
	switch q.Verb {
	case wire.Get:
		return r.Get(ctx, q.Get, deliver)
	case wire.Hello:
		return p.tellHello(ctx, from, r, q, deliver)
	case wire.List:
		l, err := r.List(ctx, q.List)
		if err != nil {
			return err
		}
		b, err := wire.AppendList(nil, l)
		if err == nil {
			deliver(0, cache.Answer{Value: b})
		}
		return err
	case wire.Fence:
		err := r.Fence(ctx, q.Fence)
		if err == nil && q.Views {
			deliver(0, cache.Answer{Value: wire.AppendKnown(nil, p.known(q.Known))})
		}
		return err
	case wire.Release:
		return r.Release(ctx, q.Release)
	}
	return r.Store(ctx, q.Store)
}

// tellHello answers a hello.
func (p *Pool) tellHello(ctx context.Context, from string, r cache.Responder, q *wire.Request, deliver func(int, cache.Answer)) error {
	h, err := r.Hello(ctx, q.Hello)
	if err != nil {
		return err
	}
	if q.Hello.TookOver {
		p.tookOver(from, r)
	}
	b, err := wire.AppendHello(nil, p.known(0), h)
	if err == nil {
		deliver(0, cache.Answer{Value: b})
	}
	return err
}

// codeOf returns the code for what a Responder returned.
func codeOf(ctx context.Context, err error) (wire.Code, string) {
	switch {
	case err == nil:
		return wire.OK, ""
	case errors.Is(err, cache.ErrUnknownCache):
		return wire.UnknownCache, ""
	case errors.Is(err, cache.ErrVersionMismatch):
		return wire.VersionMismatch, err.Error()
	case (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) && ctx.Err() != nil:
		return wire.Timeout, err.Error()
	}
	return wire.Failed, err.Error()
}
