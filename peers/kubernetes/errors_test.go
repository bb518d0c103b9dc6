package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func TestErrorsAreYieldedAndTheListStands(t *testing.T) {
	refused := fmt.Errorf("dial: %w", syscall.ECONNREFUSED)
	for name, tt := range map[string]struct {
		list, watch error
		want        string
	}{
		"forbidden":              {forbidden(), forbidden(), "! the verbs list and watch on the resource endpointslices of the API group discovery.k8s.io in the namespace default"},
		"watch forbidden":        {nil, forbidden(), "! list and watch"},
		"unauthorized":           {apierrors.NewUnauthorized("who?"), apierrors.NewUnauthorized("who?"), "! the ServiceAccount's token is wrong, or has expired"},
		"connection refused":     {refused, refused, "! Service default/web: its EndpointSlices cannot be watched"},
		"busy":                   {nil, apierrors.NewTooManyRequests("later", 1), "! later"},
		"wrong, all of a sudden": {nil, apierrors.NewInternalError(errors.New("oops")), "! oops"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := newFakeAPI(slice("a", pods("1")...))
				f := follow(t, Config{Client: api})
				f.wants(one)
				time.Sleep(time.Minute)
				api.fail(tt.list, tt.watch)
				api.cut(nil)
				var status apierrors.APIStatus
				if err := f.wants(tt.want); errors.As(tt.watch, &status) != errors.As(err, &status) || !errors.Is(err, tt.watch) {
					t.Errorf("%v does not wrap %v", err, tt.watch)
				}
				go func() {
					time.Sleep(10 * time.Minute)
					api.fail(nil, nil)
				}()
				start := time.Now()
				f.wants(one) // which it is still
				if took := time.Since(start); took < 10*time.Minute {
					t.Errorf("it is over after %v", took)
				}
				api.set(slice("a", pods("1 2")...))
				f.wants(one + " " + two)
			})
		})
	}
}

func TestWatchEndsWithAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI(slice("a", pods("1")...))
		f := follow(t, Config{Client: api})
		f.wants(one)
		time.Sleep(time.Minute)
		api.cut(apierrors.NewInternalError(errors.New("oops")))
		f.wants("! oops")
		api.mu.Lock()
		api.short = true
		api.mu.Unlock()
		f.wants("! ends watches as soon as they have begun")
		api.mu.Lock()
		api.short = false
		api.mu.Unlock()
		f.wants(one)
	})
}

// It is at once that the first attempts come, and every half minute or minute in the end.
func TestAttemptsBecomeRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI(slice("a", pods("1")...))
		api.fail(forbidden(), nil)
		go func() {
			time.Sleep(10 * time.Minute)
			api.fail(nil, nil)
		}()
		f := follow(t, Config{Client: api})
		f.wants("! list and watch")
		f.wants(one)
		var took []time.Duration // but for the last ones, which are a list and a watch
		for i := 1; i < len(api.times)-1; i++ {
			took = append(took, api.times[i].Sub(api.times[i-1]))
		}
		least, longest := 800*time.Millisecond, time.Minute
		if took[0] < least || took[0] > 2*least || slices.Max(took) > longest || took[len(took)-2] < longest/2 {
			t.Errorf("times between attempts: %v", took)
		}
	})
}

func TestListThatIsNeverAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newFakeAPI(slice("a", pods("1")...))
		api.hangs = true
		f := follow(t, Config{Client: api})
		if err := f.wants("! cannot be watched"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v is not that its time is over", err)
		}
		api.mu.Lock()
		api.hangs = false
		api.mu.Unlock()
		f.wants(one)
	})
}
