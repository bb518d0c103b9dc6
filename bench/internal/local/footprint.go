package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/rival"
)

const (
	// footprintSize is the length of the values.
	footprintSize = 200
	// overfill is how many keys are set, in percent of what there is room for: what a cache remembers of those that it has
	// evicted is a part of what it takes.
	overfill = 125

	footprintTimeout = 10 * time.Minute
)

// A Footprint is what a process with one full cache, and nothing else, found of itself.
type Footprint struct {
	Held     int64         // entries
	Payload  int64         // bytes of keys and values of an entry
	Heap     int64         // bytes that the cache has on the heap
	Resident int64         // bytes that it has from the system
	Objects  int64         // that it has on the heap
	GC       time.Duration // CPU time of one collection
	Gets     uint64        // while one collection followed the other
	P50      time.Duration // of these
	P9999    time.Duration
}

// PerEntry is the bytes on the heap for an entry, beside its key and value.
func (f Footprint) PerEntry() float64 { return float64(f.Heap)/float64(f.Held) - float64(f.Payload) }

// ResidentPerEntry is the same of bytes from the system.
func (f Footprint) ResidentPerEntry() float64 {
	return float64(f.Resident)/float64(f.Held) - float64(f.Payload)
}

// ObjectsPerEntry counts keys and values, where they are objects.
func (f Footprint) ObjectsPerEntry() float64 { return float64(f.Objects) / float64(f.Held) }

// GCPerEntry is nanoseconds of CPU that a collection takes for an entry.
func (f Footprint) GCPerEntry() float64 { return float64(f.GC) / float64(f.Held) }

// A Filling is what a child is told.
type Filling struct {
	Kind    string
	Entries int
	Collect time.Duration // how long to collect garbage again and again
}

// measureFootprints has a child of its own find out each kind's.
func measureFootprints(ctx context.Context, kinds []rival.Kind, o Options) (map[string]Footprint, error) {
	found := make(map[string]Footprint)
	f := Filling{Entries: o.Entries, Collect: 3 * time.Second}
	if o.Short {
		f.Collect = 300 * time.Millisecond
	}
	for _, k := range kinds {
		o.Progress("footprint of %s", k.Name)
		f.Kind = k.Name
		var err error
		if found[k.Name], err = measureFootprint(ctx, f); err != nil {
			return nil, fmt.Errorf("footprint of %s: %w", k.Name, err)
		}
	}
	return found, nil
}

func measureFootprint(ctx context.Context, f Filling) (found Footprint, err error) {
	ctx, cancel := context.WithTimeout(ctx, footprintTimeout)
	defer cancel()
	child, err := process.Start(ctx, role)
	if err != nil {
		return found, err
	}
	defer func() { err = errors.Join(err, child.Close()) }()
	return found, child.Call(ctx, "footprint", f, &found)
}
