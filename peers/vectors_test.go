package peers

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// The example of docs/wire.md, which package wire makes by itself.
func TestCredentialsAreAsDocumented(t *testing.T) {
	text, err := os.ReadFile("internal/wire/testdata/handshake.txt")
	if err != nil {
		t.Fatal(err)
	}
	v := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		v[name] = value
	}
	goldenBytes := func(name string) []byte {
		text, err := os.ReadFile("internal/wire/testdata/" + name + ".golden")
		if err != nil {
			t.Fatal(err)
		}
		b, err := hex.DecodeString(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	s := newSigner([]byte(v["secret"]))
	c := credential{to: v["to"], from: v["from"], number: 1, body: sha256.Sum256(upgradeText(v["upgrade features"]))}
	g := parseGrant(http.Header{headerChallenge: {v["challenge"]}})
	if g == nil || !decodeHex(c.instance[:], v["instance"]) {
		t.Fatalf("%+v", v)
	}
	c.challenge = g.challenge
	m := s.request(&c)
	proof := s.accept(&m, v["upgrade features"])
	fresh := parseGrant(http.Header{headerChallenge: {v["refused new"]}})
	refused := s.refusal(&m, refusal(v["refused"]), &fresh.challenge)
	body := goldenBytes("post_body")
	post := c
	post.number, post.body = 2, sha256.Sum256(body)
	pm := s.request(&post)
	for name, got := range map[string]string{
		"upgrade": string(upgradeText(v["upgrade features"])), "upgrade hmac": hex.EncodeToString(m[:]), "upgrade auth": c.header(m),
		"upgrade proof": base64url.EncodeToString(proof[:]), "refused proof": base64url.EncodeToString(refused[:]), "post auth": post.header(pm),
		"upgrade features": formatFeatures(wire.FeaturePeek | wire.FeatureStats), // all that there was at first
	} {
		if got != v[name] {
			t.Errorf("%s: got %s, want %s", name, got, v[name])
		}
	}
	r := bufio.NewReader(bytes.NewReader(goldenBytes("post_reply_signed")))
	signed, err := wire.ReadPreface(r)
	for seq := range uint64(2) {
		f, signature, ferr := wire.ReadFrame(r, 1<<10, signed)
		if want := s.frame(&pm, seq, byte(f.Type), nil, f.Payload); err != nil || ferr != nil || !bytes.Equal(signature, want[:]) {
			t.Errorf("frame %d: %v, %v, signature %x, want %x", seq, err, ferr, signature, want)
		}
	}
}
