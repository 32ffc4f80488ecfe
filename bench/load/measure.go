package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// A scenario is what is the same for all peers: what is asked, and how.
type scenario struct {
	tool, answer string
	size         int // KiB of the result
	workers      int // connections of a closed loop
	rate         int // requests/s of an open loop; 0: a closed one
}

// scenarios vary one thing at a time around the centre, the first of each list;
// or all things at once. The last is the open loop at the centre.
func (o *options) scenarios() (all []scenario) {
	for _, tool := range o.tools {
		for _, answer := range o.answers {
			for _, size := range o.sizes {
				for _, workers := range o.workers {
					s := scenario{tool: tool, answer: answer, size: size, workers: workers}
					if o.all || s.distance(o.centre()) <= 1 {
						all = append(all, s)
					}
				}
			}
		}
	}
	if o.rate > 0 {
		open := o.centre()
		open.rate = o.rate
		all = append(all, open)
	}
	return all
}

func (o *options) centre() scenario {
	return scenario{tool: o.tools[0], answer: o.answers[0], size: o.sizes[0], workers: o.workers[0]}
}

// distance is the number of things in which two scenarios differ.
func (s scenario) distance(from scenario) (n int) {
	for _, differs := range []bool{s.tool != from.tool, s.answer != from.answer, s.size != from.size, s.workers != from.workers} {
		if differs {
			n++
		}
	}
	return n
}

// name says in what a scenario is unlike the centre.
func (s scenario) name(centre scenario) string {
	var parts []string
	if s.tool != centre.tool {
		parts = append(parts, "`"+s.tool+"`")
	}
	if s.answer != centre.answer {
		parts = append(parts, s.answer)
	}
	if s.size != centre.size {
		parts = append(parts, fmt.Sprintf("%d KiB", s.size))
	}
	switch s.workers {
	case centre.workers:
	case 1:
		parts = append(parts, "1 connection")
	default:
		parts = append(parts, fmt.Sprintf("%d connections", s.workers))
	}
	if len(parts) == 0 {
		return "centre"
	}
	return strings.Join(parts, ", ")
}

// Outcomes are the results of a scenario, one for each peer.
type outcomes struct {
	scenario
	results []result
}

// measure starts all processes, sends the rounds, and prints what they cost.
func measure(o *options, out io.Writer) error {
	dir, err := os.MkdirTemp("", "gatehouse-load-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	field, err := startAll(o, dir)
	defer field.stop()
	if err != nil {
		return err
	}
	r := report{peers: field.peers, centre: o.centre(), load: []string{loadAverage()}}
	for _, s := range o.scenarios() {
		results, err := runRounds(o, field.peers, s)
		if err != nil {
			return fmt.Errorf("%+v: %w", s, err)
		}
		r.outcomes = append(r.outcomes, outcomes{s, results})
	}
	r.load = append(r.load, loadAverage())
	if err := r.write(o, out); err != nil {
		return err
	}
	return r.check(o.bounds)
}

// runRounds sends the same requests to one process after the other. The first
// round warms up; each round begins with another process than the one before.
func runRounds(o *options, peers []*peer, s scenario) ([]result, error) {
	results := make([]result, len(peers))
	order := make([]int, len(peers))
	for n := range order {
		order[n] = n
	}
	c := newClient(s)
	defer c.http.CloseIdleConnections()
	for round := range o.rounds + 1 {
		for _, n := range order {
			taken, err := peers[n].send(c, o.slot)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", peers[n].name, err)
			}
			if round > 0 {
				results[n].add(taken)
			}
		}
		order = slices.Concat(order[1:], order[:1])
	}
	return results, nil
}

// check compares what the gateways took with the bounds, in each scenario.
func (r *report) check(bounds map[string]bound) error {
	var errs []error
	for mode, most := range bounds {
		n := slices.IndexFunc(r.peers, func(p *peer) bool { return p.mode == mode })
		if n < 0 {
			return fmt.Errorf("a bound for mode %q, which is not measured", mode)
		}
		for _, s := range r.outcomes {
			ratio, allocs := median(quotients(s.results[n].cpu, s.results[r.base()].cpu)), median(s.results[n].allocs)
			if !(ratio <= most.ratio && allocs <= most.allocs) { // which NaN is not
				errs = append(errs, fmt.Errorf("%s, %s: %.2f times the CPU time of the bare proxy and %.0f allocations, want at most %g and %g",
					r.peers[n].name, s.name(r.centre), ratio, allocs, most.ratio, most.allocs))
			}
		}
	}
	return errors.Join(errs...)
}
