package httpcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fillFlow writes a body into f as an exchange does, in pieces of any size, and ends it.
func fillFlow(ctx context.Context, f *flow, body string, end error) {
	for off := 0; off < len(body); {
		room, err := f.room(ctx)
		if err != nil {
			f.finish(err, nil)
			return
		}
		n := copy(room, body[off:min(len(body), off+1+rand.IntN(40))])
		f.add(n)
		off += n
	}
	f.finish(end, http.Header{"X-Sum": {"1"}})
}

// Any number of readers, each at his own pace, have all of a flow, in order, though its blocks are handed over while they read.
func TestFlowReaders(t *testing.T) {
	body := text(5000)
	for _, end := range []error{io.EOF, errBroken} {
		t.Run(end.Error(), func(t *testing.T) {
			f := newFlow(64, 0)
			f.held = true
			var mu sync.Mutex // guards stored
			stored := make(map[int64]string)
			var wg sync.WaitGroup
			wg.Go(func() { fillFlow(t.Context(), f, body, end) })
			wg.Go(func() {
				for i := int64(0); ; i++ {
					b, err := f.awaitBlock(t.Context(), i)
					if err != nil {
						if err != end {
							t.Errorf("block %d: %v", i, err)
						}
						f.window() // or the rest of it has no room
						return
					}
					mu.Lock()
					stored[i] = string(b)
					mu.Unlock()
					f.handOver(i)
				}
			})
			for r := range 8 {
				wg.Go(func() {
					var got strings.Builder
					for {
						b, err := f.read(t.Context(), fmt.Sprint(r), int64(got.Len()))
						if err == errHandedOver {
							mu.Lock()
							chunk := stored[int64(got.Len())/64]
							mu.Unlock()
							b, err = []byte(chunk[got.Len()%64:]), nil
						}
						if err != nil {
							if whole := got.String() == body; err != end || end == io.EOF && !whole || !strings.HasPrefix(body, got.String()) {
								t.Errorf("reader %d: %d bytes, then %v", r, got.Len(), err)
							}
							return
						}
						got.Write(b)
					}
				})
			}
			wg.Wait()
		})
	}
}

// What nobody stores is never in memory as a whole: the origin waits for those who read, and not for those who have left.
func TestFlowWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := text(64 * 100)
		f := newFlow(64, 0)
		f.window()
		go fillFlow(t.Context(), f, body, io.EOF)
		synctest.Wait()
		if n := f.inMemory(); n > windowBlocks*64 {
			t.Errorf("%d bytes are in memory before anybody reads", n)
		}
		_, _ = f.read(t.Context(), "leaves", 0)
		var got strings.Builder
		for {
			b, err := f.read(t.Context(), "reads", int64(got.Len()))
			if err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			got.Write(b)
			if n := f.inMemory(); n > windowBlocks*64 {
				t.Fatalf("%d bytes are in memory", n)
			}
		}
		if got.String() != body {
			t.Errorf("got %d bytes of %d", got.Len(), len(body))
		}
		// One that nobody reads at all ends.
		f = newFlow(64, 0)
		f.window()
		begin := time.Now()
		fillFlow(t.Context(), f, body, io.EOF)
		if _, err := f.awaitLonger(t.Context(), 1<<40); !errors.Is(err, errNoReaders) || time.Since(begin) > 3*readerPatience {
			t.Errorf("it ended with %v after %v", err, time.Since(begin))
		}
	})
}

// Flows that have ended are few, and take little; those that have not are not forgotten for them.
func TestFlowsThatLinger(t *testing.T) {
	fs := flows{limit: 1000}
	going := newFlow(100, 0)
	fs.add(going)
	for range 3 * maxLingering {
		f := newFlow(100, 0)
		fs.add(f)
		fillFlow(t.Context(), f, text(250), io.EOF)
		fs.linger(f)
		if fs.get(f.id) == nil {
			t.Fatal("one that has just ended is forgotten")
		}
		sum := int64(0)
		for _, f := range fs.ended {
			sum += f.inMemory()
		}
		if sum != fs.bytes || sum > fs.limit || len(fs.byID) != len(fs.ended)+1 {
			t.Fatalf("%d bytes are counted as %d", sum, fs.bytes)
		}
	}
	if fs.get(going.id) == nil {
		t.Error("one that goes on is forgotten")
	}
	if _, err := fs.get(going.id).read(canceled(), "r", 0); !errors.Is(err, context.Canceled) {
		t.Errorf("a read whose context has ended: %v", err)
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
