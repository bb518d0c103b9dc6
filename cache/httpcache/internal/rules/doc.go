// Package rules is what the RFCs say of a shared HTTP cache, in functions that touch nothing but their arguments: no
// clock, no network, no goroutine. Whoever stores, serves and asks decides by them, and adds no rule of his own.
//
//	directive.go   the syntax of Cache-Control (RFC 9111, 5.2) and of Surrogate-Control
//	control.go     the directives of a response, of Cache-Control or of a targeted field (RFC 9213)
//	request.go     the directives of a request (RFC 9111, 5.2.1)
//	date.go        dates (RFC 9110, 5.6.7)
//	freshness.go   age and freshness lifetime (RFC 9111, 4.2)
//	judge.go       may a response be stored? (RFC 9111, 3)
//	header.go      which of its fields are (3.1), and what a 304 changes about them (3.2)
//	validate.go    validation (4.3)
//	etag.go        entity tags (RFC 9110, 8.8.3)
//	ranges.go      ranges (RFC 9110, 14)
//	vary.go        which requests share a variant (RFC 9111, 4.1)
//	accept.go      ... by their Accept-Encoding and Accept-Language
//	search.go      which queries are one (No-Vary-Search)
//	keys.go        what a response may be purged by
//
// What is malformed never says more than what is not there, but for what it forbids: a no-store, private or no-cache
// counts wherever it stands outside a quoted-string. Of directives that contradict each other the
// most restrictive counts; a freshness lifetime that cannot be read is over (4.2.1).
package rules
