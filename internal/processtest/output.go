package processtest

import (
	"bytes"
	"regexp"
	"sync"
	"testing"
)

// An Output is what a process has written so far. The zero value is empty. Its methods may be called concurrently.
type Output struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// String returns all of it.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// Await waits until n matches of the expression have been written, and returns the first group of each.
func (o *Output) Await(t *testing.T, expr string, n int) (found []string) {
	t.Helper()
	re := regexp.MustCompile(expr)
	WaitFor(t, expr, func() bool { return len(re.FindAllString(o.String(), -1)) >= n })
	for _, m := range re.FindAllStringSubmatch(o.String(), -1) {
		found = append(found, m[1])
	}
	return found
}
