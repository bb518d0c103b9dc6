package kind

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"time"
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
		var s *Server
		if s, failed = startOn(ctx, port, exec.Command(program, args(port)...)); failed == nil || ctx.Err() != nil {
			return s, failed
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

// startOn starts a program and waits until it listens.
func startOn(ctx context.Context, port string, cmd *exec.Cmd) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var said lastBytes
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = endsWithUs()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		_ = cmd.Wait() // what it said tells more
	}()
	stop := func() error {
		_ = cmd.Process.Kill() // it may have ended
		<-exited
		return nil
	}
	addr := net.JoinHostPort("127.0.0.1", port)
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return &Server{Addr: addr, PID: cmd.Process.Pid, Close: stop}, conn.Close()
		}
		select {
		case <-exited:
			return nil, fmt.Errorf("%s ended at once: %s", cmd.Args[0], said.String())
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%s does not listen on %s: %s", cmd.Args[0], addr, said.String()), stop())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// lastBytes keeps the end of what a program said.
type lastBytes struct {
	// mu guards b.
	mu sync.Mutex
	b  []byte
}

func (l *lastBytes) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, b...)
	if over := len(l.b) - 2<<10; over > 0 {
		l.b = bytes.Clone(l.b[over:])
	}
	return len(b), nil
}

func (l *lastBytes) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimSpace(string(l.b))
}
