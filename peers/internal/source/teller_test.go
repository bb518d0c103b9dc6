package source

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// What is told: each list that is another one, and each kind of trouble, once.
func TestTeller(t *testing.T) {
	// A list of letters, which may be followed by ! and the kind of a trouble; nothing before ! is no list.
	for name, tt := range map[string]struct{ came, want []string }{
		"the same list":                         {[]string{"ab", "ab"}, []string{"ab"}},
		"in another order":                      {[]string{"ab", "ba"}, []string{"ab"}},
		"another list":                          {[]string{"ab", "b", "ab"}, []string{"ab", "b", "ab"}},
		"as long a list":                        {[]string{"ab", "ac", "aa"}, []string{"ab", "ac", "aa"}},
		"the same trouble":                      {[]string{"!x", "!x", "!y", "!x"}, []string{"!x", "!y", "!x"}},
		"a trouble that is over":                {[]string{"a", "!x", "a", "a"}, []string{"a", "!x", "a"}},
		"a trouble that is over, thus":          {[]string{"!x", "a", "!x"}, []string{"!x", "a", "!x"}},
		"a trouble beside a list":               {[]string{"a!x", "a!x", "ab!x", "ab", "ab"}, []string{"!x", "a", "ab", "ab"}},
		"a trouble that is over without a list": {[]string{"a", "!x", "", "a"}, []string{"a", "!x", "a"}},
	} {
		var got []string
		told := Teller[string]{Yield: func(members []string, err error) bool {
			if err != nil {
				got = append(got, "!"+err.Error())
			} else {
				got = append(got, strings.Join(members, ""))
				members[0] = "the receiver's"
			}
			return true
		}}
		for _, came := range tt.came {
			list, kind, _ := strings.Cut(came, "!")
			var members []string
			if list != "" {
				members = strings.Split(list, "")
			}
			told.Tell(members, kind, errors.New(kind))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// An empty list is one, too, but not that nobody is known.
func TestTellerOfNobody(t *testing.T) {
	lists := 0
	told := Teller[string]{Yield: func([]string, error) bool { lists++; return true }}
	if told.Tell(nil, "", nil); lists != 0 || told.Known() {
		t.Error("a list that is not known was told")
	}
	told.Tell([]string{}, "", nil)
	if told.Tell([]string{}, "", nil); lists != 1 || !told.Known() {
		t.Errorf("an empty list was told %d times", lists)
	}
}

func TestTellerBreaksOff(t *testing.T) {
	told := Teller[string]{Yield: func(_ []string, err error) bool {
		if err == nil {
			t.Error("a list was told to a receiver that wants no more")
		}
		return false
	}}
	if told.Tell([]string{"a"}, "x", errors.New("x")) {
		t.Error("it goes on")
	}
}
