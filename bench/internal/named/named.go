// Package named finds things by their names.
package named

import (
	"fmt"
	"slices"
	"strings"
)

// Names returns the names of things.
func Names[T any](things []T, name func(T) string) []string {
	names := make([]string, len(things))
	for i, thing := range things {
		names[i] = name(thing)
	}
	return names
}

// Find returns those of all things that have these names, in the order of the names. The error begins with absent, such as "there is no kind", and
// says which names there are.
func Find[T any](all []T, name func(T) string, absent string, names []string) ([]T, error) {
	var found []T
	for _, n := range names {
		i := slices.IndexFunc(all, func(thing T) bool { return name(thing) == n })
		if i < 0 {
			return nil, fmt.Errorf("%s %q: use some of %s", absent, n, strings.Join(Names(all, name), ", "))
		}
		found = append(found, all[i])
	}
	return found, nil
}
