package peers

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
)

// A feed is a Source that yields what is sent to it.
type feed chan func(yield func([]Member, error) bool) bool

func (f feed) Members(ctx context.Context) iter.Seq2[[]Member, error] {
	return func(yield func([]Member, error) bool) {
		for {
			select {
			case next, ok := <-f:
				if !ok || !next(yield) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func (f feed) list(members ...Member) {
	f <- func(yield func([]Member, error) bool) bool { return yield(members, nil) }
	synctest.Wait()
}

func (f feed) fail(err error) {
	f <- func(yield func([]Member, error) bool) bool { return yield(nil, err) }
	synctest.Wait()
}

// following returns a Pool that follows the feed, in the bubble of the test, what it logs without what Set logs, and what Follow returns.
func following(t *testing.T, ctx context.Context, f discover.Source) (p *Pool, logged func() string, done chan error) {
	t.Helper()
	var log bytes.Buffer
	p, err := New(Config{Self: "http://self", Secret: testSecret, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	done = make(chan error, 1)
	go func() { done <- p.Follow(ctx, f) }()
	synctest.Wait()
	return p, func() string {
		var lines []string
		for line := range strings.Lines(log.String()) {
			if _, msg, _ := strings.Cut(line, "level="); !strings.Contains(line, "new view") {
				lines = append(lines, strings.ReplaceAll(strings.TrimSpace(msg), "peers: ", ""))
			}
		}
		log.Reset()
		return strings.Join(lines, "\n")
	}, done
}

// members returns the hosts of the members of p, in the order of their names.
func members(p *Pool) string {
	var hosts []string
	for _, m := range p.view.Load().table.Members() {
		hosts = append(hosts, strings.TrimSuffix(strings.TrimPrefix(m.ID, "http://"), DefaultPath))
	}
	slices.Sort(hosts)
	return strings.Join(hosts, " ")
}

func TestFollow(t *testing.T) {
	a, b, self := Member{URL: "http://a"}, Member{URL: "http://b"}, Member{URL: "http://self"}
	leaving := func(m Member) Member { m.Leaving = true; return m }
	stands := "WARN msg=\"the members could not be found out; the last list stands\" error="
	refused := "WARN msg=\"a list of members is refused; the last one stands\" error="
	again := "INFO msg=\"the members are known again\" listed="
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f := make(feed)
		p, logged, done := following(t, ctx, f)
		for _, tt := range []struct {
			name       string
			list       []Member
			err        error
			want, logs string
		}{
			{"a list", []Member{a, self}, nil, "a self", ""},
			{"without this instance", []Member{a, b}, nil, "a b self", ""},
			{"an error", nil, errors.New("why"), "a b self", stands + "why"},
			{"again", nil, errors.New("why"), "a b self", ""},
			{"another", nil, errors.New("how"), "a b self", stands + "how"},
			{"a list again", []Member{a, b}, nil, "a b self", again + "2"},
			{"one that is wrong", []Member{a, {URL: "x"}}, nil, "a b self", refused + `"Set: member \"x\": the URL \"x\" does not begin with http:// or https://"`},
			{"again", []Member{a, {URL: "x"}}, nil, "a b self", ""},
			{"twice the same", []Member{a, leaving(a)}, nil, "a b self", refused + `"Set: member \"http://a\" is listed twice: list each instance once"`},
			{"an error after that", nil, errors.New("how"), "a b self", stands + "how"},
			{"one that leaves", []Member{a, leaving(b), self}, nil, "a self", again + "3"},
			{"this one leaves", []Member{a, b, leaving(self)}, nil, "a b", ""},
			{"an empty list", nil, nil, "self", ""},
		} {
			if tt.err != nil {
				f.fail(tt.err)
			} else {
				f.list(tt.list...)
			}
			if got := members(p); got != tt.want {
				t.Errorf("%s: the members are %s, want %s", tt.name, got, tt.want)
			}
			if got := logged(); got != tt.logs {
				t.Errorf("%s: logged %s, want %s", tt.name, got, tt.logs)
			}
		}
		if err := p.Follow(t.Context(), f); err == nil || !strings.Contains(err.Error(), "follows another Source") {
			t.Errorf("a second Follow: %v", err)
		}
		cancel()
		wantErr(t, <-done, context.Canceled)
		go func() { done <- p.Follow(t.Context(), f) }() // which may be after the other one
		f.list(b)
		if got := members(p); got != "b self" {
			t.Errorf("the members are %s", got)
		}
		p.Close()
		wantErr(t, <-done, ErrClosed)
		wantErr(t, p.Follow(t.Context(), f), ErrClosed)
	})
}

func TestFollowEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, done := following(t, ended, discover.Static{{URL: "http://a"}})
		wantErr(t, <-done, context.Canceled)

		f := make(feed)
		_, _, done = following(t, t.Context(), f)
		close(f)
		if err := <-done; err != nil {
			t.Errorf("after a Source that ended: %v", err)
		}

		// A list that comes too late is not the Pool's any more.
		ctx, cancel := context.WithCancel(t.Context())
		f = make(feed)
		p, _, done := following(t, ctx, f)
		f <- func(yield func([]Member, error) bool) bool {
			cancel()
			return yield([]Member{{URL: "http://a"}}, nil)
		}
		wantErr(t, <-done, context.Canceled)
		if got := members(p); got != "self" {
			t.Errorf("the members are %s", got)
		}
	})
}

func TestFollowPanics(t *testing.T) {
	p, err := New(Config{Self: "http://self", Secret: testSecret})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	f := make(feed, 1)
	f <- func(func([]Member, error) bool) bool { panic("mine") }
	func() {
		defer func() {
			if v := recover(); v != "mine" {
				t.Errorf("recovered %v", v)
			}
		}()
		p.Follow(t.Context(), f)
	}()
	close(f)
	if err := p.Follow(t.Context(), f); err != nil {
		t.Errorf("after a panic: %v", err)
	}
}

// A leaver is a feed that counts Leaves.
type leaver struct {
	feed
	leave func(context.Context) error
}

func (l leaver) Leave(ctx context.Context) error { return l.leave(ctx) }

// Drain tells the Source that this instance leaves, before anything else, also when nobody follows it any more.
func TestDrainLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *Pool
		n := 0
		f := leaver{make(feed), func(context.Context) error {
			if n++; n == 1 && p.draining.Load() {
				t.Error("Leave is not what comes first")
			}
			if n == 2 {
				return errTest
			}
			return nil
		}}
		p, logged, done := following(t, t.Context(), f)
		if err := p.Drain(t.Context()); err != nil || n != 1 || logged() != "" {
			t.Errorf("%d Leaves, %v", n, err)
		}
		close(f.feed)
		<-done
		wantErr(t, p.Drain(t.Context()), errTest)
		if got := logged(); n != 2 || !strings.Contains(got, "may not know") {
			t.Errorf("%d Leaves, logged %s", n, got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wantErr(t, p.Follow(ctx, discover.Static{}), context.Canceled)
		if err := p.Drain(t.Context()); err != nil || n != 2 {
			t.Errorf("%d Leaves of a Source that is not the last one, %v", n, err)
		}
	})
}
