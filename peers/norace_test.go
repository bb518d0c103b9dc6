//go:build !race

package peers

const Raced = false
