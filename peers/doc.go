// Package peers connects the instances of a service into one cache. A Pool knows who the
// members of the fleet are and which of them owns a key, sends requests to the others
// over HTTP, and is the http.Handler that answers theirs, mounted on the port that the
// service already has:
//
//	pool, err := peers.New(peers.Config{Self: "http://10.0.0.1:8080", Secret: secret})
//	...
//	mux.Handle(peers.DefaultPath, pool)
//	err = pool.Set(peers.Member{URL: "http://10.0.0.1:8080"}, peers.Member{URL: "http://10.0.0.2:8080"})
//	c, err := cache.New(cache.Config[string, []byte]{Name: "thumbs", Peers: pool, ...})
//
// In place of Set, Follow takes the members from a discover.Source, which keeps the list current.
//
// Placement is package ring's; the format of the messages is peers/internal/wire's.
//
// # What a peer's answer is worth
//
// Every call returns the answers of the peer's own cache, cache.ErrUnknownCache,
// cache.ErrVersionMismatch, the context's error, or an *Error, which says that the peer gave no
// usable answer: it is down, or overloaded, or what came back was not its own. A
// proxy's 503 is never mistaken for what a loader said, nor a 404 for a missing key.
//
// # Credentials
//
// A fleet has a shared Secret, mutual TLS through the program's own http.Client and
// http.Server, or both; or the program says Insecure. With a Secret, each request is signed for
// one instance and one use, and each part of a reply is signed for its request, so that what
// is recorded on the way can be replayed neither to the same instance nor to another one, ever.
// Contents are not encrypted: use https URLs where others can listen.
//
// # Health
//
// A peer that refuses connections, fails three times in a row, or does not answer a ping while
// a call waits for it, is down: every later call fails at once, until a ping of the Pool's own finds it
// back. No call of a user is ever spent on trying. The calls that wait for it fail at once, too, unless what
// it does is refuse connections: an instance that shuts down in good order takes no new calls and
// brings those that it has taken to their end.
//
// # Caveats
//
//   - A member is named by its URL, in one spelling on every instance. An instance that is reached
//     under another name than its Config.Self refuses the request (ErrMisdirected).
//   - A Pool must be closed, or its goroutine stays.
package peers
