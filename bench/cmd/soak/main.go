// Soak runs three instances of a service in this process, whose connections to each other are killed, stalled, slowed
// and delayed at random, under callers that leave at random, and checks every byte that they get, that no call hangs, and
// that nothing is left in the end.
//
//	go run -C bench ./cmd/soak -duration 10m
//
// It exits with 1 if anything is wrong, and with 2 if a flag is. Ctrl-C ends it early, and it checks all the same.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/soak"
)

func main() {
	var o soak.Options
	flag.DurationVar(&o.Duration, "duration", time.Minute, "how long")
	flag.IntVar(&o.Callers, "callers", 64, "how many goroutines call, shared out among the instances")
	flag.Uint64Var(&o.Seed, "seed", uint64(time.Now().UnixNano()), "of what is called and what is disturbed (default by the clock)")
	flag.Parse()
	if flag.NArg() > 0 || o.Duration <= 0 || o.Callers <= 0 {
		fmt.Fprintln(os.Stderr, "soak: -duration and -callers must be positive, and there are no arguments: see -h")
		os.Exit(2)
	}
	if err := run(o); err != nil {
		fmt.Fprintf(os.Stderr, "soak: %v\n", err)
		os.Exit(1)
	}
}

func run(o soak.Options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s, err := soak.Run(ctx, o)
	if err != nil {
		return err
	}
	if err := s.Print(os.Stdout); err != nil {
		return err
	}
	return s.Err()
}
