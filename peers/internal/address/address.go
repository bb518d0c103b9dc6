// Package address has the one spelling of a member's URL. Whoever names members writes it so: package peers, and the Sources
// that find them.
package address

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// DefaultPath is peers.DefaultPath.
const DefaultPath = "/_fleetcache/"

// MaxURL is the length of the longest URL of a member, in bytes.
const MaxURL = 2048

// MaxWeight is ring.MaxWeight, for packages that are to do without ring's dependencies.
const MaxWeight = 1000

// Normalize returns the one spelling of a member's URL: lower-case scheme and host, no default
// port, a path.
func Normalize(raw string) (string, error) {
	if raw == "" {
		return "", errors.New("the URL is empty: use one such as http://10.0.0.1:8080")
	}
	if len(raw) > MaxURL {
		return "", fmt.Errorf("the URL has %d bytes: use at most %d", len(raw), MaxURL)
	}
	u, err := url.Parse(raw)
	if err != nil {
		if ue := (*url.Error)(nil); errors.As(err, &ue) {
			err = ue.Err // without the URL, which may hold a password
		}
		return "", fmt.Errorf("the URL does not parse: %w; use one such as http://10.0.0.1:8080", err)
	}
	switch {
	case u.User != nil:
		return "", errors.New("the URL has a user or a password: leave it out, credentials are Config.Secret or TLS certificates")
	case u.Scheme != "http" && u.Scheme != "https":
		return "", fmt.Errorf("the URL %q does not begin with http:// or https://", Shown(raw))
	case u.Hostname() == "":
		return "", fmt.Errorf("the URL %q has no host: use one such as http://10.0.0.1:8080", Shown(raw))
	case u.RawQuery != "" || u.ForceQuery:
		return "", fmt.Errorf("the URL %q has a query: leave it out", Shown(raw))
	case strings.Contains(raw, "#"):
		return "", fmt.Errorf("the URL %q has a fragment: leave it out", Shown(raw))
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if port == "" && strings.HasSuffix(u.Host, ":") || u.Scheme == "http" && port == "80" || u.Scheme == "https" && port == "443" {
		port = ""
	}
	switch {
	case port != "":
		u.Host = net.JoinHostPort(host, port)
	case strings.Contains(host, ":"):
		u.Host = "[" + host + "]"
	default:
		u.Host = host
	}
	if u.Path == "" || u.Path == "/" {
		u.Path, u.RawPath = DefaultPath, ""
	}
	return u.String(), nil
}

// Shown returns a URL as it may stand in an error: without a user and a password.
func Shown(raw string) string {
	if at := strings.LastIndexByte(raw, '@'); at >= 0 {
		return "..." + raw[at:]
	}
	return raw
}
