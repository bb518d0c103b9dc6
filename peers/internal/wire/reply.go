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

// AppendPreface appends what the body of a POST, and of a reply to one, begins with.
func AppendPreface(dst []byte, signed bool) []byte {
	if signed {
		return append(dst, Version, flagSigned)
	}
	return append(dst, Version, 0)
}

// ReadPreface reads what a body begins with.
func ReadPreface(r *bufio.Reader) (signed bool, err error) {
	var b [2]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return false, cutOff(err)
	}
	return parsePreface(b)
}

func parsePreface(b [2]byte) (signed bool, err error) {
	if b[0] != Version {
		return false, fmt.Errorf("it has version %d of the format and this instance knows %d", b[0], Version)
	}
	if b[1]&^flagSigned != 0 {
		return false, fmt.Errorf("unknown flags %#x", b[1]&^flagSigned)
	}
	return b[1]&flagSigned != 0, nil
}

// RequestFrame returns the payload of the request that the body of a POST holds. It aliases b.
func RequestFrame(b []byte) ([]byte, error) {
	if len(b) < 2 {
		return nil, fmt.Errorf("request: %w", errShort)
	}
	signed, err := parsePreface([2]byte(b))
	if err != nil {
		return nil, fmt.Errorf("request: %w", err)
	}
	if signed { // as a whole, in a header
		return nil, errors.New("request: its frame is said to be signed")
	}
	f, n, err := ParseFrame(b[2:], uint64(len(b)))
	switch {
	case err != nil:
		return nil, fmt.Errorf("request: %w", err)
	case n == 0:
		return nil, fmt.Errorf("request: %w", errShort)
	case f.Type != TypeRequest:
		return nil, fmt.Errorf("request: the frame is of type %d", f.Type)
	case 2+n < len(b):
		return nil, fmt.Errorf("request: %d bytes are left over", len(b)-2-n)
	}
	return f.Payload, nil
}

// smallFrame is the length up to which a frame's memory is allocated before its bytes came.
const smallFrame = 64 << 10

// ReadFrame reads a frame, whose payload is at most limit bytes long, into memory of its own, and the
// signature that follows if signed is true. It allocates at most twice as much as it was sent, or smallFrame.
func ReadFrame(r *bufio.Reader, limit uint64, signed bool) (f Frame, signature []byte, err error) {
	typ, err := r.ReadByte()
	if err != nil {
		return Frame{}, nil, cutOff(err)
	}
	call, err := readUvarint(r)
	if err != nil {
		return Frame{}, nil, err
	}
	n, err := readUvarint(r)
	if err != nil {
		return Frame{}, nil, err
	}
	if n > limit {
		return Frame{}, nil, fmt.Errorf("reply: a frame has %d bytes, at most %d: %w", n, limit, ErrTooLarge)
	}
	total := n
	if signed {
		total += SignatureSize
	}
	b := make([]byte, min(total, smallFrame))
	for read := 0; ; {
		m, err := io.ReadFull(r, b[read:])
		if err != nil {
			return Frame{}, nil, cutOff(err)
		}
		read += m
		if uint64(read) == total {
			break
		}
		grown := make([]byte, min(total, 2*uint64(read)))
		copy(grown, b)
		b = grown
	}
	return Frame{Type: Type(typ), Call: call, Payload: b[:n:n]}, b[n:], nil
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
// payload. a.Message is cut at MaxMessage; an answer that has Tags has none.
func AppendAnswerHead(dst []byte, index int, a *cache.Answer) []byte {
	return appendAnswer(append(dst, answerFlags(a)), index, a)
}

// AppendLastAnswerHead is AppendAnswerHead for an answer that ends the reply.
func AppendLastAnswerHead(dst []byte, index int, a *cache.Answer, epoch uint64) []byte {
	dst = append(dst, flagLast|answerFlags(a))
	return appendAnswer(binary.BigEndian.AppendUint64(dst, epoch), index, a)
}

func answerFlags(a *cache.Answer) byte {
	return bit(flagLoaded, a.Loaded) | bit(flagAnswerTags, len(a.Tags) > 0)
}

func appendAnswer(dst []byte, index int, a *cache.Answer) []byte {
	dst = binary.AppendUvarint(dst, uint64(index))
	dst = append(dst, byte(a.Status))
	dst = appendDuration(dst, a.TTL)
	dst = appendDuration(dst, a.Stale)
	dst = appendSize(dst, a.Size)
	if len(a.Tags) > 0 {
		return appendTags(appendString(dst, ""), a.Tags)
	}
	return appendString(dst, cut(a.Message))
}

// A Keyed is an answer to one of the keys of a request.
type Keyed struct {
	Index int
	cache.Answer
	Chunk *Chunk   // that Value is in, and which is to be released; nil if Value is the receiver's
	Long  *Message // that has the value, if it came in parts
	Last  bool     // the reply ends here
	Epoch uint64   // of the answering instance's view, if it is the last
}

// DecodeAnswer decodes the payload of an answer. Its Value aliases b. Index may be out of range, up to MaxKeys.
func DecodeAnswer(b []byte) (Keyed, error) {
	var k Keyed
	r := reader{b: b}
	flags := r.flags(flagLoaded | flagLast | flagAnswerTags)
	k.Loaded, k.Last = flags&flagLoaded != 0, flags&flagLast != 0
	if k.Last {
		k.Epoch = r.fixed64()
	}
	index := r.uvarint()
	if index > MaxKeys {
		r.fail(fmt.Errorf("it answers key %d, of at most %d", index, MaxKeys))
	}
	k.Index = int(index)
	k.Status = cache.Status(r.byte())
	k.TTL = r.duration()
	k.Stale = r.duration()
	k.Size = r.size()
	k.Message = r.string(checkMessage)
	if k.Tags = r.tags(flags&flagAnswerTags != 0); len(k.Tags) > 0 && k.Message != "" {
		r.fail(errors.New("it has tags, and the text of an error"))
	}
	k.Value = r.rest()
	if err := r.end(); err != nil {
		return Keyed{}, fmt.Errorf("answer: %w", err)
	}
	return k, nil
}

// An End is the last frame of a reply.
type End struct {
	Code    Code
	Epoch   uint64 // of the answering instance's view
	Message string // for people, what Code does not say
}

// Bytes is the length of the value.
func (k *Keyed) Bytes() int {
	if k.Long != nil {
		return k.Long.Total()
	}
	return len(k.Value)
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
