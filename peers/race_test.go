//go:build race

package peers

// Raced says that the race detector is on. Then a sync.Pool gives away some of what it has, and a view takes ten times as
// long to make.
const Raced = true
