package report

import (
	"strings"
	"testing"
	"time"
)

func printed(t *testing.T, print func(*strings.Builder) error) string {
	t.Helper()
	var b strings.Builder
	if err := print(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var sample = Report{
	Name:   "remote",
	About:  "How it was measured.",
	Ratios: []Ratio{{Name: "remote/1KiB/c64/vs-groupcache", Value: 21.4321}, {Name: "remote/bulk/p99", Value: 1052}, {Name: "conformance/rfc/1/required", Value: 159, Of: 165}},
	Tables: []Table{{Title: "1KiB", Columns: []string{"kind", "ops/s"}, Rows: [][]string{{"fleetcache", "1"}, {"h2c", "20"}}}},
	Plots:  []Plot{{Title: "hit ratio", File: "plots/x.svg"}},
	Notes:  []string{"memcached is left out"},
}

func TestText(t *testing.T) {
	want := `ratio remote/1KiB/c64/vs-groupcache 21.4
ratio remote/bulk/p99 1052
ratio conformance/rfc/1/required 159/165

How it was measured.
memcached is left out

1KiB
  kind        ops/s
  fleetcache  1
  h2c         20

plot of hit ratio: plots/x.svg
`
	if got := printed(t, func(b *strings.Builder) error { return sample.Text(b) }); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestMarkdown(t *testing.T) {
	want := `## remote

How it was measured.

memcached is left out.

### Ratios

| ratio | value |
|---|---:|
| remote/1KiB/c64/vs-groupcache | 21.4 |
| remote/bulk/p99 | 1052 |
| conformance/rfc/1/required | 159/165 |

![hit ratio](plots/x.svg)

### 1KiB

| kind | ops/s |
|---|---:|
| fleetcache | 1 |
| h2c | 20 |
`
	if got := printed(t, func(b *strings.Builder) error { return sample.Markdown(b) }); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Number(0.0123456), "0.0123"},
		{Number(1), "1"},
		{Number(99.94), "99.9"},
		{Number(123456.7), "123457"},
		{NumberOrNone(0), "-"},
		{NumberOrNone(2.5), "2.5"},
		{Duration(1234 * time.Nanosecond), "1.23us"},
		{Duration(9876 * time.Microsecond), "9876us"},
		{Duration(123 * time.Millisecond), "123ms"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	if m := Machine(); !strings.Contains(m, "cores") || !strings.Contains(m, "go1.") {
		t.Errorf("Machine() = %q", m)
	}
}
