package app

import (
	"errors"
	"flag"
	"fmt"
	"strings"
)

// tlsFiles are the flags about certificates.
type tlsFiles struct {
	cert, key, clientCA                 string
	peerCert, peerKey, peerCA, peerName string
	originCA                            string
}

func (t *tlsFiles) define(fs *flag.FlagSet) {
	fs.StringVar(&t.cert, "tls-cert", "", "`file` with the certificate chain, in PEM, that -listen shows: then it speaks TLS. It is read again when it changes")
	fs.StringVar(&t.key, "tls-key", "", "`file` with its private key")
	fs.StringVar(&t.clientCA, "tls-client-ca", "", "`file` with the authorities that clients need a certificate of (default none: anybody may be a client)")
	fs.StringVar(&t.peerCert, "peer-cert", "", "`file` with the certificate chain that this instance shows the others, for a fleet without a secret; for clients and for servers. It is read again when it changes")
	fs.StringVar(&t.peerKey, "peer-key", "", "`file` with its private key")
	fs.StringVar(&t.peerCA, "peer-ca", "", "`file` with the authorities that instances have their certificates of, and nobody else does")
	fs.StringVar(&t.peerName, "peer-name", "", "`name` that the certificates of all instances have (default the host of each one's URL)")
	fs.StringVar(&t.originCA, "origin-ca", "", "`file` with authorities that https origins may have their certificates of, besides the system's")
}

// peerFlags are those that an instance without others does not need.
var peerFlags = []string{"peer-cert", "peer-key", "peer-ca", "peer-name"}

// check looks at what goes with what.
func (t *tlsFiles) check(given map[string]bool, origins map[string]string) error {
	for _, need := range []struct{ name, with, what string }{
		{"tls-key", "tls-cert", "give the file with its key"}, {"tls-cert", "tls-key", "give the file with the certificate"},
		{"tls-cert", "tls-client-ca", "clients show certificates over TLS alone"}, {"tls-cert", "peer-cert", "instances and clients come to the same address"},
		{"peer-key", "peer-cert", "give the file with its key"}, {"peer-cert", "peer-key", "give the file with the certificate"},
		{"peer-ca", "peer-cert", "give the file with the authorities of the others"}, {"peer-ca", "peer-name", "it is for their certificates"},
	} {
		if given[need.with] && !given[need.name] {
			return fmt.Errorf("-%s is missing: with -%s, %s", need.name, need.with, need.what)
		}
	}
	for name, file := range map[string]string{
		"tls-cert": t.cert, "tls-key": t.key, "tls-client-ca": t.clientCA, "peer-cert": t.peerCert, "peer-key": t.peerKey, "peer-ca": t.peerCA, "peer-name": t.peerName, "origin-ca": t.originCA,
	} {
		if given[name] && file == "" {
			return fmt.Errorf("-%s is empty: give it a value, or leave it out", name)
		}
	}
	if t.originCA == "" {
		return nil
	}
	for _, u := range origins {
		if strings.HasPrefix(strings.ToLower(u), "https:") {
			return nil
		}
	}
	return errors.New("-origin-ca is given, and no -origin begins with https: leave it out, or use https")
}

// checkPeers looks at the certificates of an instance that has others.
func (t *tlsFiles) checkPeers(self string) error {
	overTLS := strings.HasPrefix(strings.ToLower(self), "https:")
	switch {
	case t.cert != "" && !overTLS:
		return fmt.Errorf("-self: %q does not begin with https: with -tls-cert, the others reach this instance over TLS, too", self)
	case t.peerCA != "" && !overTLS:
		return fmt.Errorf("-self: %q does not begin with https: with -peer-ca, instances reach each other over TLS", self)
	}
	return nil
}
