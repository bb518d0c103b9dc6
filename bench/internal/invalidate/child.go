package invalidate

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
)

// role is the part of every child.
const role = "invalidate"

// Child runs this process's part, if it is a child of this package's, and does not return then. Programs and tests that
// call Run call it before anything else.
func Child() {
	if r, _ := process.Role(); r != role {
		return
	}
	if err := runChild(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", role, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runChild() (err error) {
	var in *instance
	defer func() {
		if in != nil {
			err = errors.Join(err, in.close())
		}
	}()
	return process.Serve(os.Stdin, os.Stdout, process.Methods{
		"open": process.Method(func(_ context.Context, s Setup) (url string, err error) {
			if in, err = newInstance(s); err != nil {
				return "", err
			}
			return in.url, nil
		}),
		"join": process.Method(func(ctx context.Context, urls []string) (any, error) {
			return nil, in.join(ctx, urls)
		}),
		"run": process.Method(func(ctx context.Context, p Plan) (*Found, error) {
			return in.run(ctx, p)
		}),
	})
}
