package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/internal/processtest"
	"github.com/seed-0f2aaebe/fleetcache/peers"
)

// newClient returns a client for many requests at a time.
func newClient(t *testing.T) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// get gets a URL, with header fields in pairs.
func get(ctx context.Context, c *http.Client, url string, fields ...string) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return &answer{status: resp.StatusCode, header: resp.Header, body: string(b)}, err
}

// purge purges at an instance. It is an error if not all instances have acknowledged it.
func (f *fleet) purge(ctx context.Context, c *http.Client, at *processtest.Webcache, body map[string]any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, "POST", at.Admin+"/purge", strings.NewReader(string(text)))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+f.token)
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var a struct{ Acknowledged []string }
	if err := json.Unmarshal(answer, &a); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("purge of %s: %d %s, %w", text, resp.StatusCode, answer, err)
	}
	var want []string
	for _, w := range f.all {
		want = append(want, w.URL+peers.DefaultPath)
	}
	slices.Sort(want)
	if slices.Sort(a.Acknowledged); !slices.Equal(a.Acknowledged, want) {
		return fmt.Errorf("purge of %s: acknowledged by %v, want %v", text, a.Acknowledged, want)
	}
	return nil
}

// requestsSoFar returns how many requests have come to the instances.
func (f *fleet) requestsSoFar(t *testing.T) (n int) {
	t.Helper()
	for _, w := range f.all {
		_, body, _ := processtest.Fetch(t, w.Admin+"/stats")
		var s struct{ HTTP struct{ Requests int } }
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			t.Fatal(err)
		}
		n += s.HTTP.Requests
	}
	return n
}
