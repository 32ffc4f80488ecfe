package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A result is what the rounds came to, one value for each round.
type result struct {
	cpu    []float64 // µs for a request
	allocs []float64 // objects for a request
	rate   []float64 // requests in a second
	p50    []float64 // ms
	p99    []float64 // ms
}

func (r *result) add(t taken) {
	n := len(t.times)
	r.cpu = append(r.cpu, float64(t.cpu.Microseconds())/float64(n))
	r.allocs = append(r.allocs, t.allocs/float64(n))
	r.rate = append(r.rate, float64(n)/t.total.Seconds())
	r.p50 = append(r.p50, t.times[n/2].Seconds()*1e3)
	r.p99 = append(r.p99, t.times[n*99/100].Seconds()*1e3)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// quotients are those of each round by itself, since a busy machine slows both
// sides of a round alike.
func quotients(a, b []float64) []float64 {
	return each(a, b, func(a, b float64) float64 { return a / b })
}

func differences(a, b []float64) []float64 {
	return each(a, b, func(a, b float64) float64 { return a - b })
}

func each(a, b []float64, f func(a, b float64) float64) []float64 {
	all := make([]float64, len(a))
	for n := range a {
		all[n] = f(a[n], b[n])
	}
	return all
}

// A report is what a run has to say.
type report struct {
	peers    []*peer
	centre   scenario
	outcomes []outcomes
	load     []string // the load average before and after
}

// base is the place of the bare proxy among the peers.
func (r *report) base() int {
	return slices.IndexFunc(r.peers, func(p *peer) bool { return p.name == bare })
}

// write prints the tables, into the documents if it is told to.
func (r *report) write(o *options, out io.Writer) error {
	var b strings.Builder
	c := r.centre
	fmt.Fprintf(&b, "\n%s\n\nThe centre: `%s`, %s, %d KiB, %d connections. %d rounds of %v.\n",
		r.conditions(o), c.tool, c.answer, c.size, c.workers, o.rounds, o.slot)
	cpu := func(r *result) []float64 { return r.cpu }
	rate := func(r *result) []float64 { return r.rate }
	r.compare(&b, "CPU time for a request: of the bare proxy in µs, of the others as its multiple (lowest to highest round).", cpu, spread)
	r.compare(&b, "Requests in a second, in the same way.", rate, plain)
	r.allocations(&b)
	r.latencies(&b)
	if err := r.memory(&b); err != nil {
		return err
	}
	if o.docs == "" {
		_, err := io.WriteString(out, b.String())
		return err
	}
	page := filepath.Join(o.docs, "performance.md")
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	text, err := between(old, b.String())
	if err != nil {
		return err
	}
	if err := os.WriteFile(page, text, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.docs, "performance.svg"), []byte(r.plot()), 0o644)
}

// The marks in a page between which the tables stand.
const begins, ends = "<!-- make bench-load -->\n", "<!-- end -->\n"

func between(page []byte, tables string) ([]byte, error) {
	before, rest, found := bytes.Cut(page, []byte(begins))
	_, after, closed := bytes.Cut(rest, []byte(ends))
	if !found || !closed {
		return nil, fmt.Errorf("the page has no %q followed by %q", begins, ends)
	}
	return slices.Concat(before, []byte(begins+tables+"\n"+ends), after), nil
}

// compare makes a table of a measure: a line for each scenario of a closed loop,
// a column for each proxy.
func (r *report) compare(b *strings.Builder, title string, of func(*result) []float64, cell func([]float64) string) {
	base := r.base()
	fmt.Fprintf(b, "\n%s\n\n| |", title)
	for _, p := range r.peers[base:] {
		fmt.Fprintf(b, " %s |", p.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(r.peers)-base) + "\n")
	for _, s := range r.outcomes {
		if s.rate > 0 {
			continue
		}
		floor := of(&s.results[base])
		fmt.Fprintf(b, "| %s | %.0f |", s.name(r.centre), median(floor))
		for n := base + 1; n < len(r.peers); n++ {
			fmt.Fprintf(b, " %s |", cell(quotients(of(&s.results[n]), floor)))
		}
		b.WriteString("\n")
	}
}

func spread(q []float64) string {
	return fmt.Sprintf("%.2f (%.2f to %.2f)", median(q), slices.Min(q), slices.Max(q))
}

func plain(q []float64) string { return fmt.Sprintf("%.2f", median(q)) }

// allocations are those of Go processes; of nginx nothing is known.
func (r *report) allocations(b *strings.Builder) {
	fmt.Fprint(b, "\nObjects allocated for a request.\n\n| |")
	rule := "\n|---|"
	for _, p := range r.peers {
		if len(p.metrics) > 0 {
			fmt.Fprintf(b, " %s |", p.name)
			rule += "---|"
		}
	}
	b.WriteString(rule + "\n")
	for _, s := range r.outcomes {
		if s.rate > 0 {
			continue
		}
		fmt.Fprintf(b, "| %s |", s.name(r.centre))
		for n, p := range r.peers {
			if len(p.metrics) > 0 {
				fmt.Fprintf(b, " %.0f |", median(s.results[n].allocs))
			}
		}
		b.WriteString("\n")
	}
}

// latencies are those of the open loop: what each proxy adds to the server alone.
func (r *report) latencies(b *strings.Builder) {
	for _, s := range r.outcomes {
		if s.rate == 0 {
			continue
		}
		alone := &s.results[0]
		fmt.Fprintf(b, "\nAn open loop of %d requests/s: ms that are added to the %.2f (p50) and %.2f (p99) of the server alone.\n\n",
			s.rate, median(alone.p50), median(alone.p99))
		b.WriteString("| | p50 added | p99 added |\n|---|---|---|\n")
		for n, p := range r.peers[1:] {
			own := &s.results[n+1]
			fmt.Fprintf(b, "| %s | %.2f | %.2f |\n", p.name, median(differences(own.p50, alone.p50)), median(differences(own.p99, alone.p99)))
		}
	}
}

func (r *report) memory(b *strings.Builder) error {
	b.WriteString("\n| | ms to its first answer | RSS MiB then | after the run | highest |\n|---|---|---|---|---|\n")
	for _, p := range r.peers[1:] {
		now, err := p.memory("VmRSS")
		if err != nil {
			return err
		}
		peak, err := p.memory("VmHWM")
		if err != nil {
			return err
		}
		mib := func(kib int) float64 { return float64(kib) / 1024 }
		fmt.Fprintf(b, "| %s | %d | %.0f | %.0f | %.0f |\n", p.name, p.ready.Milliseconds(), mib(p.idle), mib(now), mib(peak))
	}
	return nil
}

// conditions tell where and with what a run was made.
func (r *report) conditions(o *options) string {
	parts := []string{
		fmt.Sprintf("%s, %s, %d CPUs", time.Now().UTC().Format(time.DateOnly), processor(), runtime.NumCPU()),
		"load average " + strings.Join(r.load, " before and ") + " after",
		runtime.Version(),
		"gatehouse " + firstLine("git", "describe", "--tags", "--always", "--dirty"),
	}
	if o.nginx != "" {
		parts = append(parts, strings.ReplaceAll(strings.TrimPrefix(firstLine(o.nginx, "-v"), "nginx version: "), "/", " "))
	}
	if o.opa != "" {
		parts = append(parts, "OPA "+strings.TrimPrefix(firstLine(o.opa, "version"), "Version: "))
	}
	return strings.Join(parts, "; ") + "."
}

func firstLine(name string, args ...string) string {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return "of unknown version"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo") // where it says nothing, nothing is said
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name\t: "); ok {
			return strings.TrimSpace(name)
		}
	}
	return runtime.GOARCH
}

// loadAverage is that of the last minute.
func loadAverage() string {
	load, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(load), " ")
	return first
}
