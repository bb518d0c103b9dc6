package remote

import (
	"fmt"
	"slices"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/load"
)

// A Cell is a column of the matrix: entries that are measured in turn, round by round, and compared.
type Cell struct {
	Name    string // as in the names of its ratios
	Title   string
	Entries []Entry
}

// An Entry is a kind in a Cell.
type Entry struct {
	Label string // the kind's name, unless a cell has a kind twice
	Kind  string
	Shape load.Shape
}

const (
	kib = 1 << 10
	mib = 1 << 20

	getManyKeys = 100
	bulkLabel   = "fleetcache with bulk"
	bulkCell    = "bulk"
)

// The kinds that vs-* ratios are against. Each does what the bare wire of fleetcache does.
var rivals = []string{"groupcache", "grpc", "http1", "h2c", "memcached", "rueidis", "goredis", "floor"}

// Matrix returns the cells for the kinds of these names. Cells and entries that need another kind are left out. short is a
// minute's worth: 1 KiB at 1 and 64 callers.
func Matrix(kinds []string, short bool) []Cell {
	sizes, callers := []int{100, kib, 64 * kib}, []int{1, 16, 64, 256}
	if short {
		sizes, callers = []int{kib}, []int{1, 64}
	}
	m := matrix{kinds: kinds}
	for _, size := range sizes {
		for _, n := range callers {
			names := append([]string{"fleetcache", "fleetcache-get"}, rivals...)
			names = append(names, "groupcache-get")
			if size <= kib && (n == 1 || n == 64) {
				names = append(names, "fleetcache-tls")
			}
			m.add(cellName(size, n), fmt.Sprintf("%s, %s", SizeName(size), callersTitle(n)), load.Shape{Size: size, Callers: n}, names...)
		}
	}
	if short {
		return m.cells
	}
	for _, n := range []int{1, 64} {
		m.add(cellName(4*kib, n), fmt.Sprintf("4KiB, %s: TLS", callersTitle(n)), load.Shape{Size: 4 * kib, Callers: n}, "fleetcache", "fleetcache-tls")
	}
	for _, n := range []int{1, 16} {
		m.add(fmt.Sprintf("getmany%d/c%d", getManyKeys, n), fmt.Sprintf("%d keys of 1KiB in a call, %s", getManyKeys, callersTitle(n)),
			load.Shape{Size: kib, Callers: n, Many: getManyKeys}, "fleetcache", "fleetcache-get", "groupcache", "groupcache-get", "rueidis")
	}
	m.addBulk()
	return m.cells
}

type matrix struct {
	kinds []string
	cells []Cell
}

func (m *matrix) add(name, title string, s load.Shape, kinds ...string) {
	c := Cell{Name: name, Title: title}
	for _, k := range kinds {
		if slices.Contains(m.kinds, k) {
			c.Entries = append(c.Entries, Entry{Label: k, Kind: k, Shape: s})
		}
	}
	if len(c.Entries) > 0 {
		m.cells = append(m.cells, c)
	}
}

// addBulk adds the cell with and without another caller that gets large values.
func (m *matrix) addBulk() {
	s := load.Shape{Size: kib, Callers: 16}
	if !slices.Contains(m.kinds, "fleetcache") {
		return
	}
	m.add(bulkCell, "1KiB, 16 callers, without and with one more that gets 16MiB values all the time", s, "fleetcache")
	s.Bulk = 16 * mib
	c := &m.cells[len(m.cells)-1]
	c.Entries = append(c.Entries, Entry{Label: bulkLabel, Kind: "fleetcache", Shape: s})
}

func cellName(size, callers int) string { return fmt.Sprintf("%s/c%d", SizeName(size), callers) }

func callersTitle(n int) string {
	if n == 1 {
		return "1 caller"
	}
	return fmt.Sprintf("%d callers", n)
}

// SizeName returns 100B, 64KiB or 16MiB, say.
func SizeName(size int) string {
	switch {
	case size%mib == 0:
		return fmt.Sprintf("%dMiB", size/mib)
	case size%kib == 0:
		return fmt.Sprintf("%dKiB", size/kib)
	}
	return fmt.Sprintf("%dB", size)
}
