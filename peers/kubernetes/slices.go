package kubernetes

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	discoveryv1 "k8s.io/api/discovery/v1"
)

// sliceStore has the Service's EndpointSlices as they are known. It is what a reflector keeps up to date.
type sliceStore struct {
	changed chan struct{} // has one element if something has changed since it was looked at

	mu     sync.Mutex
	byName map[string]*discoveryv1.EndpointSlice // which nobody changes
}

func newSliceStore() *sliceStore {
	return &sliceStore{changed: make(chan struct{}, 1), byName: make(map[string]*discoveryv1.EndpointSlice)}
}

// sorted returns the slices by their names.
func (s *sliceStore) sorted() []*discoveryv1.EndpointSlice {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*discoveryv1.EndpointSlice, 0, len(s.byName))
	for _, slice := range s.byName {
		all = append(all, slice)
	}
	slices.SortFunc(all, func(a, b *discoveryv1.EndpointSlice) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (s *sliceStore) change(obj any, f func(*discoveryv1.EndpointSlice)) error {
	slice, ok := obj.(*discoveryv1.EndpointSlice)
	if !ok {
		return fmt.Errorf("kubernetes: a %T where an EndpointSlice should be", obj)
	}
	s.mu.Lock()
	f(slice)
	s.mu.Unlock()
	s.poke()
	return nil
}

func (s *sliceStore) poke() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Add implements cache.ReflectorStore, as do the other methods.
func (s *sliceStore) Add(obj any) error { return s.Update(obj) }

func (s *sliceStore) Update(obj any) error {
	return s.change(obj, func(slice *discoveryv1.EndpointSlice) { s.byName[slice.Name] = slice })
}

func (s *sliceStore) Delete(obj any) error {
	return s.change(obj, func(slice *discoveryv1.EndpointSlice) { delete(s.byName, slice.Name) })
}

func (s *sliceStore) Replace(objs []any, _ string) error {
	byName := make(map[string]*discoveryv1.EndpointSlice, len(objs))
	for _, obj := range objs {
		slice, ok := obj.(*discoveryv1.EndpointSlice)
		if !ok {
			return fmt.Errorf("kubernetes: a %T where an EndpointSlice should be", obj)
		}
		byName[slice.Name] = slice
	}
	s.mu.Lock()
	s.byName = byName
	s.mu.Unlock()
	s.poke()
	return nil
}

func (s *sliceStore) Resync() error { return nil }
