// Package report prints what comparisons found, for people and for programs.
package report

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// A Report is what one comparison found.
type Report struct {
	Name   string
	About  string // how it was measured
	Ratios []Ratio
	Tables []Table
	Plots  []Plot `json:",omitempty"`
	Notes  []string
	Raw    any   // every measurement, for JSON
	Err    error `json:"-"` // that what was found is not good enough; the report is printed all the same
}

// A Ratio is a figure that can be compared with another machine's.
type Ratio struct {
	Name  string
	Value float64
	Of    int `json:",omitempty"` // 0, or what Value is counted out of
}

// String returns the value as it is printed.
func (r Ratio) String() string {
	if r.Of > 0 {
		return fmt.Sprintf("%.0f/%d", r.Value, r.Of)
	}
	return Number(r.Value)
}

// A Table has a row for each kind. The first column is text.
type Table struct {
	Title   string
	Columns []string
	Rows    [][]string
}

// A Plot is a picture of some of the figures, in a file.
type Plot struct{ Title, File string }

// Text prints r as it is read in a terminal: a line for each ratio first.
func (r *Report) Text(w io.Writer) error {
	var b strings.Builder
	for _, ratio := range r.Ratios {
		fmt.Fprintf(&b, "ratio %s %s\n", ratio.Name, ratio)
	}
	fmt.Fprintf(&b, "\n%s\n", r.About)
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "%s\n", note)
	}
	for _, t := range r.Tables {
		fmt.Fprintf(&b, "\n%s\n", t.Title)
		t.text(&b)
	}
	for _, p := range r.Plots {
		fmt.Fprintf(&b, "\nplot of %s: %s\n", p.Title, p.File)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t Table) text(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{t.Columns}, t.Rows...) {
		fmt.Fprintf(tw, "  %s\n", strings.Join(row, "\t"))
	}
	tw.Flush() // into memory, which does not fail
}

// Markdown prints r as a section.
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n", r.Name, r.About)
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "\n%s.\n", note)
	}
	if len(r.Ratios) > 0 {
		ratios := Table{Columns: []string{"ratio", "value"}}
		for _, ratio := range r.Ratios {
			ratios.Rows = append(ratios.Rows, []string{ratio.Name, ratio.String()})
		}
		fmt.Fprintf(&b, "\n### Ratios\n\n")
		ratios.markdown(&b)
	}
	for _, p := range r.Plots {
		fmt.Fprintf(&b, "\n![%s](%s)\n", p.Title, filepath.ToSlash(p.File))
	}
	for _, t := range r.Tables {
		fmt.Fprintf(&b, "\n### %s\n\n", t.Title)
		t.markdown(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t Table) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "| %s |\n|---|%s\n", strings.Join(t.Columns, " | "), strings.Repeat("---:|", len(t.Columns)-1))
	for _, row := range t.Rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
}

// Number prints v to three digits.
func Number(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// NumberOrNone prints v, or a dash for 0, which stands for what cannot be known.
func NumberOrNone(v float64) string {
	if v == 0 {
		return "-"
	}
	return Number(v)
}

// Duration prints d in microseconds or milliseconds.
func Duration(d time.Duration) string {
	if d < 10*time.Millisecond {
		return Number(float64(d)/float64(time.Microsecond)) + "us"
	}
	return Number(float64(d)/float64(time.Millisecond)) + "ms"
}
