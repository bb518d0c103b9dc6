package singleflight_test

import (
	"errors"
	"runtime"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

// Whatever fn does, done is called with it, on the goroutine of the one who calls Here, before that goes on.
func TestHere(t *testing.T) {
	var v int
	var err error
	done := func(got int, with error) { v, err = got, with }
	if singleflight.Here(func() (int, error) { return 7, nil }, done); v != 7 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
	var pe *singleflight.PanicError
	if singleflight.Here(func() (int, error) { panic("no") }, done); !errors.As(err, &pe) || pe.Value != "no" || v != 0 {
		t.Errorf("%d, %v", v, err)
	}
	ended, went := make(chan struct{}), false
	go func() {
		defer close(ended)
		singleflight.Here(func() (int, error) { runtime.Goexit(); return 0, nil }, done)
		went = true
	}()
	if <-ended; !singleflight.IsGoexit(err) || went {
		t.Errorf("%v; it went on: %v", err, went)
	}
}
