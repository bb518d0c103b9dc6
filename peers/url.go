package peers

import "github.com/seed-0f2aaebe/fleetcache/peers/internal/address"

// DefaultPath is where a Pool is mounted, unless its URL has a path of its own: it
// is appended to a URL whose path is empty or "/".
const DefaultPath = address.DefaultPath

// normalize returns the one spelling of a member's URL: lower-case scheme and host, no default
// port, a path.
func normalize(raw string) (string, error) { return address.Normalize(raw) }

// shown returns a URL as it may stand in an error: without a user and a password.
func shown(raw string) string { return address.Shown(raw) }
