package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	client "k8s.io/client-go/kubernetes/typed/discovery/v1"
)

// listTime bounds a list, which the API server or something before it may never answer, and how much longer a watch
// lasts than it was asked to.
const listTime = 30 * time.Second

// shortTime is how long a watch must last for all to be well.
const shortTime = time.Second

// A lister lists and watches the EndpointSlices of a Service, for a reflector.
type lister struct {
	client  client.EndpointSliceInterface
	service string
	calls   sync.WaitGroup // added to under mu, while closed is false

	watching chan struct{} // has one element if there was a watch of some length since it was looked at

	mu     sync.Mutex
	closed bool
	last   error // that the last request ended with
}

func newLister(c client.EndpointSliceInterface, service string) *lister {
	return &lister{client: c, service: service, watching: make(chan struct{}, 1)}
}

// close returns when nothing is under way any more, and nothing begins from then on.
func (l *lister) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.calls.Wait()
}

// begin returns false after close: a reflector that is stopped does not wait for the list that it has begun. Otherwise calls.Done must follow.
func (l *lister) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.calls.Add(1)
	return true
}

// errShort is why a reflector's ListAndWatch has returned if nothing else is.
var errShort = errors.New("the API server, or something before it, ends watches as soon as they have begun")

// why returns the reason for which a reflector's ListAndWatch has returned with err: that says nothing of watches that have begun, and
// has words of its own for lists.
func (l *lister) why(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err = cmp.Or(l.last, err, errShort)
	l.last = nil
	return err
}

// ended notes the error that a request ended with; nil: it has begun well.
func (l *lister) ended(err error) {
	l.mu.Lock()
	l.last = err
	l.mu.Unlock()
}

// tooOld says that the API server does not remember everything since what the watch was to begin with. A list mends that.
func tooOld(err error) bool { return apierrors.IsResourceExpired(err) || apierrors.IsGone(err) }

// IsWatchListSemanticsUnSupported tells the reflector to list, though client-go would rather have the list streamed. A stream
// saves an API server memory where lists have megabytes; ours has a few slices. A list has an answer, and a time
// within which it must be there, and a failed one is not followed by another try of another kind.
func (l *lister) IsWatchListSemanticsUnSupported() bool { return true }

func (l *lister) of(o metav1.ListOptions) metav1.ListOptions {
	o.LabelSelector = discoveryv1.LabelServiceName + "=" + l.service
	return o
}

// ListWithContext implements cache.ListerWithContext.
func (l *lister) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	if !l.begin() {
		return nil, context.Canceled
	}
	defer l.calls.Done()
	if o.ResourceVersion == "0" { // the reflector's way to begin: with what the API server happens to remember, as old as that may be
		o.ResourceVersion = ""
	}
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	list, err := l.client.List(ctx, l.of(o))
	l.ended(err)
	return list, err
}

// WatchWithContext implements cache.WatcherWithContext.
func (l *lister) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	if !l.begin() {
		return nil, context.Canceled
	}
	cancel := context.CancelFunc(func() {})
	if o.TimeoutSeconds != nil { // which the API server heeds, if it is there
		ctx, cancel = context.WithTimeout(ctx, time.Duration(*o.TimeoutSeconds)*time.Second+listTime)
	}
	w, err := l.client.Watch(ctx, l.of(o))
	l.ended(err)
	if err != nil {
		cancel()
		l.calls.Done()
		return nil, opaque(err.Error())
	}
	lasting := time.AfterFunc(shortTime, func() {
		select {
		case l.watching <- struct{}{}:
		default:
		}
	})
	s := &stream{in: w, out: make(chan watch.Event), stopped: make(chan struct{})}
	go func() {
		defer l.calls.Done()
		defer cancel()
		defer lasting.Stop()
		s.pass(l.ended)
	}()
	return s, nil
}

// List and Watch make it a cache.ListerWatcher. They are not called.
func (l *lister) List(o metav1.ListOptions) (runtime.Object, error) {
	return l.ListWithContext(context.Background(), o)
}

// Watch implements cache.Watcher.
func (l *lister) Watch(o metav1.ListOptions) (watch.Interface, error) {
	return l.WatchWithContext(context.Background(), o)
}

// A stream is a watch.Interface that tells of the error that it ends with, which a reflector only logs. It is not watch.Filter, whose goroutine
// stays if it is stopped while it has an event.
type stream struct {
	in      watch.Interface
	out     chan watch.Event
	once    sync.Once
	stopped chan struct{}
}

// pass passes the events on until there are no more, or the stream is stopped.
func (s *stream) pass(ended func(error)) {
	defer close(s.out)
	defer s.in.Stop()
	for {
		select {
		case <-s.stopped:
			return
		case e, ok := <-s.in.ResultChan():
			if !ok {
				return
			}
			if e.Type == watch.Error {
				ended(apierrors.FromObject(e.Object))
			}
			select {
			case s.out <- e:
			case <-s.stopped:
				return
			}
		}
	}
}

// Stop implements watch.Interface.
func (s *stream) Stop() { s.once.Do(func() { close(s.stopped) }) }

// ResultChan implements watch.Interface.
func (s *stream) ResultChan() <-chan watch.Event { return s.out }

// An opaque is an error of which the reflector cannot tell what it is: if the API server refused the connection or was busy, it
// would wait and try again, and tell nobody.
type opaque string

func (e opaque) Error() string { return string(e) }
