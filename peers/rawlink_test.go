package peers

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// A rawLink is the client's end of an upgraded connection, frame by frame: it keeps no rule unless a test does.
type rawLink struct {
	t  testing.TB
	nc net.Conn
	in *wire.Reader
}

// A knocking is a request to upgrade a connection, as it is sent.
type knocking struct {
	cred     credential
	secret   []byte
	features string
	header   http.Header // in place of that of cred, if it is not nil
}

// knockingAt returns what a client with the test's Secret sends to n.
func knockingAt(n *node) *knocking {
	k := &knocking{secret: testSecret, features: formatFeatures(wire.AllFeatures)}
	k.cred = credential{to: n.Self(), from: "http://raw/", instance: newInstanceID(), number: 1}
	return k
}

// sign makes the header, with a challenge of n's.
func (k *knocking) sign(t testing.TB, n *node) mac {
	t.Helper()
	k.cred.challenge = n.challenger.issue(n.now())
	k.cred.body = sha256.Sum256(upgradeText(k.features))
	m := newSigner(k.secret).request(&k.cred)
	k.header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {upgradeToken}, headerFeatures: {k.features},
		headerTo: {k.cred.to}, headerFrom: {k.cred.from}, headerInstance: {hexID(k.cred.instance)},
		headerAuth: {k.cred.header(m)},
	}
	return m
}

// send sends the request on a new connection to n, and returns what came back.
func (k *knocking) send(t testing.TB, n *node) (*http.Response, net.Conn, *bufio.Reader) {
	t.Helper()
	nc, err := net.Dial("tcp", n.srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	req, err := http.NewRequest(http.MethodGet, n.Self(), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = k.header
	nc.SetDeadline(time.Now().Add(patience))
	br := bufio.NewReader(nc)
	if err := req.Write(nc); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(br, req)
	if err != nil {
		t.Fatal(err)
	}
	return resp, nc, br
}

// dialRaw makes an upgraded connection to n.
func dialRaw(t testing.TB, n *node) *rawLink {
	t.Helper()
	k := knockingAt(n)
	k.sign(t, n)
	resp, nc, br := k.send(t, n)
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the connection is not upgraded: HTTP %d, %v", resp.StatusCode, resp.Header)
	}
	until(t, "the session", func() bool { return sessionOf(n, nc) != nil })
	return &rawLink{t, nc, wire.NewReader(br)}
}

// sessionOf returns n's end of a connection, nil if it is not there.
func sessionOf(n *node, nc net.Conn) *session {
	for _, s := range n.allSessions() {
		if s.nc.RemoteAddr().String() == nc.LocalAddr().String() {
			return s
		}
	}
	return nil
}

// rawNode returns an instance that upgrades connections, for a rawLink.
func rawNode(t testing.TB, edit func(*Config)) *node {
	t.Helper()
	n := newNode(t, edit)
	n.upgrades.Store(true)
	return n
}

func hexID(id instanceID) string { return hex.EncodeToString(id[:]) }

func frame(typ wire.Type, call uint64, payload []byte) []byte {
	return append(wire.AppendFrameHead(nil, typ, call, len(payload)), payload...)
}

func request(t testing.TB, q *wire.Request) []byte {
	t.Helper()
	b, err := wire.AppendRequest(nil, q)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// getRequest returns the payload of a get of the cache "c".
func getRequest(t testing.TB, keys ...string) []byte {
	t.Helper()
	return request(t, &wire.Request{Verb: wire.Get, Timeout: cache.Forever, MaxValue: 1 << 30, Get: &cache.GetRequest{Cache: "c", Keys: keys}})
}

func storeRequest(t testing.TB, key string, value []byte) []byte {
	t.Helper()
	return request(t, &wire.Request{Verb: wire.Store, Timeout: cache.Forever, Store: &cache.StoreRequest{Cache: "c", Key: key, Value: value}})
}

func (l *rawLink) write(b ...[]byte) {
	l.t.Helper()
	for _, b := range b {
		if _, err := l.nc.Write(b); err != nil {
			l.t.Fatal(err)
		}
	}
}

// next returns the next frame, whose payload is good until the one after it.
func (l *rawLink) next() wire.Frame {
	l.t.Helper()
	f, err := nextFrame(l.in)
	if err != nil {
		l.t.Fatalf("no frame comes: %v", err)
	}
	return f
}

// ended reports whether the connection ends before another frame comes.
func (l *rawLink) ended() bool {
	_, err := nextFrame(l.in)
	return err != nil && !errors.Is(err, errTestDeadline)
}

var errTestDeadline = errors.New("nothing comes")

func nextFrame(in *wire.Reader) (wire.Frame, error) {
	for {
		f, _, ok, err := in.Next()
		if ok || err != nil {
			return f, err
		}
		if err := in.Fill(); err != nil {
			if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
				err = errTestDeadline
			}
			return f, err
		}
	}
}

// code returns what the end of a reply says, which is the next frame, of that call.
func (l *rawLink) code(call uint64) wire.Code {
	l.t.Helper()
	f := l.next()
	if f.Type != wire.TypeEnd || f.Call != call {
		l.t.Fatalf("got a frame of type %d for call %d, want the end of call %d", f.Type, f.Call, call)
	}
	e, err := wire.DecodeEnd(f.Payload)
	if err != nil {
		l.t.Fatal(err)
	}
	return e.Code
}
