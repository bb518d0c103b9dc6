package peerstest_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// A recorder is a testing.TB that writes down what a check complains of.
type recorder struct {
	testing.TB

	mu         sync.Mutex // guards the fields below
	complaints []string
	cleanups   []func()
}

// failures runs a check in a bubble, and returns its complaints.
func failures(t *testing.T, c peerstest.Check, newSubject peerstest.NewSubject) []string {
	r := &recorder{}
	synctest.Test(t, func(t *testing.T) {
		r.TB = t
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.Run(r, newSubject)
		}()
		<-done
		for len(r.cleanups) > 0 {
			last := r.cleanups[len(r.cleanups)-1]
			r.cleanups = r.cleanups[:len(r.cleanups)-1]
			last()
		}
		time.Sleep(time.Hour) // of fake time: what a mutant left behind comes to its end
	})
	return r.complaints
}

func (r *recorder) note(complaint string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.complaints = append(r.complaints, complaint)
}

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) Errorf(format string, args ...any) { r.note(fmt.Sprintf(format, args...)) }

func (r *recorder) Fatalf(format string, args ...any) {
	r.note(fmt.Sprintf(format, args...))
	runtime.Goexit()
}

func (r *recorder) Skip(args ...any) { runtime.Goexit() }
