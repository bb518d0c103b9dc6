package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// keys are those of a cluster: its authority, the API server's, an administrator's, and the one that signs the tokens of ServiceAccounts.
type keys struct {
	dir                     string
	ca, adminCert, adminKey []byte // PEM
}

func newKeys(t *testing.T) *keys {
	t.Helper()
	k := &keys{dir: t.TempDir()}
	caKey := newKey(t)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "e2e"}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	issue := func(c *x509.Certificate, key *ecdsa.PrivateKey) []byte {
		t.Helper()
		der, err := x509.CreateCertificate(rand.Reader, c, ca, &key.PublicKey, caKey)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	k.ca = issue(ca, caKey)
	leaf := func(serial int64, subject pkix.Name, usage x509.ExtKeyUsage) (cert, key []byte) {
		private := newKey(t)
		return issue(&x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: subject, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		}, private), encode(t, private)
	}
	k.adminCert, k.adminKey = leaf(2, pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}, x509.ExtKeyUsageClientAuth)
	serverCert, serverKey := leaf(3, pkix.Name{CommonName: "kube-apiserver"}, x509.ExtKeyUsageServerAuth)

	tokens, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"ca.crt": k.ca, "server.crt": serverCert, "server.key": serverKey, "tokens.key": encode(t, tokens)} {
		if err := os.WriteFile(k.file(name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return k
}

func (k *keys) file(name string) string { return filepath.Join(k.dir, name) }

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func encode(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
