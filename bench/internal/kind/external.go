package kind

import (
	"context"
	"net"
	"os/exec"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
)

// startExternal runs a server that is a program of its own, on a port that the kernel chose. args makes its arguments
// from the port.
func startExternal(ctx context.Context, program string, args func(port string) []string) (*Server, error) {
	var failed error
	for range 3 { // somebody else may take the port first
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		p, err := process.StartProgram(ctx, exec.Command(program, args(port)...), net.JoinHostPort("127.0.0.1", port))
		if err == nil {
			return &Server{Addr: p.Addr, PID: p.PID, Close: p.Close}, nil
		}
		if failed = err; ctx.Err() != nil {
			break
		}
	}
	return nil, failed
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}
