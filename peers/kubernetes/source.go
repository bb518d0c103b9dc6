package kubernetes

import (
	"context"
	"iter"
	"time"

	"github.com/go-logr/logr"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/source"
)

// settleTime is for what comes together: when Kubernetes moves pods between slices, it changes one after the other.
const settleTime = 100 * time.Millisecond

// retries are the times between two attempts. The jitter doubles them at most.
var retries = wait.Backoff{Duration: 800 * time.Millisecond, Factor: 2, Jitter: 1, Steps: 20, Cap: 30 * time.Second}

// wellTime is how long an attempt must last for those after it to begin with the shortest time again.
const wellTime = 30 * time.Second

// A Source is a discover.Source over the EndpointSlices of a Service.
type Source struct{ cfg Config }

var _ discover.Source = (*Source)(nil)

// New returns a Source. It asks nobody before Members is called. The error names every field of the Config that is wrong.
func New(cfg Config) (*Source, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Source{cfg}, nil
}

// Members implements discover.Source. It lists the EndpointSlices and watches them from there on; when the watch is cut it goes on, and when it
// has become too old to go on, it lists them again. If that fails, the error is yielded, and it tries again after a second, then two,
// then four, and every half minute at last, each of them doubled at most, at random. If there is no
// member, the error says why, and the last list stands: a fleet whose pods have all become unready is not thereby an
// empty one. If some endpoints have no URL (no port of that name, no hostname), an error says so, and the others are the members.
//
// An API server that is busy and says when to come again is asked again then, ten times at most, before that is an error.
//
// An error is yielded once, until it is another one or over; when it is over the list is yielded again.
//
// It may be called concurrently; each call has a watch of its own.
func (s *Source) Members(ctx context.Context) iter.Seq2[[]discover.Member, error] {
	return func(yield func([]discover.Member, error) bool) {
		if ctx.Err() != nil {
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		store, errs := newSliceStore(), make(chan error)
		l := newLister(s.cfg.Client.EndpointSlices(s.cfg.Namespace), s.cfg.Service)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.follow(ctx, l, store, errs)
		}()
		defer func() {
			cancel()
			<-ended
		}()
		t := &teller{yield: yield}
		for first := true; ; {
			select {
			case <-ctx.Done():
				return
			case err := <-errs:
				if ctx.Err() != nil || !t.fail(err) {
					return
				}
				continue
			case <-l.watching:
				if !t.recover() {
					continue
				}
			case <-store.changed:
			}
			if !first && !source.Wait(ctx, settleTime) {
				return
			}
			first = false
			if !t.list(s.cfg.members(store.sorted())) {
				return
			}
		}
	}
}

// follow keeps the store up to date until ctx ends, and sends errs what keeps it from that. Its last
// request has ended when it returns.
func (s *Source) follow(ctx context.Context, l *lister, store *sliceStore, errs chan<- error) {
	defer l.close()
	silent := logr.Discard() // what matters is yielded
	ctx = klog.NewContext(ctx, silent)
	reflector := cache.NewReflectorWithOptions(l, &discoveryv1.EndpointSlice{}, store, cache.ReflectorOptions{Logger: &silent, Name: "fleetcache"})
	delay := retries.DelayFunc()
	for ctx.Err() == nil {
		began := time.Now()
		// Not its Run, which logs the errors.
		err := l.why(reflector.ListAndWatchWithContext(ctx))
		if !tooOld(err) && ctx.Err() == nil {
			select {
			case errs <- s.cfg.explain(err):
			case <-ctx.Done():
			}
		}
		if time.Since(began) >= wellTime {
			delay = retries.DelayFunc()
		}
		if !source.Wait(ctx, delay()) {
			return
		}
	}
}

// explain returns err with what can be done about it.
func (c *Config) explain(err error) error {
	switch {
	case apierrors.IsForbidden(err):
		return c.errorf("the ServiceAccount may not see its EndpointSlices: it needs the verbs list and watch on the resource endpointslices of the API group discovery.k8s.io in the namespace %s, by a Role and a RoleBinding: %w", c.Namespace, err)
	case apierrors.IsUnauthorized(err):
		return c.errorf("the API server does not know who asks: the ServiceAccount's token is wrong, or has expired: %w", err)
	}
	return c.errorf("its EndpointSlices cannot be watched: %w", err)
}
