package process

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A Fleet is children whose part is to ServeInstance.
type Fleet []*Child

// OpenFleet starts n children with a part, opens the instance of each with a setup of its own, and has them join each other, both within patience.
func OpenFleet(ctx context.Context, role string, n int, patience time.Duration, setup func(i int) any) (f Fleet, err error) {
	defer func() {
		if err != nil {
			f, err = nil, errors.Join(err, f.Close())
		}
	}()
	for range n {
		c, err := Start(ctx, role)
		if err != nil {
			return f, err
		}
		f = append(f, c)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	urls := make([]string, n)
	if err := f.Each(func(i int, c *Child) error { return c.Call(ctx, "open", setup(i), &urls[i]) }); err != nil {
		return f, err
	}
	return f, f.Each(func(_ int, c *Child) error { return c.Call(ctx, "join", urls, nil) })
}

// Close closes all children.
func (f Fleet) Close() error { return f.Each(func(_ int, c *Child) error { return c.Close() }) }

// Each calls do for all children at the same time, and returns what went wrong.
func (f Fleet) Each(do func(i int, c *Child) error) error { return Each(f, do) }

// Each calls do for all at the same time, and returns what went wrong.
func Each[T any](all []T, do func(i int, one T) error) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, one := range all {
		wg.Go(func() { errs[i] = do(i, one) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
