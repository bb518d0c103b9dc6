package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// listenTimeout is how long a program may take until it listens.
const listenTimeout = 10 * time.Second

// A Program is a process of another program, one that listens on an address. It must be closed.
type Program struct {
	Addr string
	PID  int

	cmd    *exec.Cmd
	said   lastBytes
	exited chan struct{} // closed when it has ended
}

// StartProgram starts a program and waits until it listens on an address. What it says goes to the command's Stdout and Stderr, if there are any, and its end
// into the error.
func StartProgram(ctx context.Context, cmd *exec.Cmd, addr string) (*Program, error) {
	ctx, cancel := context.WithTimeout(ctx, listenTimeout)
	defer cancel()
	p := &Program{Addr: addr, cmd: cmd, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.heard(cmd.Stdout), p.heard(cmd.Stderr)
	cmd.SysProcAttr = endsWithUs()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.PID = cmd.Process.Pid
	go func() {
		defer close(p.exited)
		_ = cmd.Wait() // what it said tells more
	}()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return p, conn.Close()
		}
		select {
		case <-p.exited:
			return nil, fmt.Errorf("%s ended at once: %s", cmd.Args[0], p.said.String())
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%s does not listen on %s: %s", cmd.Args[0], addr, p.said.String()), p.Close())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// heard returns what writes to w as well, unless that is nil.
func (p *Program) heard(w io.Writer) io.Writer {
	if w == nil {
		return &p.said
	}
	return io.MultiWriter(w, &p.said)
}

// Said returns the end of what the program has said.
func (p *Program) Said() string { return p.said.String() }

// Close ends the program at once, and on Linux the processes that it has started, and returns when it has ended.
func (p *Program) Close() error {
	kill(p.cmd.Process)
	<-p.exited
	return nil
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
