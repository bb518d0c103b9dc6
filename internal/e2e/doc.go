// Package e2e has tests of real processes: five instances of example/webcache, an origin that counts, and faults that the kernel
// makes: signals, and packets that are dropped. They run in a network namespace of their own, where each instance has an address; so they
// need root on Linux, unshare (util-linux), ip (iproute2) and nft (nftables), and are skipped without, or where a namespace cannot be made.
//
// What is checked of what webcache promises over HTTP is said in history_test.go.
package e2e
