package process

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
)

// Part runs a part, if this process was started for it, and does not return then.
func Part(role string, part func() error) {
	if r, _ := Role(); r == role {
		Exit(role, part())
	}
}

// Exit ends a process whose part has ended with err.
func Exit(role string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// An Instance is what a child of a Fleet has.
type Instance interface {
	URL() string                                   // its own, for the others
	Join(ctx context.Context, urls []string) error // all of them
	Close() error
}

// ServeInstance answers the calls for an instance on the standard input, until that ends: "open" makes it of a setup and returns its URL, and "join" has it
// join the others. methods are what else it can be asked to do, once it is open.
func ServeInstance[Setup any, I Instance](open func(Setup) (I, error), methods func(I) Methods) (err error) {
	var instance Instance // nil: not open
	all := Methods{}
	all["open"] = Method(func(_ context.Context, s Setup) (string, error) {
		in, err := open(s)
		if err != nil {
			return "", err
		}
		instance = in
		all["join"] = Method(func(ctx context.Context, urls []string) (any, error) { return nil, in.Join(ctx, urls) })
		maps.Copy(all, methods(in))
		return in.URL(), nil
	})
	defer func() {
		if instance != nil {
			err = errors.Join(err, instance.Close())
		}
	}()
	return Serve(os.Stdin, os.Stdout, all)
}
