module github.com/seed-0f2aaebe/fleetcache/example/webcache

go 1.26.0

replace github.com/seed-0f2aaebe/fleetcache => ../../

require (
	github.com/seed-0f2aaebe/fleetcache v0.0.0
	go.uber.org/goleak v1.3.0
	go.yaml.in/yaml/v4 v4.0.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/dunglas/httpsfv v1.1.2 // indirect
)
