package wire

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// A Known is an instance that another one knows, and for how long it will, at least.
type Known struct {
	URL string
	For time.Duration
	As  KnownAs
}

// KnownAs says what an instance is to one that knows it. The numbers are append-only; one that is not known is an error.
type KnownAs uint8

// The values of KnownAs.
const (
	KnownMember KnownAs = 0 // it is in the view
	KnownLeft   KnownAs = 1 // it was in the view
	KnownCame   KnownAs = 2 // it is not in the view yet, and has asked something, or others said that they know it
)

// MaxKnown is how many instances a list of them names at most.
const MaxKnown = 1 << 14

// maxURL is the length of the longest URL in one.
const maxURL = 2 << 10

func checkURL(n uint64) error {
	if n > maxURL {
		return fmt.Errorf("a URL has %d bytes, at most %d: %w", n, maxURL, ErrTooLarge)
	}
	return nil
}

// AppendKnown appends a list of instances, of which it leaves out what is beyond MaxKnown.
func AppendKnown(dst []byte, known []Known) []byte {
	known = known[:min(len(known), MaxKnown)]
	dst = binary.AppendUvarint(dst, uint64(len(known)))
	for _, k := range known {
		dst = appendString(dst, k.URL)
		dst = appendDuration(dst, k.For)
		dst = append(dst, byte(k.As))
	}
	return dst
}

// count reads the number of things that follow, each of which takes least bytes at least.
func (r *reader) count(what string, most, least uint64) int {
	n := r.uvarint()
	switch {
	case r.err != nil:
		return 0
	case n > most:
		r.fail(fmt.Errorf("%d %s, at most %d: %w", n, what, most, ErrTooLarge))
		return 0
	case n > uint64(len(r.b))/least:
		r.fail(errShort)
		return 0
	}
	return int(n)
}

func (r *reader) known() []Known {
	n := r.count("instances", MaxKnown, 3)
	if n == 0 {
		return nil
	}
	known := make([]Known, 0, n)
	for range n {
		k := Known{r.string(checkURL), r.duration(), KnownAs(r.byte())}
		if k.As > KnownCame {
			r.fail(errRange)
		}
		if r.err != nil {
			return nil
		}
		known = append(known, k)
	}
	return known
}

// DecodeKnown decodes a list of instances, which is the value that answers a fence.
func DecodeKnown(b []byte) ([]Known, error) {
	r := reader{b: b}
	known := r.known()
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("known instances: %w", err)
	}
	return known, nil
}

// AppendHello appends the value that answers a hello.
func AppendHello(dst []byte, known []Known, h *cache.HelloReply) ([]byte, error) {
	dst = AppendKnown(dst, known)
	dst = append(dst, bit(flagGap, h.Gap))
	dst = binary.BigEndian.AppendUint64(dst, h.Life)
	dst = binary.AppendUvarint(dst, h.Seq)
	dst = binary.AppendUvarint(dst, uint64(len(h.Holds)))
	var err error
	for i := range h.Holds {
		f := &h.Holds[i]
		dst = append(dst, invalidationFlags(f.Tags, f.All))
		dst = binary.BigEndian.AppendUint64(dst, f.ID)
		dst = appendDuration(dst, f.Hold)
		if dst, err = appendInvalidated(dst, f.Keys, f.Tags, f.All); err != nil {
			return dst, err
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(h.Missed)))
	for i := range h.Missed {
		m := &h.Missed[i]
		dst = append(dst, invalidationFlags(m.Tags, m.All))
		dst = binary.BigEndian.AppendUint64(dst, m.ID)
		if dst, err = appendInvalidated(dst, m.Keys, m.Tags, m.All); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// Bytes that a hold and a missed invalidation take at least.
const (
	leastHold   = 1 + 8 + 1 + 1
	leastMissed = 1 + 8 + 1
)

// DecodeHello decodes the value that answers a hello. The Holds are of no cache by name.
func DecodeHello(b []byte) ([]Known, *cache.HelloReply, error) {
	r := reader{b: b}
	known := r.known()
	h := &cache.HelloReply{Gap: r.flags(flagGap)&flagGap != 0, Life: r.fixed64(), Seq: r.uvarint()}
	for range r.count("holds", MaxKeys, leastHold) {
		flags := r.flags(flagAll | flagTags)
		f := cache.FenceRequest{ID: r.fixed64(), Hold: r.duration()}
		if f.Keys, f.Tags, f.All = r.invalidated(flags); r.err != nil {
			break
		}
		h.Holds = append(h.Holds, f)
	}
	for range r.count("missed invalidations", MaxKeys, leastMissed) {
		flags := r.flags(flagAll | flagTags)
		m := cache.Invalidation{ID: r.fixed64()}
		if m.Keys, m.Tags, m.All = r.invalidated(flags); r.err != nil {
			break
		}
		h.Missed = append(h.Missed, m)
	}
	if err := r.end(); err != nil {
		return nil, nil, fmt.Errorf("hello: %w", err)
	}
	return known, h, nil
}

func appendHello(dst []byte, h *cache.HelloRequest) ([]byte, error) {
	if err := checkName("the cache's name", h.Cache); err != nil {
		return dst, err
	}
	dst = appendString(dst, h.Cache)
	dst = binary.BigEndian.AppendUint64(dst, h.Life)
	dst = binary.AppendUvarint(dst, h.Seq)
	return appendDuration(dst, h.Since), nil
}

// appendGone appends what a fence or a release has with flagViews: addresses, and of a fence what stands for those whom its
// sender knows.
func appendGone(dst []byte, gone []string) ([]byte, error) {
	if len(gone) > MaxKnown {
		return dst, fmt.Errorf("%d instances, at most %d: %w", len(gone), MaxKnown, ErrTooLarge)
	}
	dst = binary.AppendUvarint(dst, uint64(len(gone)))
	for _, url := range gone {
		if err := checkURL(uint64(len(url))); err != nil {
			return dst, err
		}
		dst = appendString(dst, url)
	}
	return dst, nil
}

func (r *reader) gone() []string {
	n := r.count("instances", MaxKnown, 1)
	if n == 0 {
		return nil
	}
	gone := make([]string, 0, n)
	for range n {
		gone = append(gone, r.string(checkURL))
	}
	return gone
}
