package wire

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The credentials of docs/wire.md, made as that describes it, by nothing but the standard library. Package peers makes the
// same from testdata/handshake.txt.

const (
	sampleSecret   = "an example of a shared secret..."
	sampleTo       = "http://10.0.0.2:8080/_fleetcache/"
	sampleFrom     = "http://10.0.0.1:8080/_fleetcache/"
	sampleFeatures = "3"
)

// counted is n bytes, which count up from first.
func counted(first, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(first + i)
	}
	return b
}

func text(s string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(len(s))), s...)
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// code is the HMAC of fields.
func code(fields ...[]byte) []byte {
	h := hmac.New(sha256.New, []byte(sampleSecret))
	h.Write(bytes.Join(fields, nil))
	return h.Sum(nil)
}

// sign returns the code of a request for body that has the number n, and its header Fleetcache-Auth.
func sign(n uint64, body []byte) (mac []byte, header string) {
	digest := sha256.Sum256(body)
	challenge := string(counted(0, 40))
	mac = code(text("fleetcache/1 request"), text(sampleTo), text(sampleFrom), text(string(counted(0xa0, 16))),
		text(challenge), number(n), text(string(digest[:])))
	raw := bytes.Join([][]byte{[]byte(challenge), number(n), digest[:], mac}, nil)
	return mac, base64.RawURLEncoding.EncodeToString(raw)
}

func samplePost(t testing.TB) []byte {
	return appendFrame(AppendPreface(nil, false), TypeRequest, 0, encoded(t, samples()["get"]))
}

// sampleSigner signs the frames of the reply to samplePost.
func sampleSigner(seq uint64, typ Type, payload []byte) []byte {
	b, err := AppendRequest(nil, samples()["get"])
	if err != nil {
		panic(err)
	}
	mac, _ := sign(2, appendFrame(AppendPreface(nil, false), TypeRequest, 0, b))
	return code(text("fleetcache/1 reply"), text(string(mac)), number(seq), number(uint64(typ)), text(string(payload)))
}

// handshake is what travels in headers.
func handshake() map[string]string {
	upgrade := "upgrade to fleetcache/1 with features " + sampleFeatures
	mac, auth := sign(1, []byte(upgrade))
	proof := code(text("fleetcache/1 accept"), text(string(mac)), text(sampleFeatures))
	fresh := counted(0x40, 40)
	refusal := code(text("fleetcache/1 refusal"), text(string(mac)), text("expired"), text(string(fresh)))
	body, err := AppendRequest(nil, samples()["get"])
	if err != nil {
		panic(err)
	}
	_, post := sign(2, appendFrame(AppendPreface(nil, false), TypeRequest, 0, body))
	return map[string]string{
		"secret":           sampleSecret,
		"to":               sampleTo,
		"from":             sampleFrom,
		"instance":         hex.EncodeToString(counted(0xa0, 16)),
		"challenge":        base64.RawURLEncoding.EncodeToString(counted(0, 40)) + " 60",
		"upgrade":          upgrade,
		"upgrade hmac":     hex.EncodeToString(mac),
		"upgrade auth":     auth,
		"upgrade proof":    base64.RawURLEncoding.EncodeToString(proof),
		"refused":          "expired",
		"refused new":      base64.RawURLEncoding.EncodeToString(fresh) + " 60",
		"refused proof":    base64.RawURLEncoding.EncodeToString(refusal),
		"post auth":        post,
		"upgrade features": sampleFeatures,
	}
}

func TestGoldenHandshake(t *testing.T) {
	var b strings.Builder
	h := handshake()
	for _, name := range slices.Sorted(maps.Keys(h)) {
		fmt.Fprintf(&b, "%s: %s\n", name, h[name])
	}
	file := filepath.Join("testdata", "handshake.txt")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || b.String() != string(want) {
		t.Errorf("the credentials changed, %v; instances of two versions would refuse each other\n got %s\nwant %s", err, b.String(), want)
	}
}
