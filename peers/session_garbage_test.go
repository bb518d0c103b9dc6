package peers

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// A frame of a length that no frame has ends the connection; so does one that makes no sense.
func TestG11SessionGarbageEndsIt(t *testing.T) {
	n := rawNode(t, nil)
	n.attach(t, responder{get: func(ctx context.Context, _ *cache.GetRequest, _ func(int, cache.Answer)) error {
		<-ctx.Done()
		return ctx.Err()
	}})
	get := getRequest(t, "k")
	for name, garbage := range map[string][]byte{
		"a frame that is too long":    wire.AppendFrameHead(nil, wire.TypeRequest, 1, wire.MaxPayload+1),
		"a length of no end":          {byte(wire.TypeRequest), 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"a number in a longer form":   {byte(wire.TypeRequest), 0x81, 0x00, 0},
		"a number that is used twice": append(frame(wire.TypeRequest, 1, get), frame(wire.TypeRequest, 1, get)...),
		"more than was announced":     append(wire.AppendFirst(nil, wire.TypeRequest, 1, 3, 2), 1, 2, 3),
		"a beginning in the middle":   append(append(wire.AppendFirst(nil, wire.TypeRequest, 1, 1, 9), 1), append(wire.AppendFirst(nil, wire.TypeRequest, 1, 1, 9), 1)...),
		"a first part of nothing":     frame(wire.TypeRequest|wire.FirstPart, 1, nil),
		"a credit that is none":       frame(wire.TypeCredit, 1, []byte{1, 2}),
		"a long ping":                 frame(wire.TypePing, 0, make([]byte, wire.MaxPing+1)),
	} {
		before := n.Stats().RejectedGarbage
		l := dialRaw(t, n)
		l.write(garbage)
		if !l.ended() {
			t.Errorf("%s: the connection goes on", name)
		}
		if n.Stats().RejectedGarbage != before+1 {
			t.Errorf("%s: is not counted", name)
		}
	}
	until(t, "the end of all connections", func() bool { s := n.Stats(); return s.Connections == 0 && s.InFlight == 0 })
	// What a request says that makes no sense is its own affair.
	l := dialRaw(t, n)
	l.write(frame(wire.TypeRequest, 1, []byte{2}), frame(wire.TypeRequest, 2, append(get, 0)), frame(wire.TypeRequest, 3, nil))
	codes := map[uint64]wire.Code{}
	for range 3 {
		f := l.next()
		e, err := wire.DecodeEnd(f.Payload)
		if err != nil {
			t.Fatal(err)
		}
		codes[f.Call] = e.Code
	}
	if fmt.Sprint(codes) != "map[1:3 2:3 3:3]" {
		t.Errorf("codes %v, want %d for each", codes, wire.BadRequest)
	}
}

// A connection that ends in order, or breaks, is no garbage.
func TestSessionEndIsNoGarbage(t *testing.T) {
	var log logbook
	n := rawNode(t, func(c *Config) { c.Logger = log.logger() })
	n.attach(t, responder{hit: func(string, string) (cache.Answer, bool) { return cache.Answer{Value: make([]byte, 60_000)}, true }})
	for i := range 4 {
		l := dialRaw(t, n)
		for call := range uint64(i * 100) {
			l.write(frame(wire.TypeRequest, call, getRequest(t, "k")))
		}
		if i%2 == 0 {
			l.nc.(*net.TCPConn).SetLinger(0)
		}
		l.nc.Close()
	}
	until(t, "the end of all connections", func() bool { return n.Stats().Connections == 0 })
	if s := n.Stats(); s.RejectedGarbage != 0 || strings.Contains(log.String(), "no sense") {
		t.Errorf("%+v\n%s", s, &log)
	}
}
