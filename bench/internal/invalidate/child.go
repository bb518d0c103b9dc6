package invalidate

import (
	"context"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
)

// role is the part of every child.
const role = "invalidate"

// Child runs this process's part, if it is a child of this package's, and does not return then. Programs and tests that
// call Run call it before anything else.
func Child() {
	process.Part(role, func() error {
		return process.ServeInstance(newInstance, func(in *instance) process.Methods {
			return process.Methods{
				"run": process.Method(func(ctx context.Context, p Plan) (*Found, error) { return in.run(ctx, p) }),
			}
		})
	})
}
