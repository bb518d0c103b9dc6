package peers

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

const (
	// bufferSize is how much of a reply is gathered before it is written, and the largest
	// buffer that is kept for other replies.
	bufferSize = 32 << 10

	// lateness is how long an answer may wait for others before it is sent.
	lateness = time.Millisecond
)

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// A replyWriter writes a reply, frame by frame. Answers that come close together go out in one
// write; the first of them is kept back for lateness at most.
type replyWriter struct {
	pool *Pool
	w    http.ResponseWriter
	rc   *http.ResponseController
	sign *signer // nil: nothing is signed
	req  *mac    // what the request was signed with

	mu sync.Mutex
	// mu guards the fields below, against late, and is held while the reply is written. After
	// ended is set, late writes no more.

	pooled   *[]byte
	buf      []byte
	head     []byte // of the frame that is being appended
	seq      uint64
	left     int    // answers to come
	maxValue uint64 // that the sender takes
	own      int    // the longest value that this instance sends
	timer    *time.Timer
	armed    bool
	written  bool
	ended    bool
	failed   bool // the client is gone; nothing more is written
}

func newReplyWriter(p *Pool, w http.ResponseWriter, rc *http.ResponseController, in *incoming) *replyWriter {
	rw := &replyWriter{pool: p, w: w, rc: rc, sign: in.signer, req: in.mac, pooled: buffers.Get().(*[]byte)}
	rw.buf = wire.AppendPreface((*rw.pooled)[:0], rw.sign != nil)
	return rw
}

// expect says how many answers will come, and how long a value the sender takes, and this instance sends.
func (w *replyWriter) expect(answers int, maxValue uint64, own int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = answers
	w.maxValue, w.own = maxValue, own
}

// answer appends the answer to the key number i.
func (w *replyWriter) answer(i int, a cache.Answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fit(&a, w.maxValue, w.own)
	if a.Status != cache.StatusQueued {
		w.left--
	}
	w.head = wire.AppendAnswerHead(w.head[:0], i, &a)
	w.frameLocked(wire.TypeAnswer, w.head, a.Value)
	switch {
	case len(w.buf) >= bufferSize:
		w.writeLocked()
	case w.left > 0 && !w.armed:
		w.armed = true
		if w.timer == nil {
			w.timer = time.AfterFunc(lateness, w.late)
		} else {
			w.timer.Reset(lateness)
		}
	}
}

// late sends what waits for answers that do not come.
func (w *replyWriter) late() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return // w.w is not ours any more
	}
	w.armed = false
	if len(w.buf) == 0 || w.failed {
		return
	}
	w.writeLocked()
	w.rc.Flush()
}

// end ends the reply. It must be called once, before the handler returns.
func (w *replyWriter) end(e wire.End) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	if w.timer != nil {
		w.timer.Stop()
	}
	w.head = wire.AppendEnd(w.head[:0], e)
	w.frameLocked(wire.TypeEnd, w.head, nil)
	if !w.written {
		w.w.Header().Set("Content-Length", strconv.Itoa(len(w.buf)))
	}
	w.writeLocked()
	if cap(w.buf) <= 2*bufferSize {
		*w.pooled = w.buf[:0]
		buffers.Put(w.pooled)
	}
	w.buf = nil
}

// frameLocked appends a frame with the payload head and tail. A long tail is not copied.
func (w *replyWriter) frameLocked(typ wire.Type, head, tail []byte) {
	w.buf = wire.AppendFrameHead(w.buf, typ, 0, len(head)+len(tail))
	w.buf = append(w.buf, head...)
	if len(tail) < bufferSize {
		w.buf = append(w.buf, tail...)
	} else {
		w.writeLocked()
		for part := tail; len(part) > 0; {
			n := min(len(part), 8*bufferSize)
			w.rawLocked(part[:n])
			part = part[n:]
		}
	}
	if w.sign != nil {
		m := w.sign.frame(w.req, w.seq, byte(typ), head, tail)
		w.buf = append(w.buf, m[:]...)
	}
	w.seq++
}

func (w *replyWriter) writeLocked() {
	w.rawLocked(w.buf)
	w.buf = w.buf[:0]
}

func (w *replyWriter) rawLocked(b []byte) {
	if w.failed {
		return
	}
	if !w.written {
		w.written = true
		w.w.Header().Set("Content-Type", contentType)
	}
	// The server clears the deadline after the request.
	_ = w.rc.SetWriteDeadline(time.Now().Add(w.pool.cfg.ReadTimeout))
	_, err := w.w.Write(b)
	w.failed = err != nil
}
