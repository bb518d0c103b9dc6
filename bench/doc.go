// Package bench measures fleetcache side by side with others of the field, on this machine. It exports nothing:
//
//	go run -C bench ./cmd/compare -what remote   # ratios and a table; -short takes less than a minute
//	go run -C bench ./cmd/compare -what stampede # loads of a hot key when its time is over, and who waits for them
//	go run -C bench ./cmd/compare -what deploy   # what the origin loads while instances are replaced, or crash
//	go run -C bench ./cmd/compare -what invalidate # whether what was removed is ever read again, and what a Remove takes
//	go run -C bench ./cmd/compare -what local    # caches of one process: hits, fills and sets, memory, and what they cost the garbage collector
//	go run -C bench ./cmd/compare -what skew     # what the owner of hot keys is asked for, in simulated fleets of up to 1000; takes five minutes
//	go run -C bench ./cmd/compare -what hitratio # what stores of one process have of what they are asked for; -traces DIR replays traces
//	go run -C bench ./cmd/compare -what web      # what a cached hit costs through the example service, and in other caches: apt-get install nginx-light varnish trafficserver
//	go run -C bench ./cmd/compare -what conformance # what of http-cache-tests the example service passes; needs node and npm
//	go test -C bench -bench Remote               # the kinds of remote, as Go benchmarks
//	go test -C bench -bench Local                # the speed of local's, likewise
//	go run -C bench ./cmd/soak                   # three instances behind connections that break
//
// It is a module of its own, so that what it measures against is no dependency of the library's.
// RESULTS.md has figures, with the command and the machine, and CONFORMANCE.md what passes.
package bench
