// Package freeaddr finds addresses for processes that are about to be started on this machine.
package freeaddr

import (
	"fmt"
	"net"
)

// Find returns n addresses of a host of this machine that nobody listens on, neither by TCP nor by UDP. Somebody else may be faster than who is to
// listen there.
func Find(host string, n int) ([]string, error) {
	var addrs []string
	for tries := 0; len(addrs) < n; tries++ {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return nil, err
		}
		defer l.Close() // all of them at the end, so that they differ
		addr := l.Addr().String()
		if c, err := net.ListenPacket("udp", addr); err == nil {
			c.Close()
			addrs = append(addrs, addr)
		} else if tries > 10*n {
			return nil, fmt.Errorf("no address is free by UDP as well: %w", err)
		}
	}
	return addrs, nil
}
