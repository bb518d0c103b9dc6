package peerstest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

var fieldChecks = []Check{
	{"RequestFields", "A GetRequest asks an instance for values.", 2, checkRequestFields},
	{"AnswerFields", "An Answer is what an instance says of one key.", 2, checkAnswerFields},
	{"AnswerTTL", "TTL is Forever if the answer does not expire, zero or less if it must not be kept.", 2, checkAnswerTTL},
	{"AnswerStatus", "A Status that an instance does not know is an error to it: it crosses as it is.", 2, checkAnswerStatus},
	{"AnyValue", "Value is the encoded value: any bytes.", 2, checkAnyValue},
	{"BigValue", "Value is the encoded value: a mebibyte of it.", 2, checkBigValue},
}

var copyChecks = []Check{
	{"AnswerIsOwned", "The receiver of an Answer from a Peer owns its Value.", 2, checkAnswerIsOwned},
	{"AnswerStaysGood", "Value is good until the next call of a method of the Answers that it came from, even if it is Borrowed.", 2, checkAnswerStaysGood},
	{"RequestIsCopied", "Get does not keep req: its sender may use it again when Get has returned.", 2, checkRequestIsCopied},
	{"StoreIsOwned", "The receiver of a StoreRequest owns its Value, which nobody else changes.", 2, checkStoreIsOwned},
}

func checkRequestFields(f *fixture) {
	var got sightings[cache.GetRequest]
	f.attach(1, name, Responder{GetFunc: func(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
		c := *req
		c.Keys = slices.Clone(req.Keys)
		c.Carried = nil // nil and empty are one
		if len(req.Carried) > 0 {
			c.Carried = maps.Clone(req.Carried)
		}
		got.add(c)
		return echo(ctx, req, deliver)
	}})
	p := f.peer(0, 1)
	send := func(req *cache.GetRequest) error {
		_, err := f.try(f.ctx, p, req)
		return err
	}
	checkCrosses(f, &got, send,
		cache.GetRequest{Cache: name, Keys: []string{"k"}},
		cache.GetRequest{Cache: name, Version: "v2 ü/\x00\xff", Keys: []string{"a", "b"}, Reload: true},
		cache.GetRequest{Cache: name, Keys: []string{"k"}, Takeover: true},
		cache.GetRequest{Cache: name, Keys: []string{"k"}, Peek: true},
		cache.GetRequest{Cache: name, Keys: []string{"k"}, Carried: map[string]string{
			"traceparent": "00-4bf9-01", "tenant": "ü\n\x00\xff", "": "empty", "none": "",
		}},
	)
}

// answer has a Responder say want, and returns what arrives.
func (f *fixture) answer(want cache.Answer) cache.Answer {
	f.Helper()
	detach := f.attach(1, name, Responder{GetFunc: func(_ context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
		deliver(0, want)
		return nil
	}})
	defer detach()
	return f.get(f.peer(0, 1), "k")[0]
}

func checkAnswerFields(f *fixture) {
	for _, want := range []cache.Answer{
		{Status: cache.StatusOK, Value: []byte("v"), Size: 1 << 40, TTL: time.Minute, Stale: time.Hour, Loaded: true},
		{Status: cache.StatusOK, Value: []byte("v"), TTL: time.Nanosecond, Stale: time.Nanosecond},
		{Status: cache.StatusOK, Value: []byte("v"), TTL: 1234567890123 * time.Microsecond, Loaded: true},
		{Status: cache.StatusOK, Value: []byte("v"), Size: 1, TTL: time.Second, Stale: cache.Forever},
		{Status: cache.StatusOK, Value: []byte("v"), TTL: time.Second, Tags: []string{"tag"}},
		{Status: cache.StatusOK, Value: []byte("v"), TTL: time.Second, Tags: anyTags, Loaded: true},
		{Status: cache.StatusLoadFailed, TTL: time.Second, Message: "origin: 500 Internal Server Error\n\"ü\" 日本"},
		{Status: cache.StatusNotFound, TTL: time.Minute, Message: "no such user", Loaded: true},
	} {
		got := f.answer(want)
		if !bytes.Equal(got.Value, want.Value) {
			f.Errorf("value %q arrived as %q", want.Value, got.Value)
		}
		got.Value = want.Value
		if !reflect.DeepEqual(got, want) {
			f.Errorf("answer %+v arrived as %+v", want, got)
		}
	}
}

func checkAnswerTTL(f *fixture) {
	for _, ttl := range []time.Duration{cache.Forever, cache.Forever - 1, 24 * time.Hour, 1, 0, -1, -time.Hour} {
		got := f.answer(cache.Answer{Value: []byte("v"), TTL: ttl}).TTL
		if ttl > 0 && got != ttl || ttl <= 0 && got > 0 {
			f.Errorf("TTL %v arrived as %v", int64(ttl), int64(got))
		}
	}
}

func checkAnswerStatus(f *fixture) {
	for _, status := range []cache.Status{
		cache.StatusOK, cache.StatusNotFound, cache.StatusLoadFailed, cache.StatusLoadPanicked,
		cache.StatusLoadTimeout, cache.StatusEncodeFailed, cache.StatusTooLarge, cache.StatusAbsent, cache.StatusOverloaded, 200, 255,
	} {
		if got := f.answer(cache.Answer{Status: status, Message: "why"}); got.Status != status || got.Message != "why" {
			f.Errorf("status %d arrived as %d with message %q", status, got.Status, got.Message)
		}
	}
}

func checkAnyValue(f *fixture) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, value := range [][]byte{nil, {}, {0}, []byte("\r\n\r\n"), []byte("\n0\r\n"), {0xff, 0xfe}, all} {
		if got := f.answer(cache.Answer{Value: value}); !bytes.Equal(got.Value, value) {
			f.Errorf("value %q arrived as %q", value, got.Value)
		}
	}
}

func checkBigValue(f *fixture) {
	value := make([]byte, 1<<20)
	for i := range value {
		value[i] = byte(i ^ i>>8 ^ i>>16)
	}
	if got := f.answer(cache.Answer{Value: value}); !bytes.Equal(got.Value, value) {
		f.Errorf("a value of %d bytes arrived as another of %d bytes", len(value), len(got.Value))
	}
}

func checkAnswerStaysGood(f *fixture) {
	sizes := []int{1, 1 << 10, 20 << 10, 64 << 10, 300 << 10}
	f.attach(1, name, Responder{GetFunc: func(_ context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
		for i, key := range req.Keys {
			deliver(i, cache.Answer{Value: bytes.Repeat([]byte(key), sizes[i%len(sizes)])})
		}
		return nil
	}})
	open := make(map[string]cache.Answers)
	lent := make(map[string][]byte)
	for _, key := range strings.Split("abcdefghijklmnopqrstuvwxyz", "") {
		open[key] = f.ask(time.Minute, slices.Repeat([]string{key}, len(sizes))...)
		for range int(key[0]) % len(sizes) { // which are given back by the one after
			if _, _, err := f.next(f.ctx, open[key]); err != nil {
				f.Fatalf("Next: %v", err)
			}
		}
		_, ans, err := f.next(f.ctx, open[key])
		if err != nil {
			f.Fatalf("Next: %v", err)
		}
		lent[key] = ans.Value
		f.get(f.peer(0, 1), slices.Repeat([]string{"?"}, 2*len(sizes))...)
		if key[0]%3 == 0 {
			open[key].Close()
			delete(lent, key)
			delete(open, key)
		}
	}
	for key, value := range lent {
		if n := len(value); n == 0 || !bytes.Equal(value, bytes.Repeat([]byte(key), n)) {
			f.Errorf("a value of %d bytes of %q has been changed while its Answers were not used", n, key)
		}
		open[key].Close()
	}
}

func checkAnswerIsOwned(f *fixture) {
	stored := []byte("what the cache holds")
	want := string(stored)
	f.attach(1, name, Responder{GetFunc: func(_ context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
		for i := range req.Keys {
			deliver(i, cache.Answer{Value: stored})
		}
		return nil
	}})
	for range 2 {
		got := f.get(f.peer(0, 1), "a", "b")
		for i := range 2 {
			if v := got[i].Value; string(v) != want {
				f.Fatalf("the value is %q after the receiver of another answer changed its own; want %q", v, want)
			}
			clear(got[i].Value)
		}
	}
	if string(stored) != want {
		f.Errorf("the Responder's value was changed to %q", stored)
	}
}

func checkRequestIsCopied(f *fixture) {
	asked, changed, seen := make(chan struct{}, 4), make(chan struct{}), make(chan string, 4)
	f.attach(1, name, Responder{GetFunc: func(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
		asked <- struct{}{}
		f.waitFor(changed)
		seen <- fmt.Sprint(req.Keys, req.Reload, req.Carried)
		return echo(ctx, req, deliver)
	}})
	req := &cache.GetRequest{Cache: name, Keys: []string{"a", "b"}, Carried: map[string]string{"tenant": "one"}}
	want := fmt.Sprint(req.Keys, req.Reload, req.Carried)
	a := f.peer(0, 1).Get(req, cache.Forever)
	defer a.Close()
	req.Keys[0], req.Keys[1] = "changed", "too"
	*req = cache.GetRequest{Cache: "another", Reload: true}
	await(f, asked, "the request at the Responder")
	close(changed)
	if got := await(f, seen, "the Responder"); got != want {
		f.Errorf("the sender changed its request after Get, and the Responder sees %s; want %s", got, want)
	}
}

func checkStoreIsOwned(f *fixture) {
	kept := make(chan []byte, 8)
	f.attach(1, name, Responder{StoreFunc: func(_ context.Context, req *cache.StoreRequest) error {
		kept <- req.Value
		return nil
	}})
	values := make([][]byte, 0, 2)
	buf := []byte("value 0")
	for i := range 2 {
		copy(buf, "value "+strconv.Itoa(i))
		if err := f.peer(0, 1).Store(f.ctx, &cache.StoreRequest{Cache: name, Key: "k", Value: buf}); err != nil {
			f.Fatalf("Store: %v", err)
		}
		values = append(values, await(f, kept, "the request at the Responder"))
	}
	for i, v := range values {
		if want := "value " + strconv.Itoa(i); string(v) != want {
			f.Errorf("what was stored as %q has become %q: the sender used its buffer again", want, v)
		}
	}
	clear(values[1])
	if string(buf) != "value 1" {
		f.Errorf("the Responder changed what it owns, and the sender's buffer is %q", buf)
	}
}
