package skew

import (
	"context"
	"os"
	"runtime/debug"
	"testing"
	"testing/synctest"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
)

// role is the part of every child.
const role = "skew"

// Child runs this process's part, if it is a child of this package's, and does not return then. Programs and tests that
// call Run call it before anything else.
//
// The child simulates, with the time of testing/synctest: terms of leases and rates are what they are called, whatever else the machine does. That is to be had in a
// test alone, so the child is one.
func Child() {
	if r, _ := process.Role(); r != role {
		return
	}
	os.Args = os.Args[:1] // are not a test's flags
	debug.SetGCPercent(300)
	all := func(string, string) (bool, error) { return true, nil }
	testing.Main(all, []testing.InternalTest{{Name: role, F: func(t *testing.T) {
		process.Exit(role, process.Serve(os.Stdin, os.Stdout, process.Methods{
			"run": process.Method(func(_ context.Context, s Setting) (m Measured, err error) {
				synctest.Test(t, func(*testing.T) { m, err = simulate(s) })
				return m, err
			}),
		}))
	}}}, nil, nil)
}
