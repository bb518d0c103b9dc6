package httpcache

import (
	"net/http"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache/internal/rules"
)

// freshened returns the entry of what is stored, as the response to its validation has updated it (RFC 9111, 4.3.4, 4.3.5). If it must not be shared
// any more, the origin is asked once more, by the one who asked alone.
func (x *exchange) freshened() (cache.Entry[*object], error) {
	header := rules.Freshen(x.stored.header, x.resp.Header)
	e := rules.Exchange{Method: http.MethodGet, RequestHeader: x.ask.Header(), Status: x.stored.status, Header: header, Sent: x.sent, Arrived: x.arrived}
	p, why := rules.Judge(&e, &x.h.rules)
	if why != "" {
		return x.again()
	}
	x.discard()
	o := x.object(&e, &p)
	o.body, o.variant, o.validated = x.stored.body, x.stored.variant, x.resp.StatusCode == http.StatusNotModified
	return again(o), nil
}
