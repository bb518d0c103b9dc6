package peers

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// DefaultPath is where a Pool is mounted, unless its URL has a path of its own: it
// is appended to a URL whose path is empty or "/".
const DefaultPath = "/_fleetcache/"

// maxURL is the length of the longest URL of a member, in bytes.
const maxURL = 2048

// normalize returns the one spelling of a member's URL: lower-case scheme and host, no default
// port, a path.
func normalize(raw string) (string, error) {
	if raw == "" {
		return "", errors.New("the URL is empty: use one such as http://10.0.0.1:8080")
	}
	if len(raw) > maxURL {
		return "", fmt.Errorf("the URL has %d bytes: use at most %d", len(raw), maxURL)
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
		return "", fmt.Errorf("the URL %q does not begin with http:// or https://", shown(raw))
	case u.Hostname() == "":
		return "", fmt.Errorf("the URL %q has no host: use one such as http://10.0.0.1:8080", shown(raw))
	case u.RawQuery != "" || u.ForceQuery:
		return "", fmt.Errorf("the URL %q has a query: leave it out", shown(raw))
	case strings.Contains(raw, "#"):
		return "", fmt.Errorf("the URL %q has a fragment: leave it out", shown(raw))
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

// shown returns a URL as it may stand in an error: without a user and a password.
func shown(raw string) string {
	if at := strings.LastIndexByte(raw, '@'); at >= 0 {
		return "..." + raw[at:]
	}
	return raw
}
