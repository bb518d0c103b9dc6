// Webcache is a web cache that scales by adding instances: an HTTP cache in front of an origin, which shares its memory
// with the other instances of the fleet. It is one binary, and needs no other process.
//
//	webcache -listen :8080 -origin http://10.0.0.9 -self http://10.0.0.1:8080 \
//		-peers http://10.0.0.1:8080,http://10.0.0.2:8080 -secret-file secret -admin :9090
//
// In place of -peers, -peers-file or -peers-dns keep the list of instances current.
//
// See it at work, three processes and an origin on this machine:
//
//	go run ./example/webcache -demo
//
// The response header Cache-Status says of each request where the response came from; package
// httpcache says what is cached. On SIGTERM and SIGINT it says at /readyz that it leaves, hands over what it holds to the
// other instances, finishes what it is doing, and exits with 0; a second signal ends it at once. It exits with 2 if a flag is wrong, and with 1 if it cannot do its work.
package main

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

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main, and returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	opts, err := parseFlags(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		usage(stdout)
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
