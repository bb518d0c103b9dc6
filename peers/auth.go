package peers

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// How a request is authenticated with the Secret, in the manner of HTTP's Digest scheme.
//
// A server gives out challenges to anybody: in the refusal of a request without one, and in its
// replies. A client signs each request for one server, one challenge of that server's, and one
// number that it never uses again:
//
//	Fleetcache-To:       URL of the server, as the client reaches it
//	Fleetcache-From:     URL of the client
//	Fleetcache-Instance: 16 random bytes of the client's process
//	Fleetcache-Auth:     challenge, number, SHA-256 of the body, HMAC of all these
//
// The server takes each number once for each challenge, and each challenge for challengeLife by its own
// clock; it forgets all of them when it ends, since they are signed with a key
// that it made when it started. So a recorded request is refused by the same server, by
// any other, and by a later process at the same address, and no clock is compared with another
// machine's. The headers are checked before a byte of the body is read.
//
// A request for an upgrade is signed in the same way, see upgrade.go; what follows on the connection is not. Each frame of the reply to a POST is signed together with the request's HMAC and the frame's number in the reply,
// and so is a refusal. The client takes nothing else.
const (
	headerTo        = "Fleetcache-To"
	headerFrom      = "Fleetcache-From"
	headerInstance  = "Fleetcache-Instance"
	headerAuth      = "Fleetcache-Auth"
	headerChallenge = "Fleetcache-Challenge" // of a reply: a challenge, and how many seconds it lives
	headerRefusal   = "Fleetcache-Refusal"   // of a 401: a refusal
	headerProof     = "Fleetcache-Proof"     // of a 401: HMAC of the refusal; of a 101: see upgrade.go
)

// A refusal is why a server does not take a request's credential.
type refusal string

const (
	refusedUnsigned    refusal = "unsigned"    // it is not signed
	refusedStale       refusal = "stale"       // the challenge is not of this process
	refusedExpired     refusal = "expired"     // the challenge is too old
	refusedReplay      refusal = "replay"      // the number was used
	refusedSecret      refusal = "secret"      // signed with another Secret
	refusedCertificate refusal = "certificate" // no TLS certificate, or not one that is authorized
)

const macSize = sha256.Size

type mac [macSize]byte

// A signer makes HMAC-SHA256 codes with one key. A nil *signer stands for no Secret.
type signer struct{ signings sync.Pool }

func newSigner(key []byte) *signer {
	key = append([]byte(nil), key...) // the caller may wipe its own
	s := &signer{}
	s.signings.New = func() any { return &signing{s: s, h: hmac.New(sha256.New, key)} }
	return s
}

// A signing is a code being made, of fields that each have their length before them, so that no two
// lists of fields are signed alike. The first says what is signed.
type signing struct {
	s *signer
	h hash.Hash
	b []byte // what is not in h yet
}

func (s *signer) begin(domain string) *signing {
	g := s.signings.Get().(*signing)
	g.h.Reset()
	g.b = g.b[:0]
	g.text(domain)
	return g
}

func (g *signing) number(n uint64) { g.b = binary.BigEndian.AppendUint64(g.b, n) }

func (g *signing) text(s string) {
	g.number(uint64(len(s)))
	g.b = append(g.b, s...)
}

// field adds a field, whose bytes come in two parts.
func (g *signing) field(head, tail []byte) {
	g.number(uint64(len(head) + len(tail)))
	g.b = append(g.b, head...)
	if len(tail) <= 1<<10 {
		g.b = append(g.b, tail...)
		return
	}
	g.h.Write(g.b)
	g.b = g.b[:0]
	g.h.Write(tail)
}

func (g *signing) sum() (m mac) {
	g.h.Write(g.b)
	g.b = g.h.Sum(g.b[:0])
	copy(m[:], g.b)
	g.s.signings.Put(g)
	return m
}

// A credential is what a signed request says of itself.
type credential struct {
	to, from  string
	instance  instanceID
	challenge challenge
	number    uint64
	body      [sha256.Size]byte
}

func (s *signer) request(c *credential) mac {
	g := s.begin("fleetcache/1 request")
	g.text(c.to)
	g.text(c.from)
	g.field(c.instance[:], nil)
	g.field(c.challenge[:], nil)
	g.number(c.number)
	g.field(c.body[:], nil)
	return g.sum()
}

// frame signs the frame number seq of the reply to the request that was signed with req. The payload
// is head and tail.
func (s *signer) frame(req *mac, seq uint64, typ byte, head, tail []byte) mac {
	g := s.begin("fleetcache/1 reply")
	g.field(req[:], nil)
	g.number(seq)
	g.number(uint64(typ))
	g.field(head, tail)
	return g.sum()
}

func (s *signer) refusal(req *mac, why refusal, c *challenge) mac {
	g := s.begin("fleetcache/1 refusal")
	g.field(req[:], nil)
	g.text(string(why))
	g.field(c[:], nil)
	return g.sum()
}

// authSize is the length of the value of headerAuth before base64.
const authSize = challengeSize + 8 + sha256.Size + macSize

var base64url = base64.RawURLEncoding

func (c *credential) header(m mac) string {
	b := make([]byte, 0, authSize)
	b = append(b, c.challenge[:]...)
	b = binary.BigEndian.AppendUint64(b, c.number)
	b = append(b, c.body[:]...)
	b = append(b, m[:]...)
	return base64url.EncodeToString(b)
}

// parseAuth reads what header wrote, and fills c.
func (c *credential) parseAuth(value string) (m mac, ok bool) {
	var b [authSize]byte
	if !decodeExactly(b[:], value) {
		return m, false
	}
	copy(c.challenge[:], b[:])
	c.number = binary.BigEndian.Uint64(b[challengeSize:])
	copy(c.body[:], b[challengeSize+8:])
	copy(m[:], b[challengeSize+8+sha256.Size:])
	return m, true
}

// decodeExactly decodes base64 of exactly len(dst) bytes.
func decodeExactly(dst []byte, value string) bool {
	if len(value) != base64url.EncodedLen(len(dst)) {
		return false
	}
	n, err := base64url.Strict().Decode(dst, []byte(value))
	return err == nil && n == len(dst)
}

// A grant is a challenge that a client may use. It is immutable.
type grant struct {
	challenge challenge
	until     time.Time // by the client's clock, well before it runs out at the server
}

func setChallenge(h http.Header, c challenge) {
	h.Set(headerChallenge, base64url.EncodeToString(c[:])+" "+strconv.Itoa(int(challengeLife/time.Second)))
}

// parseGrant reads what setChallenge wrote and came just now. It is nil if there is nothing usable.
func parseGrant(h http.Header) *grant {
	value := h.Get(headerChallenge)
	n := base64url.EncodedLen(challengeSize)
	if len(value) < n+2 || value[n] != ' ' {
		return nil
	}
	secs, err := strconv.ParseUint(value[n+1:], 10, 32)
	g := &grant{until: time.Now().Add(time.Duration(secs) * time.Second * 3 / 4)}
	if err != nil || !decodeExactly(g.challenge[:], value[:n]) {
		return nil
	}
	return g
}
