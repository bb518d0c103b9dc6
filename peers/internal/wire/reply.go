package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// AppendPreface appends what a reply begins with.
func AppendPreface(dst []byte, signed bool) []byte {
	if signed {
		return append(dst, Version, flagSigned)
	}
	return append(dst, Version, 0)
}

// ReadPreface reads what a reply begins with.
func ReadPreface(r *bufio.Reader) (signed bool, err error) {
	var b [2]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return false, cutOff(err)
	}
	if b[0] != Version {
		return false, fmt.Errorf("reply: it has version %d of the format and this instance knows %d", b[0], Version)
	}
	if b[1]&^flagSigned != 0 {
		return false, fmt.Errorf("reply: unknown flags %#x", b[1]&^flagSigned)
	}
	return b[1]&flagSigned != 0, nil
}

// AppendFrameHead appends what stands before a frame's payload of n bytes.
func AppendFrameHead(dst []byte, typ byte, n int) []byte {
	return binary.AppendUvarint(append(dst, typ), uint64(n))
}

// A Frame is a part of a reply.
type Frame struct {
	Type      byte
	Payload   []byte
	Signature []byte // SignatureSize bytes if the reply is signed, otherwise none
}

// smallFrame is the length up to which a frame's memory is allocated before its bytes came.
const smallFrame = 64 << 10

// ReadFrame reads a frame, whose payload is at most limit bytes long, into memory of its own. It
// allocates at most twice as much as it was sent, or smallFrame.
func ReadFrame(r *bufio.Reader, limit uint64, signed bool) (Frame, error) {
	typ, err := r.ReadByte()
	if err != nil {
		return Frame{}, cutOff(err)
	}
	n, err := readUvarint(r)
	if err != nil {
		return Frame{}, err
	}
	if n > limit {
		return Frame{}, fmt.Errorf("reply: a frame has %d bytes, at most %d: %w", n, limit, ErrTooLarge)
	}
	total := n
	if signed {
		total += SignatureSize
	}
	b := make([]byte, min(total, smallFrame))
	for read := 0; ; {
		m, err := io.ReadFull(r, b[read:])
		if err != nil {
			return Frame{}, cutOff(err)
		}
		read += m
		if uint64(read) == total {
			break
		}
		grown := make([]byte, min(total, 2*uint64(read)))
		copy(grown, b)
		b = grown
	}
	return Frame{Type: typ, Payload: b[:n:n], Signature: b[n:]}, nil
}

// readUvarint is reader.uvarint for a stream.
func readUvarint(r *bufio.Reader) (uint64, error) {
	var v uint64
	for i := range binary.MaxVarintLen64 {
		c, err := r.ReadByte()
		if err != nil {
			return 0, cutOff(err)
		}
		if c >= 0x80 {
			v |= uint64(c&0x7f) << (7 * i)
			continue
		}
		switch {
		case i == binary.MaxVarintLen64-1 && c > 1:
			return 0, fmt.Errorf("reply: %w", errRange)
		case i > 0 && c == 0:
			return 0, fmt.Errorf("reply: %w", errOverlong)
		}
		return v | uint64(c)<<(7*i), nil
	}
	return 0, fmt.Errorf("reply: %w", errRange)
}

func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("reply: %w: %w", errShort, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("reply: %w", err)
}

// AppendAnswerHead appends the payload of an answer without its value, which ends the
// payload. a.Message is cut at MaxMessage.
func AppendAnswerHead(dst []byte, index int, a *cache.Answer) []byte {
	dst = binary.AppendUvarint(dst, uint64(index))
	var flags byte
	if a.Loaded {
		flags |= flagLoaded
	}
	dst = append(dst, byte(a.Status), flags)
	dst = appendDuration(dst, a.TTL)
	dst = appendDuration(dst, a.Stale)
	dst = appendSize(dst, a.Size)
	return appendString(dst, cut(a.Message))
}

// DecodeAnswer decodes the payload of an answer, to one of n keys. Its Value aliases b.
func DecodeAnswer(b []byte, n int) (index int, a cache.Answer, err error) {
	r := reader{b: b}
	i := r.uvarint()
	if i >= uint64(n) {
		r.fail(fmt.Errorf("it answers key %d of %d", i, n))
	}
	a.Status = cache.Status(r.byte())
	a.Loaded = r.flags(flagLoaded)&flagLoaded != 0
	a.TTL = r.duration()
	a.Stale = r.duration()
	a.Size = r.size()
	a.Message = r.string(checkMessage)
	a.Value = r.rest()
	if err := r.end(); err != nil {
		return 0, cache.Answer{}, fmt.Errorf("answer: %w", err)
	}
	return int(i), a, nil
}

// An End is the last frame of a reply.
type End struct {
	Code    Code
	Epoch   uint64 // of the answering instance's view
	Message string // for people, what Code does not say
}

// AppendEnd appends the payload of an end. e.Message is cut at MaxMessage.
func AppendEnd(dst []byte, e End) []byte {
	dst = append(dst, byte(e.Code))
	dst = binary.BigEndian.AppendUint64(dst, e.Epoch)
	return append(dst, cut(e.Message)...)
}

// DecodeEnd decodes the payload of an end.
func DecodeEnd(b []byte) (End, error) {
	r := reader{b: b}
	e := End{Code: Code(r.byte()), Epoch: r.fixed64()}
	if err := checkMessage(uint64(len(r.b))); err != nil {
		r.fail(err)
	}
	e.Message = string(r.rest())
	if err := r.end(); err != nil {
		return End{}, fmt.Errorf("end of the reply: %w", err)
	}
	return e, nil
}

func checkMessage(n uint64) error {
	if n > MaxMessage {
		return fmt.Errorf("a message has %d bytes, at most %d: %w", n, MaxMessage, ErrTooLarge)
	}
	return nil
}

// cut shortens an error's text to what the format carries, without leaving half a rune.
func cut(s string) string {
	const mark = " [...]"
	if len(s) <= MaxMessage {
		return s
	}
	return strings.ToValidUTF8(s[:MaxMessage-len(mark)], "") + mark
}
