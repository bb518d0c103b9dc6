package discover

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An item is what a Source yields at a time.
type item struct {
	members []Member
	err     error
}

// String returns the URLs, or the error, in one line.
func (i item) String() string {
	if i.err != nil {
		return "! " + strings.ReplaceAll(i.err.Error(), "\n", " | ")
	}
	var urls []string
	for _, m := range i.members {
		urls = append(urls, m.URL)
	}
	return strings.Join(urls, " ")
}

// watch collects what s yields, in the bubble of the test. take returns what came since it was called last.
func watch(t *testing.T, s Source) (take func() []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	items, ended := make(chan item, 100), make(chan bool)
	go func() {
		defer close(ended)
		for members, err := range s.Members(ctx) {
			items <- item{members, err}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return func() (got []string) {
		synctest.Wait()
		for len(items) > 0 {
			got = append(got, (<-items).String())
		}
		return got
	}
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("yielded %q, want %q", got, want)
	}
}

func TestStatic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := Static{{URL: "http://a"}, {URL: "http://b", Weight: 2}}
		take := watch(t, s)
		want(t, take(), "http://a http://b")
		time.Sleep(time.Hour)
		want(t, take())
		for members := range s.Members(t.Context()) {
			members[0].URL = "the receiver's"
			break
		}
		if s[0].URL != "http://a" {
			t.Error("the receiver got the Source's own list")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range s.Members(ctx) {
			t.Error("a list though the context is over")
		}
	})
}
