// Package httpcache is a shared HTTP cache in front of an origin, by RFC 9111: an http.Handler on top of a cache.Cache, so that with
// Config.Peers all instances of a service are one web cache. A URL has one owner, which alone asks the
// origin for it, once, however many clients of however many instances want it.
//
//	h, err := httpcache.New(httpcache.Config{Origin: "http://10.0.0.9:8080", Peers: pool, MaxBytes: 1 << 30})
//
// One request goes through the files of this package in this order:
//
//	handler.go     ServeHTTP: is it one for the cache at all?
//	request.go     its key, and what the origin may see of it
//	find.go        look in the cache, along the Vary; is what was found fresh enough, or is it to be validated?
//	serve.go       answer: conditions, ranges, Age, Cache-Status; source.go reads the body, wherever its bytes are
//
//	fill.go        a miss or a validation, at the owner; exchange.go asks the origin
//	store.go       what may be shared: a response, and its body as it comes (flow.go), in chunks (chunk.go)
//	mark.go        what may not: the one who asked gets it, everybody else asks himself
//	pass.go        everything else goes to the origin and back as it is
//
// # What is stored
//
// What RFC 9111, 3 allows a shared cache, of responses to GET (and to POST, with Config.StorePost): with an explicit or a heuristic
// freshness, or a validator. Targeted fields (RFC 9213, Config.Targets) go before Cache-Control. Responses with Set-Cookie are not stored unless
// Config.StoreSetCookie says so, and those to requests with Authorization only if they say so themselves (3.5). What is ambiguous counts as what it forbids.
//
// All variants of a URL (Vary) live with its owner: the response at the URL's own key names the fields, and leads to the others. Accept-Encoding and
// Accept-Language are normalised, so that what means the same is one variant; a URL has Config.MaxVariants at most. Parts (206) are stored if
// they are small, and combined by a strong ETag.
//
// Bodies of up to a chunk (256 KiB) are stored with the header, longer ones in chunks, each with an owner of its own, so that a large object is on
// no instance's shoulders alone. What is longer than Config.MaxObjectBytes passes. A chunk that was evicted, or went with its instance, is asked for
// again by its range, if the response has a strong ETag. Else the response is filled anew, as it is when the instance dies that a body comes to: one that has begun goes on
// if the part that the client has is the same, byte for byte, and breaks off if not.
//
// The key is the origin's scheme and host, and the path and query exactly as the origin is sent them; but for what
// No-Vary-Search says makes no difference, once a response with the same path has said so. The
// Host that the client named chooses among Config.Origins, and is not a part of the key, nor does the origin see it as its Host: all
// instances, under whatever names clients know them, share what they hold. With Config.PreserveHost it is both.
//
// # Use
//
// What is fresh is served: to HEAD, and by conditions and ranges (RFC 9110, 13 and 14) as well. What is stale is validated first, by one request
// of the owner's for all who wait, and served without it only within stale-while-revalidate (then it is validated in the
// background) and stale-if-error (RFC 5861); and when the origin cannot be reached, unless it forbids that, for Config.KeepStale. What must be
// validated each time (no-cache) is, for each request by itself. The Cache-Control of requests counts if Config.TrustClient says so.
//
// # Collapsing
//
// Requests for what is on its way wait for the header of the response, and no longer. If it may be shared, everyone gets the body as it
// comes, on any instance. If not, the one whose request it was gets it, through a token that nobody else has, and all others
// go to the origin at once; for 10 s (1 s after a status of 500 or more) requests for it are not collapsed. A response to a request with a Cookie or
// Authorization says nothing about other requests. So such requests do not wait for long for one another, until something under the same path
// was for everybody.
//
// A fill that has begun is not ended by those who leave, be they clients or instances. It ends when the origin sends nothing for Config.FillTimeout.
//
// # What the origin sees
//
// A fill has the end-to-end fields of the request that it is for, with its Cookie and Authorization, Via and CDN-Loop (RFC 8586). It has no
// condition but the cache's own, and none of the fields that are not in the key and that applications take for the target of the request, such as X-Forwarded-Host and
// X-Original-URL: whoever could send them could put into the cache what others get. What passes through has
// all of the client's end-to-end fields, the client's address appended to X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, Via and CDN-Loop.
//
// # Invalidation
//
// A request with any other method than GET, HEAD, OPTIONS and TRACE that the origin answers with a status of 2xx or 3xx
// invalidates its URL, in all variants, and those of the same origin in Location and Content-Location (RFC 9111, 4.4): before the client gets
// the header of that response, they are removed at every
// instance. Instances that do not answer within 2 s are logged, and the response passes. Purge, PurgeKeys (Surrogate-Key, Cache-Tag) and PurgeAll do so when the program wants it.
//
// # Age
//
// Age is RFC 9111's section 4.2.3: at the owner, the larger of the time since the Date of the response and of its
// Age plus the time that it took to arrive; and from then on by the owner's monotonic clock. An instance that
// gets the response from the owner is told how much longer it is kept, which says how old it is, and goes on by its own
// monotonic clock. So only the owner's clock is compared with the origin's, and no instance's with
// another one's.
//
// # Cache-Status
//
// Every response has a member of RFC 9211's Cache-Status list, after those that the origin's side sent:
//
//	fleetcache; hit; ttl=3540; instance="a"                              from a's own memory; stale if ttl is negative
//	fleetcache; hit; ttl=3540; instance="a"; peer="http://b:80/"         from b's memory
//	fleetcache; fwd=uri-miss; fwd-status=200; stored; instance="a"       the origin was asked, by a
//	fleetcache; fwd=stale; fwd-status=304; stored; collapsed; instance="a"; peer="http://b:80/"    ... by b, for another request as well
//	fleetcache; fwd=uri-miss; fwd-status=200; detail=private; instance="a"    must not be shared
//	fleetcache; fwd=bypass; fwd-status=101; detail=upgrade; instance="a"      passed
//	fleetcache; fwd=method; fwd-status=201; instance="a"                      passed: neither GET nor HEAD
//
// The parameters instance and peer are our own: instance is the Config.Instance that answered, and peer
// the address of the one that it had the response from.
package httpcache
