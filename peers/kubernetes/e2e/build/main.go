// Build builds the servers that the tests need, unless they are there. It must be run in this module.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers/kubernetes/e2e"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := build(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n", err)
		os.Exit(1)
	}
}

func build(ctx context.Context) error {
	dir, servers, err := e2e.Servers(ctx)
	if err != nil {
		return err
	}
	for _, s := range e2e.Missing(dir, servers) {
		start := time.Now()
		if err := install(ctx, dir, s); err != nil {
			return fmt.Errorf("%s %s: %w", s.Name, s.Version, err)
		}
		fmt.Printf("%s %s: built in %v\n", s.Name, s.Version, time.Since(start).Round(time.Second))
	}
	fmt.Printf("the servers are in %s\n", dir)
	return nil
}

// install builds a server beside its place, and moves it there when it is whole.
func install(ctx context.Context, dir string, s e2e.Server) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	built := filepath.Join(tmp, s.Name)
	// Kubernetes takes its version from its own build; others do not look.
	ldflags := "-s -w -X k8s.io/component-base/version.gitVersion=" + s.Version
	cmd := e2e.GoCommand(ctx, "build", "-trimpath", "-ldflags", ldflags, "-o", built, s.Package)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return err
	}
	return os.Rename(built, filepath.Join(dir, s.Name))
}
