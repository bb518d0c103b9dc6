package main

import (
	"bytes"
	"regexp"
	"sync"
	"testing"
)

// output is what a process writes.
type output struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func newOutput() *output { return new(output) }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// await waits until n matches of the expression have been written, and returns the first group of each.
func (o *output) await(t *testing.T, expr string, n int) (found []string) {
	t.Helper()
	re := regexp.MustCompile(expr)
	waitFor(t, expr, func() bool { return len(re.FindAllString(o.String(), -1)) >= n })
	for _, m := range re.FindAllStringSubmatch(o.String(), -1) {
		found = append(found, m[1])
	}
	return found
}
