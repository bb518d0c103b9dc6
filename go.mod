module github.com/seed-0f2aaebe/fleetcache

go 1.26.0

require (
	github.com/cespare/xxhash/v2 v2.3.0
	github.com/dunglas/httpsfv v1.1.2
	go.uber.org/goleak v1.3.0
	pgregory.net/rapid v1.3.0
)
