// Package freeaddr finds addresses for processes that are about to be started on this machine.
package freeaddr

import (
	"fmt"
	"net"
	"sync"
)

var (
	// mu guards given.
	mu sync.Mutex
	// given are the addresses that Find has returned: who is to listen there may not do so yet.
	given = make(map[string]bool)
)

// Find returns n addresses of a host of this machine that nobody listens on, neither by TCP nor by UDP, and that it has not returned before. Another process may
// be faster than who is to listen there.
func Find(host string, n int) ([]string, error) {
	mu.Lock()
	defer mu.Unlock()
	var addrs []string
	for tries := 0; len(addrs) < n; tries++ {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return nil, err
		}
		defer l.Close() // all of them at the end, so that they differ
		addr := l.Addr().String()
		c, err := net.ListenPacket("udp", addr)
		if err == nil {
			err = c.Close()
		}
		if err == nil && !given[addr] {
			given[addr] = true
			addrs = append(addrs, addr)
		} else if tries > 10*n {
			return nil, fmt.Errorf("no address of %s is free by UDP as well, or was not given before: %v", host, err)
		}
	}
	return addrs, nil
}
