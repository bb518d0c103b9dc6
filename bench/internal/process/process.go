// Package process runs parts of a benchmark in processes of their own: this program, started again, that answers calls
// as lines of JSON on its standard input and output. A child ends when its standard input does, and so
// does not outlive its parent, however that ends.
package process

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// roleVariable tells a process that it is a child, and what its part is.
const roleVariable = "FLEETCACHE_BENCH_ROLE"

// grace is how long a child has to end in good order.
const grace = 2 * time.Second

// A call is a line to a child, and an answer one back.
type call struct {
	Method string          `json:"method"`
	In     json.RawMessage `json:"in,omitempty"`
}

type answer struct {
	Out   json.RawMessage `json:"out,omitempty"`
	Error string          `json:"error,omitempty"`
}

// A Child is a process that this one started. It answers one call at a time: its methods must not be
// called concurrently. It must be closed.
type Child struct {
	role   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	cancel context.CancelFunc
}

// Start starts a child with a part. It ends with ctx at the latest. Its standard error is this process's.
func Start(ctx context.Context, role string) (*Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = group()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	cmd.Cancel = stdin.Close
	cmd.WaitDelay = grace
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("process %q: %w", role, err)
	}
	return &Child{role: role, cmd: cmd, stdin: stdin, stdout: bufio.NewReader(stdout), cancel: cancel}, nil
}

// Call calls a method of the child with in and decodes what it returns into out, unless that is nil. If ctx
// ends first, so does the child.
func (c *Child) Call(ctx context.Context, method string, in, out any) error {
	stop := context.AfterFunc(ctx, c.cancel)
	defer stop()
	err := c.call(method, in, out)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %s: %w", c.role, method, err)
	}
	return nil
}

func (c *Child) call(method string, in, out any) error {
	raw, err := json.Marshal(in)
	if err != nil {
		return err
	}
	line, err := json.Marshal(call{method, raw})
	if err != nil {
		return err
	}
	if _, err := c.stdin.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("the process has ended: %w", err)
	}
	if line, err = c.stdout.ReadBytes('\n'); err != nil {
		return fmt.Errorf("the process has ended: %w", err)
	}
	var a answer
	switch err := json.Unmarshal(line, &a); {
	case err != nil:
		return fmt.Errorf("answer %q: %w", line, err)
	case a.Error != "":
		return errors.New(a.Error)
	case out == nil:
		return nil
	}
	return json.Unmarshal(a.Out, out)
}

// Close ends the child: by the end of its input, and if that does not help, for good. It returns when it has ended. The
// error is that it did not end well.
func (c *Child) Close() error {
	c.stdin.Close()
	timer := time.AfterFunc(grace, c.cancel)
	defer timer.Stop()
	defer c.cancel()
	err := c.cmd.Wait()
	if s := c.cmd.ProcessState; s != nil && s.Success() {
		return nil // the context may have ended before, which is no matter
	}
	if err != nil {
		return fmt.Errorf("process %q: %w", c.role, err)
	}
	return nil
}

// Kill ends the child at once, as the loss of its machine would. It returns when it has ended. Close is not needed after it.
func (c *Child) Kill() error {
	defer c.cancel()
	if err := c.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("process %q: %w", c.role, err)
	}
	_ = c.cmd.Wait() // that it was killed
	return nil
}

// Role returns the part that this process was started for; ok is false if it is nobody's child.
func Role() (role string, ok bool) { return os.LookupEnv(roleVariable) }

// Methods are what a child can be asked to do. Their contexts end with the child's input.
type Methods map[string]func(ctx context.Context, in json.RawMessage) (any, error)

// Serve answers the calls on in, one at a time, until it ends.
func Serve(in io.Reader, out io.Writer, methods Methods) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	lines := make(chan []byte)
	go func() { // it ends with its input, which is the end of the process
		defer close(lines)
		defer cancel()
		for r := bufio.NewReader(in); ; {
			line, err := r.ReadBytes('\n')
			if err != nil {
				return
			}
			select {
			case lines <- line:
			case <-ctx.Done():
				return
			}
		}
	}()
	encoder := json.NewEncoder(out)
	for line := range lines {
		if err := encoder.Encode(methods.answer(ctx, line)); err != nil {
			return err
		}
	}
	return nil
}

func (m Methods) answer(ctx context.Context, line []byte) answer {
	var c call
	if err := json.Unmarshal(line, &c); err != nil {
		return answer{Error: fmt.Sprintf("call %q: %v", strings.TrimSpace(string(line)), err)}
	}
	method, ok := m[c.Method]
	if !ok {
		return answer{Error: fmt.Sprintf("there is no method %q", c.Method)}
	}
	result, err := method(ctx, c.In)
	if err != nil {
		return answer{Error: err.Error()}
	}
	raw, err := json.Marshal(result)
	if err != nil {
		return answer{Error: err.Error()}
	}
	return answer{Out: raw}
}

// Method makes a method of a function with types of its own.
func Method[In, Out any](f func(context.Context, In) (Out, error)) func(context.Context, json.RawMessage) (any, error) {
	return func(ctx context.Context, raw json.RawMessage) (any, error) {
		var in In
		if err := json.Unmarshal(raw, &in); err != nil {
			return nil, err
		}
		return f(ctx, in)
	}
}
