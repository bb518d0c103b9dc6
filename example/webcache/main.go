// Webcache is a web cache that scales by adding instances: an HTTP cache in front of an origin, which shares its memory
// with the other instances of the fleet. It is one binary, and needs no other process.
//
//	webcache -listen :8080 -origin http://10.0.0.9 -self http://10.0.0.1:8080 \
//		-peers http://10.0.0.1:8080,http://10.0.0.2:8080 -secret-file secret -admin :9090
//
// The same in YAML, with -config; webcache.yaml is an example with all that there is. In place of -peers, -peers-file or -peers-dns
// keep the list of instances current; the program in the folder cluster, which is a module of its own, is this one with gossip and
// Kubernetes besides.
//
// See it at work, three processes and an origin on this machine:
//
//	go run ./example/webcache -demo
//
// The response header Cache-Status says of each request where the response came from; package
// httpcache says what is cached. On SIGTERM and SIGINT it says at /readyz that it leaves, hands over what it holds to the
// other instances, finishes what it is doing, and exits with 0; a second signal ends it at once. It exits with 2 if a flag is wrong, and with 1 if it cannot do its work.
package main

import (
	"os"

	"github.com/seed-0f2aaebe/fleetcache/example/webcache/internal/app"
)

func main() {
	os.Exit(app.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
