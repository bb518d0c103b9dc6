package discover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers/internal/source"
)

const (
	// DefaultFileInterval is that of a FileConfig that does not say otherwise.
	DefaultFileInterval = 2 * time.Second

	// MaxFileBytes is how long a File may be.
	MaxFileBytes = 4 << 20

	// fileSettles is how long what is new in a file must stand. Who writes into a file instead of replacing it does so in several steps.
	fileSettles = 100 * time.Millisecond
)

// FileConfig describes a File.
type FileConfig struct {
	// Path names the file, or a symbolic link to it. Required.
	Path string

	// Interval is how often it is read. 0: DefaultFileInterval.
	Interval time.Duration
}

// A File is a Source that watches a file, such as one that configuration management writes or a ConfigMap that is mounted.
// Its format is Parse's. The file is read, and not asked for its time, so that nothing is missed: neither a replacement of the same length within the
// same tick, nor that a folder above it is a link that leads elsewhere now.
//
// A file that is not there, cannot be read, is longer than MaxFileBytes, or that Parse refuses, is an error, and the last list stands.
// Replace the file by a rename. One that is written in place is believed only when it has stood for a tenth of a second;
// that does not hold for what it is when Members is called.
type File struct{ cfg FileConfig }

// NewFile returns a File. It does not look at the file yet. The error names every field of the FileConfig that is wrong.
func NewFile(cfg FileConfig) (*File, error) {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("discover: FileConfig."+format, args...))
	}
	if cfg.Path == "" {
		bad("Path is empty: name the file that lists the members")
	}
	positive(bad, "Interval", &cfg.Interval, DefaultFileInterval)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &File{cfg}, nil
}

// Members implements Source. It may be called concurrently.
func (f *File) Members(ctx context.Context) iter.Seq2[[]Member, error] {
	return func(yield func([]Member, error) bool) {
		told := source.Teller[Member]{Yield: yield}
		now, ok := f.read(), ctx.Err() == nil
		for ok && f.judge(now, &told) {
			now, ok = f.next(ctx, now)
		}
	}
}

// next waits until the file is another than last, and has stood so. It reports false when ctx ends first.
func (f *File) next(ctx context.Context, last reading) (reading, bool) {
	now := last
	for now == last {
		if !source.Wait(ctx, f.cfg.Interval) {
			return now, false
		}
		now = f.read()
	}
	for {
		if !source.Wait(ctx, fileSettles) {
			return now, false
		}
		again := f.read()
		if again == now {
			return now, true
		}
		now = again
	}
}

// A reading is what was found in the file, or why nothing was.
type reading struct{ text, wrong string }

func (f *File) read() reading {
	text, err := readFile(f.cfg.Path)
	if err != nil {
		return reading{wrong: err.Error()}
	}
	return reading{text: text}
}

// judge tells what r means, and reports whether the receiver wants more.
func (f *File) judge(r reading, told *source.Teller[Member]) bool {
	if r.wrong != "" {
		return told.Tell(nil, r.wrong, errors.New("discover: "+r.wrong))
	}
	members, err := Parse(r.text)
	if err != nil {
		return told.Tell(nil, err.Error(), fmt.Errorf("discover: %s: %w", f.cfg.Path, err))
	}
	return told.Tell(members, "", nil)
}

func readFile(path string) (string, error) {
	// To open a pipe would wait for a writer.
	switch info, err := os.Stat(path); {
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is not a file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, MaxFileBytes+1))
	if err == nil && len(text) > MaxFileBytes {
		err = fmt.Errorf("%s is longer than %d bytes", path, MaxFileBytes)
	}
	return string(text), err
}
