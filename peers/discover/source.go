package discover

import (
	"context"
	"iter"
	"slices"
	"time"
)

// A Member is an instance of the fleet.
type Member struct {
	// URL is where the instance's Pool is reached: http or https, without query, fragment or user.
	// A URL without a path gets peers.DefaultPath. It is also the instance's name, so
	// every instance must be given the same one.
	URL string

	// Weight is its share of the keys, against the other members' weights: 1 to
	// ring.MaxWeight. 0: 1.
	Weight int

	// Leaving says that the instance is on its way out, and serves still: it owns no keys any more, but may be asked for
	// what it holds, and is told of invalidations.
	Leaving bool
}

// A Source knows who is in the fleet.
type Source interface {
	// Members yields the whole list of members, as soon as it is known and whenever it has changed, until ctx ends or
	// its caller breaks off. It blocks in between, and leaves nothing running. A list is its receiver's. An error in place
	// of a list says why there is no news, for a log: the last list stands, and the Source goes on. A Source
	// never yields an empty list because it failed to find out.
	//
	// Members may be called again, and concurrently if the Source does not say otherwise.
	Members(ctx context.Context) iter.Seq2[[]Member, error]
}

// A Leaver is a Source that others learn from that this instance is in the fleet. peers.Pool.Drain calls Leave before
// anything else.
type Leaver interface {
	// Leave tells the others that this instance is on its way out, and returns when they were told, or with ctx's
	// error. The Source goes on yielding lists. It may be called again.
	Leave(ctx context.Context) error
}

// Static is a Source that yields its list once.
type Static []Member

// Members implements Source. It ends with ctx, though no other list ever comes.
func (s Static) Members(ctx context.Context) iter.Seq2[[]Member, error] {
	return func(yield func([]Member, error) bool) {
		if ctx.Err() == nil && yield(slices.Clone(s), nil) {
			<-ctx.Done()
		}
	}
}

// positive sets the field of a Config called name to its default if it is zero, and says what is bad about it if it is negative.
func positive(bad func(format string, args ...any), name string, field *time.Duration, def time.Duration) {
	if *field < 0 {
		bad("%s is %v: use a positive duration, or 0 for the default of %v", name, *field, def)
	}
	if *field == 0 {
		*field = def
	}
}
