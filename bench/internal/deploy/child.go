package deploy

import (
	"context"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
)

// role is the part of every child.
const role = "deploy"

// Child runs this process's part, if it is a child of this package's, and does not return then. Programs and tests that
// call Run call it before anything else.
func Child() {
	process.Part(role, func() error {
		return process.ServeInstance(newInstance, func(in *instance) process.Methods {
			return process.Methods{
				"drain": process.Method(func(ctx context.Context, _ any) (any, error) { return nil, in.pool.Drain(ctx) }),
				"leave": process.Method(func(context.Context, any) (map[string]Count, error) { return in.leave(), nil }),
			}
		})
	})
}
