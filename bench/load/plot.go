package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// The plot: a line for each scenario, on it a mark for each proxy, at the
// multiple of the bare proxy's CPU time. The axis is logarithmic.
const (
	plotLeft, plotTop = 150, 60
	plotWidth, row    = 600, 36
)

var colours = []string{"#e69f00", "#56b4e9", "#009e73", "#0072b2", "#d55e00", "#cc79a7"}

func (r *report) plot() string {
	base := r.base()
	closed := slices.DeleteFunc(slices.Clone(r.outcomes), func(s outcomes) bool { return s.rate > 0 })
	low, high := 1.0, 1.0
	for _, s := range closed {
		for n := base + 1; n < len(r.peers); n++ {
			q := quotients(s.results[n].cpu, s.results[base].cpu)
			low, high = min(low, slices.Min(q)), max(high, slices.Max(q))
		}
	}
	low, high = math.Max(low, 0.05)*0.9, high*1.1
	x := func(ratio float64) float64 {
		return plotLeft + plotWidth*math.Log(max(ratio, low)/low)/math.Log(high/low)
	}
	bottom := plotTop + row*len(closed)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n",
		plotLeft+plotWidth+30, bottom+50)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	for _, tick := range []float64{0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100} {
		if tick >= low && tick <= high {
			colour := "#ddd"
			if tick == 1 {
				colour = "#555"
			}
			fmt.Fprintf(&b, `<path d="M%.0f %dV%d" stroke="%s"/><text x="%.0f" y="%d" text-anchor="middle">%g</text>`+"\n",
				x(tick), plotTop-10, bottom, colour, x(tick), bottom+16, tick)
		}
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d">CPU time for a request, as a multiple of that of a bare httputil.ReverseProxy</text>`+"\n", plotLeft, bottom+38)
	r.legend(&b, base)
	for line, s := range closed {
		r.marks(&b, s, plotTop+row*line+row/2, x)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func (r *report) legend(b *strings.Builder, base int) {
	at := 20
	for n, p := range r.peers[base+1:] {
		fmt.Fprintf(b, `<circle cx="%d" cy="20" r="5" fill="%s"/><text x="%d" y="24">%s</text>`+"\n", at, colours[n%len(colours)], at+10, p.name)
		at += 30 + 7*len(p.name)
	}
}

// marks are the median of each proxy, on a line from its lowest to its highest round.
func (r *report) marks(b *strings.Builder, s outcomes, y int, x func(float64) float64) {
	base := r.base()
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", plotLeft-20, y+4, strings.ReplaceAll(s.name(r.centre), "`", ""))
	for n := range r.peers[base+1:] {
		q := quotients(s.results[base+1+n].cpu, s.results[base].cpu)
		colour, at := colours[n%len(colours)], y-10+5*n%25
		fmt.Fprintf(b, `<path d="M%.1f %dH%.1f" stroke="%s" stroke-width="2"/><circle cx="%.1f" cy="%d" r="4" fill="%s"/>`+"\n",
			x(slices.Min(q)), at, x(slices.Max(q)), colour, x(median(q)), at, colour)
	}
}
