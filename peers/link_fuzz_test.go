package peers

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// Whatever comes from a server ends all calls, each with an answer or an error that says what kind it is.
func FuzzLink(f *testing.F) {
	value := make([]byte, 70_000)
	answer := lastAnswer(0, []byte("v"))
	head := wire.AppendLastAnswerHead(nil, 0, &cache.Answer{}, 0)
	long := append(head, value...)
	first := append(wire.AppendFirst(nil, wire.TypeAnswer, 0, 40_000, len(long)), long[:40_000]...)
	rest := frame(wire.TypePart, 0, long[40_000:])
	of := func(i int) []byte { return frame(wire.TypeAnswer, 1, wire.AppendAnswerHead(nil, i, &cache.Answer{})) }
	for _, s := range seeds(
		answer, endFrame(0, wire.OK), endFrame(0, wire.Unsupported), endFrame(2, wire.OK), endFrame(77, wire.OK),
		slices.Concat(first, rest), slices.Concat(rest, first), slices.Concat(first, answer, rest), slices.Concat(first, first),
		slices.Concat(of(0), of(2), of(1), endFrame(1, wire.OK)), slices.Concat(of(0), of(0)), of(3), slices.Concat(of(1), endFrame(1, wire.OK)),
		slices.Concat(answer, answer), frame(wire.TypeGoAway, 0, nil), slices.Concat(frame(wire.TypeGoAway, 0, nil), answer, endFrame(1, wire.Closed), endFrame(2, wire.OK)),
		wire.AppendCredit(nil, 2, 1<<20), wire.AppendCredit(nil, 5, 1), frame(wire.TypePing, 0, nil), frame(wire.TypePong, 0, nil),
		wire.AppendFirst(nil, wire.TypeAnswer, 0, 0, 1<<62), wire.AppendFrameHead(nil, wire.TypeAnswer, 1<<63, 1<<40), frame(99, 1, nil),
	) {
		f.Add(s, uint16(1<<15))
		f.Add(s, uint16(1))
	}
	p, err := New(Config{Self: "http://a", Insecure: true, MaxValueBytes: 1 << 17})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { p.Close() })
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c := &memConn{in: slices.Clone(in), cut: int(cut) + 1}
		l := newLink(newPeer(p, "http://127.0.0.1:1/"), c, c, wire.AllFeatures)
		var started []*call
		for _, q := range []*wire.Request{
			{Verb: wire.Get, MaxValue: 1 << 17, Get: &cache.GetRequest{Cache: "c", Keys: []string{"k"}}},
			{Verb: wire.Get, MaxValue: 1 << 17, Get: &cache.GetRequest{Cache: "c", Keys: []string{"a", "b", "c"}}},
			{Verb: wire.Store, Store: &cache.StoreRequest{Cache: "c", Key: "k", Value: value}},
		} {
			q.Timeout = cache.Forever
			call, err := newCall(l.p, q)
			if err != nil {
				t.Fatal(err)
			}
			call.once = true // nothing is sent again: there is no other connection
			if l.start(call, cache.Forever) {
				started = append(started, call)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for _, call := range started {
			seen := map[int]bool{}
			for {
				i, _, err := call.Next(ctx)
				if err == nil {
					if i < 0 || i >= call.keys || seen[i] {
						t.Fatalf("key %d of %d is answered", i, call.keys)
					}
					seen[i] = true
					continue
				}
				if e := (*Error)(nil); err == io.EOF && len(seen) != call.keys || err != io.EOF && !errors.As(err, &e) {
					t.Fatalf("after %d of %d answers: %v", len(seen), call.keys, err)
				}
				break
			}
			call.Close()
		}
		l.fail(errRetired)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20+200*uint64(len(in)) {
			t.Fatalf("%d bytes were allocated for %d", n, len(in))
		}
	})
}

// A server that sends what makes no sense is named, with the reason, in the error and in the log.
func TestLinkGarbageIsLogged(t *testing.T) {
	var log logbook
	_, b, ab := upgradedPair(t, func(c *Config) { c.Logger = log.logger() })
	var send atomic.Pointer[[]byte]
	b.takeOver(t, func(e *rawEnd) {
		e.serveFrames(func(f wire.Frame) []byte {
			if f.Type == wire.TypeRequest {
				return *send.Load()
			}
			return nil
		})
	})
	for name, garbage := range map[string][]byte{
		"flags 0x80":            {byte(wire.TypeAnswer), 0, 1, 0x80},
		"are left over":         frame(wire.TypeCredit, 0, []byte{1, 1}),
		"not under way":         endFrame(55, wire.OK),
		"at most":               wire.AppendFrameHead(nil, wire.TypeAnswer, 0, wire.MaxPayload+1),
		"a ping of":             frame(wire.TypePing, 0, make([]byte, wire.MaxPing+1)),
		"answers key 1 of 1":    append(frame(wire.TypeAnswer, 0, wire.AppendAnswerHead(nil, 1, &cache.Answer{})), endFrame(0, wire.OK)...),
		"keys were not answer":  endFrame(0, wire.OK),
		"longer than need be":   {byte(wire.TypeEnd), 0x80, 0},
		"within another one of": slices.Concat(wire.AppendFirst(nil, wire.TypeAnswer, 0, 0, 9), wire.AppendFirst(nil, wire.TypeAnswer, 0, 0, 9)),
	} {
		send.Store(&garbage)
		_, err := get(t.Context(), ab, "k")
		wantErr(t, err, ErrProtocol)
		whole := name != "answers key 1 of 1" && name != "keys were not answer" // one call's, not the connection's
		if err == nil || !containsAll(err.Error(), name, b.Self()) || whole && !containsAll(log.String(), "no sense", name, b.Self()) {
			t.Errorf("%s: %v\n%s", name, err, &log)
		}
		ab.health.pong(time.Now(), nil)
	}
}
