// Command load measures what the gateway costs beside a bare reverse proxy: the
// CPU time of each process for a request, with the same requests to the same
// server, in turns. It prints Markdown tables, and judges nothing.
//
//	go run ./bench/load -rounds 7 -requests 4000
//
// It runs on Linux, since it reads CPU times from /proc.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Options are the flags of a run.
type options struct {
	binaries []string // of gatehouse; none: built from this checkout
	modes    []string
	policies string
	tool     string
	rounds   int
	requests int
	workers  int
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case "upstream":
			return serve(upstream(), out)
		case "proxy":
			return serveProxy(args[1:], out)
		}
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	return measure(o, out)
}

func parse(args []string) (*options, error) {
	o := &options{}
	var binaries, modes string
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.StringVar(&binaries, "gatehouse", "", "compare these `binaries`, separated by commas, instead of building one")
	f.StringVar(&modes, "modes", "enforce,permissive,off", "policy `modes` to measure")
	f.StringVar(&o.policies, "policies", "policies", "bundle: a directory or a .tar.gz `file`")
	f.StringVar(&o.tool, "tool", "temp.convert", "`name` of the tool to call; the policy bounds the arguments of the default")
	f.IntVar(&o.rounds, "rounds", 7, "rounds; tables show medians over them")
	f.IntVar(&o.requests, "requests", 4000, "requests of a round to each process")
	f.IntVar(&o.workers, "workers", 16, "connections that send at the same time")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 || o.rounds < 1 || o.requests < o.workers || o.workers < 1 {
		return nil, errors.New("no arguments, at least one round, and a request for each worker")
	}
	split := func(r rune) bool { return r == ',' }
	o.binaries, o.modes = strings.FieldsFunc(binaries, split), strings.FieldsFunc(modes, split)
	return o, nil
}

// measure starts all processes, sends the rounds, and prints what they cost.
func measure(o *options, out io.Writer) error {
	dir, err := os.MkdirTemp("", "gatehouse-load-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	peers, stop, err := startAll(o, dir)
	defer stop()
	if err != nil {
		return err
	}
	for _, answer := range []string{"JSON", "SSE"} {
		results := make([]result, len(peers))
		if err := runRounds(o, peers, answer, results); err != nil {
			return err
		}
		if err := printTable(out, answer, peers, results); err != nil {
			return err
		}
	}
	return printMemory(out, peers)
}

// runRounds sends the same requests to one process after the other. The first
// round warms up; each round begins with another process than the one before.
func runRounds(o *options, peers []*peer, answer string, results []result) error {
	c := newClient(o.workers, o.tool, answer)
	order := make([]int, len(peers))
	for n := range order {
		order[n] = n
	}
	for round := range o.rounds + 1 {
		for _, n := range order {
			before, err := peers[n].cpu()
			if err != nil {
				return err
			}
			sent, err := c.send(peers[n].url, o.requests)
			if err != nil {
				return fmt.Errorf("%s: %w", peers[n].name, err)
			}
			after, err := peers[n].cpu()
			if err != nil {
				return err
			}
			if round > 0 {
				results[n].add(sent, after-before)
			}
		}
		order = slices.Concat(order[1:], order[:1])
	}
	return nil
}
