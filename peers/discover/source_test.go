package discover

import (
	"context"
	"errors"
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

// What is told: each list that is another one, and each kind of failure, once.
func TestNews(t *testing.T) {
	a, b := Member{URL: "a"}, Member{URL: "b"}
	errOne, errTwo := errors.New("one"), errors.New("two")
	for name, tt := range map[string]struct {
		came []item
		want []string
	}{
		"the same list":               {[]item{{[]Member{a, b}, nil}, {[]Member{a, b}, nil}}, []string{"a b"}},
		"in another order":            {[]item{{[]Member{a, b}, nil}, {[]Member{b, a}, nil}}, []string{"a b"}},
		"another list":                {[]item{{[]Member{a, b}, nil}, {[]Member{b}, nil}, {[]Member{a, b}, nil}}, []string{"a b", "b", "a b"}},
		"another weight":              {[]item{{[]Member{a}, nil}, {[]Member{{URL: "a", Weight: 2}}, nil}}, []string{"a", "a"}},
		"leaving":                     {[]item{{[]Member{a}, nil}, {[]Member{{URL: "a", Leaving: true}}, nil}}, []string{"a", "a"}},
		"the same error":              {[]item{{nil, errOne}, {nil, errOne}, {nil, errTwo}, {nil, errOne}}, []string{"! one", "! two", "! one"}},
		"an error that is over":       {[]item{{[]Member{a}, nil}, {nil, errOne}, {[]Member{a}, nil}, {[]Member{a}, nil}}, []string{"a", "! one", "a"}},
		"an error that is over, thus": {[]item{{nil, errOne}, {[]Member{a}, nil}, {nil, errOne}}, []string{"! one", "a", "! one"}},
	} {
		var got []string
		told := news{yield: func(m []Member, err error) bool {
			got = append(got, item{m, err}.String())
			return true
		}}
		for _, i := range tt.came {
			if i.err != nil {
				told.fail(i.err.Error(), i.err)
			} else {
				told.list(i.members)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
