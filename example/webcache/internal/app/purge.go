package app

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache"
)

// A purger is what purges: a httpcache.Handler.
type purger interface {
	Purge(ctx context.Context, url string, soft bool) (httpcache.Purged, error)
	PurgeKeys(ctx context.Context, keys []string, soft bool) (httpcache.Purged, error)
	PurgeAll(ctx context.Context, soft bool) (httpcache.Purged, error)
}

var _ purger = (*httpcache.Handler)(nil)

// maxPurge bounds the body of a purge, in bytes.
const maxPurge = 1 << 20

// A purgeRequest says what to purge: one of URL, Keys and All.
type purgeRequest struct {
	URL  *string  `json:"url"`
	Keys []string `json:"keys"`
	All  bool     `json:"all"`
	Soft bool     `json:"soft"` // make it stale, and no more
}

// purgeAnswer says what became of a purge, by the names of instances.
type purgeAnswer struct {
	Acknowledged []string          `json:"acknowledged"`
	Failed       map[string]string `json:"failed"` // and why
}

// purgeHandler serves POST /purge for those who have the token; without one, for nobody. name is this instance's, which has no address if it
// is alone. The status is 200 if all instances have acknowledged, 207 if some have not, and 502 if none has.
func purgeHandler(p purger, token []byte, name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case len(token) == 0:
			http.Error(w, "nobody may purge: start the instance with -admin-token-file", http.StatusForbidden)
			return
		case !hasToken(r, token):
			w.Header().Set("WWW-Authenticate", `Bearer realm="webcache"`)
			http.Error(w, "a purge needs the token of -admin-token-file: Authorization: Bearer ...", http.StatusUnauthorized)
			return
		}
		req, err := readPurge(http.MaxBytesReader(w, r.Body, maxPurge))
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			http.Error(w, fmt.Sprintf("the body is longer than %d bytes: purge in parts", maxPurge), http.StatusRequestEntityTooLarge)
			return
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		purged, err := req.do(r.Context(), p)
		switch {
		case errors.Is(err, cache.ErrClosed):
			http.Error(w, "shutting down", http.StatusServiceUnavailable)
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadRequest) // it is about what to purge
		default:
			answerPurge(w, purged, name)
		}
	})
}

// hasToken compares the token in a time that tells nothing of it.
func hasToken(r *http.Request, token []byte) bool {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	a, b := sha256.Sum256([]byte(strings.TrimSpace(given))), sha256.Sum256(token)
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

func readPurge(body io.Reader) (*purgeRequest, error) {
	const use = `use one of {"url": "..."}, {"keys": ["..."]} and {"all": true}, perhaps with "soft": true`
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	var req purgeRequest
	if err := d.Decode(&req); err != nil {
		return nil, fmt.Errorf("the body is not the JSON of a purge: %w: %s", err, use)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("the body is more than one JSON object: " + use)
	}
	n := 0
	for _, given := range []bool{req.URL != nil, req.Keys != nil, req.All} {
		if given {
			n++
		}
	}
	if n != 1 {
		return nil, errors.New("the body says " + map[bool]string{true: "nothing", false: "more than one thing"}[n == 0] + " to purge: " + use)
	}
	return &req, nil
}

func (req *purgeRequest) do(ctx context.Context, p purger) (httpcache.Purged, error) {
	switch {
	case req.URL != nil:
		return p.Purge(ctx, *req.URL, req.Soft)
	case req.Keys != nil:
		return p.PurgeKeys(ctx, req.Keys, req.Soft)
	}
	return p.PurgeAll(ctx, req.Soft)
}

func answerPurge(w http.ResponseWriter, p httpcache.Purged, name string) {
	a := purgeAnswer{Acknowledged: []string{}, Failed: make(map[string]string)}
	for _, addr := range p.Acknowledged {
		if addr == "" {
			addr = name
		}
		a.Acknowledged = append(a.Acknowledged, addr)
	}
	for addr, why := range p.Failed {
		a.Failed[addr] = why
	}
	status := http.StatusOK
	switch {
	case len(a.Failed) > 0 && len(a.Acknowledged) > 0:
		status = http.StatusMultiStatus
	case len(a.Failed) > 0:
		status = http.StatusBadGateway
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(a)
}
