package clients

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// certificate returns a certificate that is its own authority, and its key, in PEM.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "webcache"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return text("CERTIFICATE", der), text("PRIVATE KEY", keyDER)
}

// Over TLS, with HTTP/1.1 and 2 taking turns.
func TestCurlTLS(t *testing.T) {
	large := strings.Repeat(digits, 200_000)
	o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/trailer":
			w.Header().Set("Trailer", "X-Sum")
			io.WriteString(w, digits)
			_ = http.NewResponseController(w).Flush()
			w.Header().Set("X-Sum", "45")
		default:
			page(w, large)
		}
	})
	certText, keyText := certificate(t)
	cert := write(t, "cert", certText)
	f := startFleetAs(t, "https", o, "-tls-cert", cert, "-tls-key", write(t, "key", keyText), "-peer-cert", cert, "-peer-key", write(t, "key", keyText), "-peer-ca", cert)
	fill(t, "--cacert", cert, f.all[0].URL+"/large")
	for _, w := range f.all {
		for proto, flag := range map[string]string{"1.1": "--http1.1", "2": "--http2"} {
			args := []string{"--cacert", cert, flag}
			a := curl(t, append(args, w.URL+"/large")...)
			if a.proto != proto || a.status != 200 || a.body != large {
				t.Errorf("HTTP/%s, want %s: %d with %d bytes", a.proto, proto, a.status, len(a.body))
			}
			a.wantFrom(t, 200, "hit")
			curl(t, append(args, "--head", w.URL+"/large")...).wantFrom(t, 200, "hit")
			curl(t, append(args, "-H", `If-None-Match: "v1"`, w.URL+"/large")...).wantFrom(t, 304, "hit")
			if a := curl(t, append(args, "-r", "300000-300003", w.URL+"/large")...); a.status != 206 || a.body != "0123" {
				t.Errorf("HTTP/%s: a range is %d %q", proto, a.status, a.body)
			}
			if a := curl(t, append(args, w.URL+"/trailer")...); a.body != digits || a.trailer.Get("X-Sum") != "45" {
				t.Errorf("HTTP/%s: %q with the trailer %v, %v", proto, a.body, a.trailer, a.header)
			}
		}
	}
	o.wantRequests(t, "GET /large", 1)
}
