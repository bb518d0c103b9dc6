package hitratio

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// suffix is what the files of traces end with.
	suffix = ".bin.gz"
	// recordLen is the length of a record: uint64 key, uint32 size, little endian.
	recordLen = 12
	// maxRequests bounds what one file makes the program hold.
	maxRequests = 1 << 26
)

// A record is one request, as it is in a file.
type record struct {
	key  uint64
	size uint32
}

// A trace is a sequence of requests. Its keys are numbered in the order in which they come first.
type trace struct {
	name     string
	requests []uint32 // numbers of keys
	keys     []string // 8 bytes each
	sizes    []int64  // of keys: the largest that the key is asked for with, since a cache that is told of one size only needs one
	sized    bool     // not all sizes are 1, and capacities are in bytes; else in keys
	total    int64    // of sizes
}

// unit is what capacities are in.
func (t *trace) unit() string {
	if t.sized {
		return "bytes"
	}
	return "keys"
}

// newTrace makes a trace of records. A size of 0 counts as 1, since what takes no room at all is no question to a cache.
func newTrace(name string, records []record) *trace {
	t := &trace{name: name, requests: make([]uint32, len(records))}
	numbers := make(map[uint64]uint32)
	for i, r := range records {
		n, ok := numbers[r.key]
		if !ok {
			n = uint32(len(t.keys))
			numbers[r.key] = n
			t.keys = append(t.keys, string(binary.LittleEndian.AppendUint64(nil, r.key)))
			t.sizes = append(t.sizes, 1)
		}
		t.requests[i] = n
		t.sizes[n] = max(t.sizes[n], int64(r.size))
	}
	for _, size := range t.sizes {
		t.total += size
	}
	t.sized = t.total != int64(len(t.sizes))
	return t
}

// next returns for each request the place of the next one for the same key, never if there is none.
func (t *trace) next() []uint32 {
	next := make([]uint32, len(t.requests))
	last := slices.Repeat([]uint32{never}, len(t.keys))
	for i, n := range slices.Backward(t.requests) {
		next[i] = last[n]
		last[n] = uint32(i)
	}
	return next
}

const never = 1<<32 - 1

// decode reads records until the end. The error names the record that is broken.
func decode(r io.Reader) ([]record, error) {
	var records []record
	var raw [recordLen]byte
	for {
		n, err := io.ReadFull(r, raw[:])
		switch {
		case err == io.EOF && len(records) == 0:
			return nil, errors.New("it has no records")
		case err == io.EOF:
			return records, nil
		case errors.Is(err, io.ErrUnexpectedEOF) && n > 0:
			return nil, fmt.Errorf("record %d: the file ends after %d of its %d bytes", len(records), n, recordLen)
		case err != nil:
			return nil, fmt.Errorf("record %d: %w", len(records), err)
		case len(records) == maxRequests:
			return nil, fmt.Errorf("record %d: there may be %d at most: cut the trace", len(records), maxRequests)
		}
		records = append(records, record{binary.LittleEndian.Uint64(raw[:]), binary.LittleEndian.Uint32(raw[8:])})
	}
}

// readFile reads a gzipped trace.
func readFile(file string) ([]record, error) {
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		return nil, fmt.Errorf("%s: it is not gzipped: %w", file, err)
	}
	records, err := decode(bufio.NewReader(z))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return records, nil
}

// A named is the records of a trace, before it is cut and numbered.
type named struct {
	name    string
	records []record
}

// readFolder reads all traces of a folder, in the order of their names.
func readFolder(folder string) ([]named, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*"+suffix))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no traces: there must be files there whose names end in %s", folder, suffix)
	}
	traces := make([]named, len(files))
	for i, file := range files {
		records, err := readFile(file)
		if err != nil {
			return nil, err
		}
		traces[i] = named{strings.TrimSuffix(filepath.Base(file), suffix), records}
	}
	return traces, nil
}

// cut shortens the longest of the traces, so that together they have at most so many requests, and returns how many it shortened.
func cut(traces []named, most int) (shortened int) {
	order := slices.Clone(traces)
	slices.SortStableFunc(order, func(a, b named) int { return len(a.records) - len(b.records) })
	limits := make(map[string]int)
	for i, t := range order { // the shortest first: what they leave is for the longer ones
		limits[t.name] = min(len(t.records), most/(len(order)-i))
		most -= limits[t.name]
	}
	for i, t := range traces {
		if limit := limits[t.name]; limit < len(t.records) {
			traces[i].records = t.records[:limit]
			shortened++
		}
	}
	return shortened
}
