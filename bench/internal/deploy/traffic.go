package deploy

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	keyCount = 20_000
	zipf     = 1.01 // the nth key is asked for 1/n^zipf times as often as the first

	// tick is how often those are sent on that have come.
	tick = 20 * time.Millisecond
)

// A traffic is the callers, who come to instances at random, and the balancer before these.
type traffic struct {
	client http.Client
	rate   int          // callers that come in a second
	lost   atomic.Int64 // could not be sent on

	// mu guards urls.
	mu   sync.Mutex
	urls []string // where callers are sent; never changed in place
}

func newTraffic(rate int) *traffic {
	return &traffic{rate: rate, client: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: getTimeout}}
}

// add has callers come to an instance.
func (t *traffic) add(url string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.urls = append(slices.Clone(t.urls), url)
}

// remove has no more callers come to an instance.
func (t *traffic) remove(url string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.urls = slices.DeleteFunc(slices.Clone(t.urls), func(u string) bool { return u == url })
}

// run has callers come until ctx ends.
func (t *traffic) run(ctx context.Context) {
	keys := rand.NewZipf(rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), zipf, 1, keyCount-1)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var sending sync.WaitGroup
	defer t.client.CloseIdleConnections()
	defer sending.Wait()
	begun, came := time.Now(), 0
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		t.mu.Lock()
		urls := t.urls
		t.mu.Unlock()
		if len(urls) == 0 {
			continue
		}
		bodies := make([][]byte, len(urls))
		due := int(time.Since(begun).Seconds() * float64(t.rate))
		came = max(came, due-t.rate/10) // who would have come while this process had no core stays away, rather than come all at once
		for ; came < due; came++ {
			i := rand.IntN(len(urls))
			bodies[i] = binary.LittleEndian.AppendUint32(bodies[i], uint32(keys.Uint64()))
		}
		for i, body := range bodies {
			sending.Go(func() {
				if err := t.send(urls[i], body); err != nil {
					t.lost.Add(int64(len(body) / 4))
				}
			})
		}
	}
}

// send sends callers to an instance. It does not wait until they have what they want.
func (t *traffic) send(url string, body []byte) error {
	resp, err := t.client.Post(url+callersPath, "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("callers: %s", resp.Status)
	}
	return nil
}

// serves reports whether callers come to some instance.
func (t *traffic) serves() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.urls) > 0
}
