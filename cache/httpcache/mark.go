package httpcache

import (
	"net/http"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache/internal/rules"
)

// mark returns the entry that stands for a response that must not be shared: only the one who asked gets it, from a flow that nobody
// else can name. Whoever waits, and who comes for a while, asks the origin himself.
func (x *exchange) mark(why string) (cache.Entry[*object], error) {
	x.h.count.marks.Add(1)
	if x.ask.behind {
		x.discard()
		return x.h.markOf(x, why, nil), nil
	}
	f, live := x.newFlow()
	header := endToEnd(x.resp.Header)
	if x.resp.Request.Method != http.MethodHead {
		delete(header, "Content-Length") // live.size has it
	}
	f.head = &object{kind: kindResponse, status: x.resp.StatusCode, header: header, body: live}
	f.window()
	x.h.flows.add(f)
	// It may go on for as long as its client likes, as what is passed: it holds no turn, and may be silent.
	x.back()
	x.timer.Stop()
	x.alone = true
	go x.pump(f)
	go x.awaitReaders(f, f.over)
	return x.h.markOf(x, why, f), nil
}

// markOf returns the entry of a mark. With a flow, that has the response for the one who asked.
func (h *Handler) markOf(x *exchange, why string, f *flow) cache.Entry[*object] {
	o := &object{kind: kindMark, why: why, asker: x.ask.ID(), arrived: time.Now()}
	if f != nil {
		o.claim, o.at = f.id, h.self
	}
	ttl := markTTL
	switch {
	case credentialed(x.ask.Header()), why == whyHead, why == rules.WhyPartial:
		ttl = -1 // it says nothing of what others get
	case x.resp.StatusCode >= 500:
		ttl = markTTLFailed
		o.beneath = x.stored
	}
	return cache.Entry[*object]{Value: o, TTL: ttl}
}

// credentialed reports whether a request says who its sender is: what it is answered may be for him alone.
func credentialed(h http.Header) bool { return len(h["Authorization"]) > 0 || len(h["Cookie"]) > 0 }

// awaitReaders keeps a flow of which nothing is stored until those who may read it have done so, or do not come, or leave; or until it is over. Then the
// origin is not listened to any more.
func (x *exchange) awaitReaders(f *flow, over <-chan struct{}) {
	defer x.h.flows.remove(f.id)
	defer x.cancel(errNoReaders)
	tick := time.NewTicker(readerPatience)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-x.h.closing.Done():
			return
		case <-tick.C:
			if !f.hasReader() {
				return
			}
		}
	}
}
