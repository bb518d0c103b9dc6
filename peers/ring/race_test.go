//go:build race

package ring_test

// The race detector makes building a table ten times slower, and has nothing to
// find in a package without goroutines: every claim is still tried, on fewer sets.
const raceEnabled = true
