module github.com/seed-0f2aaebe/fleetcache/peers/discover/dnstest

go 1.26.0

replace github.com/seed-0f2aaebe/fleetcache => ../../../

require (
	github.com/miekg/dns v1.1.73
	github.com/seed-0f2aaebe/fleetcache v0.0.0
	go.uber.org/goleak v1.3.0
)

require (
	golang.org/x/net v0.57.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
)
