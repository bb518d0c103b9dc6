// Package httpcache is a shared HTTP cache in front of an origin: an http.Handler on top of a cache.Cache, so that with
// Config.Peers all instances of a service are one web cache. A URL has one owner, which alone asks the
// origin for it, once, however many clients of however many instances want it.
//
//	h, err := httpcache.New(httpcache.Config{Origin: "http://10.0.0.9:8080", Peers: pool, MaxBytes: 1 << 30})
//
// One request goes through the files of this package in this order:
//
//	handler.go       ask the cache, and answer with what it has
//	request.go       may a stored response answer this request? What is its key?
//	origins.go       which origin is it for?
//	fill.go          a miss, at the owner: ask the origin
//	response.go      may its answer be stored, and for how long?
//	pass.go          everything else goes to the origin and back as it is
//
// # What is stored
//
// The 200 responses to GET with an explicit, positive max-age or s-maxage that is not used up yet, without Vary, Set-Cookie,
// private, no-store, no-cache and must-understand, whose header and body are at most Config.MaxObjectBytes and arrived
// whole. They answer GET and HEAD requests without a body, credentials (Authorization, Cookie),
// conditions (If-*), Range, Upgrade, and a Cache-Control that asks for something fresher. What is ambiguous, such
// as a directive that comes twice, is not stored. A stored response is served until its time
// is over, never stale.
//
// A HEAD that misses is filled by a GET: so it finds what the owner has, and leaves it there for the next one.
//
// The key is the origin's scheme and host, and the path and query exactly as the origin is sent them. The
// Host that the client named chooses among Config.Origins, and is not a part of it, nor does the origin see it as its Host: all
// instances, under whatever names clients know them, share what they hold. With Config.PreserveHost it is both.
//
// # Invalidation
//
// A request with any other method than GET, HEAD, OPTIONS and TRACE that the origin answers with a status of 2xx or 3xx
// invalidates its URL (RFC 9111, 4.4): before the client gets the header of that response, the URL is removed at every
// instance. Instances that do not answer within 2 s are logged, and the response passes: they serve what
// they have until its time is over.
//
// # What it does not do
//
// The issue "web cache" completes these:
//   - Location and Content-Location of the response to an unsafe method do not invalidate the URLs that they name.
//   - only-if-cached in a request is ignored: a miss asks the origin.
//   - The 501 to CONNECT has no Cache-Status.
//
// # What the origin sees
//
// A fill is everybody's request, so it carries nothing of the client that happened to be first: Accept: */*,
// Accept-Encoding: identity, the cache's own User-Agent and Via, and no other field. What passes through has
// all of the client's end-to-end fields, the client's address appended to X-Forwarded-For, and
// X-Forwarded-Host, X-Forwarded-Proto and Via.
//
// If the answer to a fill must not be shared, nobody gets it. In its stead the cache keeps a mark, on
// which everybody who waits, on any instance, asks the origin for himself; so does who comes in the next 10 s
// (1 s after a status of 500 or more). So a URL that cannot be cached costs the origin one request in 10 s that is
// nobody's own, and its first requests a second round trip. If there is no answer at all, everybody
// who waits gets 502, or 504 after a time-out, and nothing is kept. A fill that has begun is not ended by those
// who leave, be they clients or instances.
//
// # Age
//
// Age is RFC 9111's section 4.2.3: at the owner, the larger of the time since the Date of the response and of its
// Age plus the time that it took to arrive; and from then on by the owner's monotonic clock. An instance that
// gets the response from the owner is told how much of its lifetime is left, which says how old it is, and goes on by its own
// monotonic clock. So only the owner's clock is compared with the origin's, and no instance's with
// another one's. Age is never negative, and never more than the lifetime.
//
// # Cache-Status
//
// Every response but the 501 to CONNECT has a member of RFC 9211's Cache-Status list, after those that the origin's side sent:
//
//	fleetcache; hit; ttl=3540; instance="a"                              from a's own memory
//	fleetcache; hit; ttl=3540; instance="a"; peer="http://b:80/"         from b's memory
//	fleetcache; fwd=uri-miss; fwd-status=200; stored; instance="a"       the origin was asked, by a
//	fleetcache; fwd=uri-miss; fwd-status=200; stored; instance="a"; peer="http://b:80/"    ... by b
//	fleetcache; fwd=uri-miss; fwd-status=200; detail=private; instance="a"    passed: must not be shared
//	fleetcache; fwd=bypass; fwd-status=206; detail=range; instance="a"        passed: the request asks for more
//	fleetcache; fwd=method; fwd-status=201; instance="a"                      passed: neither GET nor HEAD
//
// The parameters instance and peer are our own: instance is the Config.Instance that answered, and peer
// the address of the one that it had the response from.
package httpcache
