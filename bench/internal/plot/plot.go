// Package plot draws what comparisons found, as SVG files that a page shows. The same figures give the same bytes.
package plot

import (
	"bytes"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// The size of every plot.
const (
	width, height = 7.5 * vg.Inch, 4.2 * vg.Inch
	barWidth      = 3 * vg.Inch // of all bars of a group
)

// A Series is one line, or the bars of one colour.
type Series struct {
	Name string
	Y    []float64 // by the places of X, or of the groups; a NaN is left out of a line
	Bold bool      // it is the one to look at
	Grey bool      // it is a bound, and no rival
}

// Lines draws a line for each series over X, whose axis is logarithmic.
type Lines struct {
	Title, XLabel, YLabel string
	X                     []float64 // positive; each has a tick of its own
	Series                []Series
}

// Bars draws a group of bars for each name in Groups, with a bar for each series.
type Bars struct {
	Title, YLabel string
	Groups        []string
	Series        []Series
}

// Save writes the plot to an SVG file, and makes its folder if there is none.
func (l Lines) Save(file string) error {
	p := newPlot(l.Title, l.YLabel)
	p.X.Label.Text = l.XLabel
	p.X.Scale = plot.LogScale{}
	var ticks []plot.Tick
	for _, x := range l.X {
		ticks = append(ticks, plot.Tick{Value: x, Label: strconv.FormatFloat(x, 'g', -1, 64)})
	}
	p.X.Tick.Marker = plot.ConstantTicks(ticks)
	for i, s := range l.Series {
		if err := l.add(p, i-neutral(l.Series[:i]), s); err != nil {
			return fmt.Errorf("%s: %s: %w", file, s.Name, err)
		}
	}
	return save(p, file)
}

// add draws s in the colour at place i.
func (l Lines) add(p *plot.Plot, i int, s Series) error {
	if len(s.Y) != len(l.X) {
		return fmt.Errorf("it has %d values for %d places", len(s.Y), len(l.X))
	}
	var points plotter.XYs
	for j, y := range s.Y {
		if y == y { // not NaN
			points = append(points, plotter.XY{X: l.X[j], Y: y})
		}
	}
	if len(points) == 0 {
		return nil
	}
	line, dots, err := plotter.NewLinePoints(points)
	if err != nil {
		return err
	}
	line.Color, line.Width = s.colour(i), vg.Points(1)
	dots.Color, dots.Shape, dots.Radius = line.Color, plotutil.Shape(i), vg.Points(2.5)
	switch {
	case s.Bold:
		line.Width = vg.Points(2.5)
	case s.Grey:
		line.Dashes = plotutil.Dashes(1)
	}
	p.Add(line, dots)
	p.Legend.Add(s.Name, line, dots)
	return nil
}

// Save writes the plot to an SVG file, and makes its folder if there is none.
func (b Bars) Save(file string) error {
	p := newPlot(b.Title, b.YLabel)
	each := barWidth / vg.Length(max(len(b.Groups)*len(b.Series), 1)) * 2
	for i, s := range b.Series {
		if len(s.Y) != len(b.Groups) {
			return fmt.Errorf("%s: %s: it has %d values for %d groups", file, s.Name, len(s.Y), len(b.Groups))
		}
		bars, err := plotter.NewBarChart(plotter.Values(s.Y), each)
		if err != nil {
			return fmt.Errorf("%s: %s: %w", file, s.Name, err)
		}
		bars.Color, bars.LineStyle.Width = s.colour(i-neutral(b.Series[:i])), 0
		bars.Offset = each * (vg.Length(i) - vg.Length(len(b.Series)-1)/2)
		p.Add(bars)
		p.Legend.Add(s.Name, bars)
	}
	p.NominalX(b.Groups...)
	p.Y.Min = min(p.Y.Min, 0)
	return save(p, file)
}

func newPlot(title, yLabel string) *plot.Plot {
	p := plot.New()
	for _, style := range []*draw.TextStyle{
		&p.Title.TextStyle, &p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label, &p.Legend.TextStyle,
	} {
		style.Font.Variant = "Sans"
	}
	p.BackgroundColor = color.White // pages may be dark
	p.Title.Text, p.Title.Padding = title, vg.Points(6)
	p.Y.Label.Text = yLabel
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.Padding = vg.Points(2)
	grid := plotter.NewGrid()
	grid.Vertical.Width = 0
	grid.Horizontal.Color = color.Gray{Y: 225}
	p.Add(grid)
	return p
}

// neutral returns how many of the series have no colour of the palette.
func neutral(series []Series) (n int) {
	for _, s := range series {
		if s.Bold || s.Grey {
			n++
		}
	}
	return n
}

// colour returns the colour of the series, the one at place i of the palette if it has none of its own.
func (s Series) colour(i int) color.Color {
	switch {
	case s.Grey:
		return color.Gray{Y: 110}
	case s.Bold:
		return color.RGBA{R: 200, G: 30, B: 30, A: 255}
	}
	palette := []color.Color{ // by Okabe and Ito, which those who see colours differently can tell apart
		color.RGBA{R: 0, G: 114, B: 178, A: 255}, color.RGBA{R: 230, G: 159, B: 0, A: 255}, color.RGBA{R: 0, G: 158, B: 115, A: 255},
		color.RGBA{R: 204, G: 121, B: 167, A: 255}, color.RGBA{R: 86, G: 180, B: 233, A: 255}, color.RGBA{R: 120, G: 94, B: 60, A: 255},
		color.RGBA{R: 90, G: 60, B: 160, A: 255},
	}
	return palette[i%len(palette)]
}

// save draws p with its legend beside it, where it hides nothing.
func save(p *plot.Plot, file string) error {
	c := vgsvg.New(width, height)
	legend := p.Legend
	p.Legend = plot.NewLegend()
	all := draw.New(c)
	all.SetColor(color.White)
	all.Fill(all.Rectangle.Path())
	// Who looks at the file may have a wider font than the one that is measured here.
	side := legend.Rectangle(all).Size().X*5/4 + vg.Points(8)
	p.Draw(draw.Crop(all, vg.Points(4), -side-vg.Points(10), vg.Points(4), -vg.Points(4)))
	legend.Draw(draw.Crop(all, width-side, 0, 0, -vg.Points(28)))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	return os.WriteFile(file, b.Bytes(), 0o666)
}
