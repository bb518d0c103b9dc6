package app

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

const (
	linesInterval = time.Second // for how long lines are kept back, at most
	linesBuffer   = 1 << 20     // how many bytes wait to be written, at most: further lines are lost
	linesClose    = 5 * time.Second
)

// A lineWriter writes lines to a file without making those wait who have some. What a crash loses is what came within linesInterval; what a file
// that does not keep up loses is counted, and told.
type lineWriter struct {
	file string // "-": out is the standard output
	out  io.Writer
	log  *slog.Logger

	mu      sync.Mutex
	waiting []byte
	lost    int

	full    chan struct{} // has an element if half of the buffer is
	closing chan struct{}
	closed  chan struct{}
}

func newLineWriter(file string, stdout io.Writer, log *slog.Logger) (*lineWriter, error) {
	w := &lineWriter{file: file, out: stdout, log: log, full: make(chan struct{}, 1), closing: make(chan struct{}), closed: make(chan struct{})}
	if file != "-" {
		f, err := openLines(file)
		if err != nil {
			return nil, fmt.Errorf("-access-log: %w", err)
		}
		w.out = f
	}
	go w.run()
	return w, nil
}

func openLines(file string) (*os.File, error) {
	return os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
}

// Write takes a line. It never fails, and never waits for the file.
func (w *lineWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting)+len(line) > linesBuffer {
		w.lost++
		return len(line), nil
	}
	w.waiting = append(w.waiting, line...)
	if len(w.waiting) > linesBuffer/2 {
		select {
		case w.full <- struct{}{}:
		default:
		}
	}
	return len(line), nil
}

// run writes what is waiting, now and then, until close is called.
func (w *lineWriter) run() {
	defer close(w.closed)
	tick := time.NewTicker(linesInterval)
	defer tick.Stop()
	var spare []byte
	told := false // that the file cannot be written
	for end := false; !end; {
		select {
		case <-tick.C:
			w.reopen()
		case <-w.full:
		case <-w.closing:
			end = true
		}
		w.mu.Lock()
		lines, lost := w.waiting, w.lost
		w.waiting, w.lost = spare[:0], 0
		w.mu.Unlock()
		spare = lines
		if lost > 0 {
			w.log.Warn("lines of the access log were lost: its file does not keep up", "lines", lost)
		}
		if len(lines) == 0 {
			continue
		}
		_, err := w.out.Write(lines)
		if err != nil && !told {
			w.log.Warn("the access log cannot be written", "error", err)
		}
		told = err != nil
	}
	if f, ok := w.out.(*os.File); ok && w.file != "-" {
		_ = f.Close()
	}
}

// reopen opens the file again if it has been renamed or removed.
func (w *lineWriter) reopen() {
	f, ok := w.out.(*os.File)
	if !ok || w.file == "-" {
		return
	}
	now, err := os.Stat(w.file)
	if err == nil {
		if open, err := f.Stat(); err != nil || os.SameFile(now, open) {
			return
		}
	}
	fresh, err := openLines(w.file)
	if err != nil {
		return // the old one will do
	}
	_ = f.Close()
	w.out = fresh
}

// close writes what is waiting, if the file takes it soon. Nothing may be written any more.
func (w *lineWriter) close() {
	close(w.closing)
	select {
	case <-w.closed:
	case <-time.After(linesClose):
		w.log.Warn("the end of the access log was lost: its file does not keep up")
	}
}
