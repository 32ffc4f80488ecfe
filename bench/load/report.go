package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A result is what the rounds came to, one value for each round.
type result struct {
	cpu  []float64 // µs of the process for a request
	rate []float64 // requests in a second
	p50  []float64 // ms
	p99  []float64 // ms
}

func (r *result) add(s sample, cpu time.Duration) {
	n := len(s.times)
	r.cpu = append(r.cpu, float64(cpu.Microseconds())/float64(n))
	r.rate = append(r.rate, float64(n)/s.total.Seconds())
	r.p50 = append(r.p50, s.times[n/2].Seconds()*1e3)
	r.p99 = append(r.p99, s.times[n*99/100].Seconds()*1e3)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// ratios are the quotients of each round by itself, since a busy machine slows
// both sides of a round alike.
func (r *result) ratios(base *result) []float64 {
	quotients := make([]float64, len(r.cpu))
	for n := range r.cpu {
		quotients[n] = r.cpu[n] / base.cpu[n]
	}
	return quotients
}

func printTable(out io.Writer, answer string, peers []*peer, results []result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nAnswers as %s:\n\n", answer)
	b.WriteString("| process | CPU µs/request | ratio (lowest to highest round) | requests/s | p50 ms | p99 ms |\n")
	b.WriteString("|---|---|---|---|---|---|\n")
	for n := range peers {
		r := &results[n]
		q := r.ratios(&results[0])
		fmt.Fprintf(&b, "| %s | %.0f | %.2f (%.2f to %.2f) | %.0f | %.2f | %.2f |\n", peers[n].name, median(r.cpu),
			median(q), slices.Min(q), slices.Max(q), median(r.rate), median(r.p50), median(r.p99))
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func printMemory(out io.Writer, peers []*peer) error {
	var b strings.Builder
	b.WriteString("\n| process | ms to its first answer | RSS MiB then | after the run | highest |\n|---|---|---|---|---|\n")
	for _, p := range peers {
		now, err := p.memory("VmRSS")
		if err != nil {
			return err
		}
		peak, err := p.memory("VmHWM")
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "| %s | %d | %.0f | %.0f | %.0f |\n", p.name, p.ready.Milliseconds(), float64(p.idle)/1024, float64(now)/1024, float64(peak)/1024)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
