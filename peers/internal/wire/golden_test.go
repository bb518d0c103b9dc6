package wire

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

var update = flag.Bool("update", false, "write the golden files anew")

// samples are one request of each kind, with every field set to something.
func samples() map[string]*Request {
	return map[string]*Request{
		"ping":  {Verb: Ping, Epoch: 0x0102030405060708, Timeout: cache.Forever},
		"stats": {Verb: Stats, Epoch: 0x0102030405060708, Timeout: time.Second},
		"get": {Verb: Get, Epoch: 0x0102030405060708, Timeout: 3 * time.Second, MaxValue: 64 << 20, Get: &cache.GetRequest{
			Cache: "users", Version: "v2", Keys: []string{"42"},
		}},
		"get_many": {Verb: Get, Epoch: 1, Timeout: 3 * time.Second, MaxValue: 64 << 20, Get: &cache.GetRequest{
			Cache: "users", Version: "v2", Keys: []string{"", ".", "..", "a b", "a+b", "a//b", "\xff\x00"}, Reload: true, Takeover: true,
			Carried: map[string]string{"traceparent": "00-1", "b": "", "": "x"},
		}},
		"get_peek": {Verb: Get, Timeout: cache.Forever, Get: &cache.GetRequest{Cache: "users", Keys: []string{"42"}, Peek: true}},
		"fence": {Verb: Fence, Epoch: 1<<64 - 1, Timeout: 1, Fence: &cache.FenceRequest{
			Cache: "users", ID: 0xdeadbeef, Keys: []string{"k"}, Hold: time.Minute,
		}},
		"fence_tags": {Verb: Fence, Timeout: time.Second, Views: true, Known: 1, Fence: &cache.FenceRequest{
			Cache: "users", ID: 3, Tags: []string{"team-7", ""}, Hold: time.Second,
		}},
		"release_tags": {Verb: Release, Timeout: time.Second, Release: &cache.ReleaseRequest{Cache: "users", ID: 3, Tags: []string{"team-7", ""}}},
		"store_tags":   {Verb: Store, Timeout: time.Hour, Store: &cache.StoreRequest{Cache: "users", Key: "k", Value: []byte("value"), Tags: []string{"team-7", ""}}},
		"fence_all":    {Verb: Fence, Timeout: cache.Forever, Fence: &cache.FenceRequest{Cache: "users", ID: 1, All: true}},
		"fence_views": {Verb: Fence, Timeout: time.Second, Views: true, Known: 0x0102030405060708, Fence: &cache.FenceRequest{
			Cache: "users", ID: 2, Keys: []string{"k"}, Hold: time.Second, Gone: []string{"http://10.0.0.9/"},
		}},
		"release_views": {Verb: Release, Timeout: time.Second, Views: true, Release: &cache.ReleaseRequest{
			Cache: "users", ID: 2, Keys: []string{"k"}, Gone: []string{"http://10.0.0.9/", "http://10.0.0.8/"},
		}},
		"hello":           {Verb: Hello, Timeout: 2 * time.Second, Hello: &cache.HelloRequest{Cache: "users", Life: 5, Seq: 300, Since: time.Hour}},
		"leave":           {Verb: Leave, Timeout: 2 * time.Second},
		"list":            {Verb: List, Timeout: 5 * time.Second, List: &cache.ListRequest{Cache: "users", Version: "v2", Cursor: 1<<64 - 1}},
		"list_slots":      {Verb: List, Timeout: 5 * time.Second, List: &cache.ListRequest{Cache: "users", Cursor: 7, Slots: &cache.Slots{0: 1, 8191: 128}}},
		"hello_brief":     {Verb: Hello, Timeout: 2 * time.Second, Hello: &cache.HelloRequest{Cache: "users", Life: 5, Seq: 300, Brief: true}},
		"hello_forgot":    {Verb: Hello, Timeout: 2 * time.Second, Hello: &cache.HelloRequest{Cache: "users", Life: 5, Seq: 300, Since: time.Hour, Forgot: true}},
		"hello_took_over": {Verb: Hello, Timeout: 2 * time.Second, Hello: &cache.HelloRequest{Cache: "users", Life: 5, Seq: 301, Brief: true, TookOver: true}},
		"release":         {Verb: Release, Timeout: cache.Forever, Release: &cache.ReleaseRequest{Cache: "users", ID: 1, Keys: []string{"k", "l"}}},
		"release_all":     {Verb: Release, Timeout: cache.Forever, Release: &cache.ReleaseRequest{Cache: "users", ID: 1, All: true}},
		"store": {Verb: Store, Timeout: time.Hour, Store: &cache.StoreRequest{
			Cache: "users", Version: "v2", Key: "k", Fence: 7, Value: []byte("value\x00"), TTL: cache.Forever, Stale: 0, Size: 1<<63 - 1,
		}},
	}
}

// encoded is q's payload.
func encoded(t testing.TB, q *Request) []byte {
	t.Helper()
	b, err := AppendRequest(nil, q)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func appendFrame(dst []byte, typ Type, call uint64, payload []byte) []byte {
	return append(AppendFrameHead(dst, typ, call, len(payload)), payload...)
}

// appendParts appends payload as a first part of n bytes and parts of n bytes.
func appendParts(dst []byte, typ Type, call uint64, payload []byte, n int) []byte {
	first := payload[:min(n, len(payload))]
	dst = append(AppendFirst(dst, typ, call, len(first), len(payload)), first...)
	for payload = payload[len(first):]; len(payload) > 0; payload = payload[min(n, len(payload)):] {
		dst = appendFrame(dst, TypePart, call, payload[:min(n, len(payload))])
	}
	return dst
}

var (
	sampleAnswer = cache.Answer{TTL: time.Minute, Stale: 1, Size: 300, Value: []byte("value"), Loaded: true}
	sampleTagged = cache.Answer{TTL: time.Minute, Value: []byte("value"), Tags: []string{"team-7", ""}}
	sampleFailed = cache.Answer{Status: cache.StatusLoadFailed, Message: "origin says no"}
	sampleEnd    = End{Code: OK, Epoch: 5, Message: "bye"}
)

// sampleFrames are the frames of a connection, each of call 300 if it is of one.
func sampleFrames() map[string][]byte {
	const call = 300
	answer := append(AppendAnswerHead(nil, 1, &sampleAnswer), sampleAnswer.Value...)
	last := append(AppendLastAnswerHead(nil, 0, &sampleAnswer, 0x0102030405060708), sampleAnswer.Value...)
	return map[string][]byte{
		"answer":        appendFrame(nil, TypeAnswer, call, answer),
		"answer_last":   appendFrame(nil, TypeAnswer, call, last),
		"answer_tags":   appendFrame(nil, TypeAnswer, call, append(AppendAnswerHead(nil, 1, &sampleTagged), sampleTagged.Value...)),
		"answer_failed": appendFrame(nil, TypeAnswer, call, AppendAnswerHead(nil, 0, &sampleFailed)),
		"answer_overloaded": appendFrame(nil, TypeAnswer, call, AppendAnswerHead(nil, 0, &cache.Answer{
			Status: cache.StatusOverloaded, Message: "no turn", Loaded: true,
		})),
		"answer_parts": appendParts(nil, TypeAnswer, call, last, 16),
		"end":          appendFrame(nil, TypeEnd, call, AppendEnd(nil, sampleEnd)),
		"cancel":       appendFrame(nil, TypeCancel, call, nil),
		"credit":       AppendCredit(nil, call, PartSize),
		"ping":         appendFrame(nil, TypePing, 0, []byte("1234")),
		"ping_empty":   appendFrame(nil, TypePing, 0, nil),
		"pong":         appendFrame(nil, TypePong, 0, []byte("1234")),
		"go_away":      appendFrame(nil, TypeGoAway, 0, nil),
	}
}

// goldens are all golden files.
func goldens(t testing.TB) map[string][]byte {
	g := sampleFrames()
	for name, q := range samples() {
		g["request_"+name] = appendFrame(nil, TypeRequest, 300, encoded(t, q))
	}
	g["request_parts"] = appendParts(nil, TypeRequest, 300, encoded(t, samples()["store"]), 16)
	g["post_body"] = samplePost(t)
	g["post_reply"] = sampleReply(nil)
	g["post_reply_signed"] = sampleReply(sampleSigner)
	return g
}

func TestGolden(t *testing.T) {
	want := goldens(t)
	for name, b := range want {
		file := filepath.Join("testdata", name+".golden")
		text := fmt.Appendf(nil, "%x\n", b)
		if *update {
			if err := os.WriteFile(file, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(text, got) {
			t.Errorf("%s: the format changed; instances of two versions would not understand each other\n got %s\nwant %s", name, text, got)
		}
	}
	files, err := filepath.Glob(filepath.Join("testdata", "*.golden"))
	if err != nil || len(files) != len(want) {
		t.Errorf("%d golden files of %d samples, %v", len(files), len(want), err)
	}
}

// The examples of docs/wire.md are the golden files: a block whose first line names one has its bytes in hexadecimal, in the
// columns before the first two spaces that follow each other.
func TestDocumentShowsGoldens(t *testing.T) {
	const file = "../../../docs/wire.md"
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := goldens(t)
	shown := map[string]bool{}
	for _, m := range regexp.MustCompile("(?s)```\n([a-z_]+)\\.golden\n(.*?)```").FindAllStringSubmatch(string(doc), -1) {
		var digits strings.Builder
		for line := range strings.Lines(m[2]) {
			columns, _, _ := strings.Cut(strings.TrimRight(line, "\n"), "  ")
			digits.WriteString(strings.ReplaceAll(columns, " ", ""))
		}
		b, err := hex.DecodeString(digits.String())
		if err != nil || !bytes.Equal(b, want[m[1]]) {
			t.Errorf("%s, %s: shows %s, %v; it is %x", file, m[1], digits.String(), err, want[m[1]])
		}
		shown[m[1]] = true
	}
	if len(shown) < 8 {
		t.Errorf("%s shows %d examples: %v", file, len(shown), slices.Sorted(maps.Keys(shown)))
	}
	for name, text := range handshake() {
		if !bytes.Contains(doc, []byte(text)) {
			t.Errorf("%s does not show %s: %s", file, name, text)
		}
	}
}

// Numbers on the wire are never changed or used again.
func TestNumbersArePinned(t *testing.T) {
	for i, v := range []Verb{0, Ping, Get, Fence, Release, Store, Stats, Hello, Leave, List} {
		if int(v) != i {
			t.Errorf("%v is %d, was %d", v, uint8(v), i)
		}
	}
	for i, c := range []Code{OK, UnknownCache, VersionMismatch, BadRequest, TooLarge, Overloaded, Misdirected, Self, Closed, Failed, Timeout, Unsupported} {
		if int(c) != i {
			t.Errorf("code %d was %d", c, i)
		}
	}
	for i, s := range []cache.Status{cache.StatusOK, cache.StatusNotFound, cache.StatusLoadFailed, cache.StatusLoadPanicked,
		cache.StatusLoadTimeout, cache.StatusEncodeFailed, cache.StatusTooLarge, cache.StatusAbsent, cache.StatusOverloaded, cache.StatusQueued} {
		if int(s) != i {
			t.Errorf("cache.Status %d was %d", s, i)
		}
	}
	for i, typ := range []Type{0, TypeAnswer, TypeEnd, TypeRequest, TypePart, TypeCancel, TypeCredit, TypePing, TypePong, TypeGoAway} {
		if int(typ) != i {
			t.Errorf("frame type %d was %d", typ, i)
		}
	}
	if FirstPart != 128 || FeaturePeek != 1 || FeatureStats != 2 || FeatureViews != 4 || FeatureLeave != 8 || AllFeatures != 15 || Version != 1 || SignatureSize != 32 {
		t.Error("a number of the format changed")
	}
	// A sender that goes up to a limit must not meet a receiver with a lower one.
	for name, n := range map[string][2]int{
		"MaxName": {MaxName, 255}, "MaxKeys": {MaxKeys, 1048576}, "MaxKeyBytes": {cache.MaxKeyBytes, 16384}, "MaxMessage": {MaxMessage, 16384},
		"MaxCarried": {MaxCarried, 64}, "MaxCarriedBytes": {MaxCarriedBytes, 8192}, "MaxPayload": {MaxPayload, 69632}, "MaxPing": {MaxPing, 32},
		"Window": {Window, 262144},
	} {
		if n[0] != n[1] {
			t.Errorf("%s is %d, was %d", name, n[0], n[1])
		}
	}
}
