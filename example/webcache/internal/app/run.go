// Package app is the example service, for the programs that run it: webcache, and the one in the folder cluster, whose ways to find instances need
// modules that this one goes without.
package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Run is the program: it returns the exit code. more are ways to find instances that this one has besides -peers, -peers-file and -peers-dns.
func Run(args []string, stdin io.Reader, stdout, stderr io.Writer, more ...Finder) int {
	opts, err := parseFlags(args, more...)
	switch {
	case errors.Is(err, flag.ErrHelp):
		usage(stdout, more...)
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "webcache: %v\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the next signal has its usual effect

	if opts.demo {
		err = runDemo(ctx, opts, stdout, stderr)
	} else {
		if opts.withStdin {
			ctx = untilEOF(ctx, stdin)
		}
		opts.stdout = stdout
		err = runService(ctx, opts, stderr)
	}
	if err == nil {
		return 0
	}
	fmt.Fprintf(stderr, "webcache: %v\n", err)
	if errors.As(err, &usageError{}) {
		return 2
	}
	return 1
}

// untilEOF returns ctx such that it also ends when r does.
func untilEOF(ctx context.Context, r io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() { // until then, which may be never
		defer cancel()
		io.Copy(io.Discard, r)
	}()
	return ctx
}
