// Command load measures the gateway beside what could stand in its place: a
// bare reverse proxy, nginx, and a proxy that asks an OPA of its own. They get
// the same requests to the same server, in turns. It prints Markdown tables, and
// judges nothing unless it is told a bound.
//
//	go run ./bench/load -rounds 5 -time 1s
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
	"strconv"
	"strings"
	"time"
)

// Options are the flags of a run. Of a list of values the first is the centre.
type options struct {
	binaries   []string // of gatehouse; none: built from this checkout
	modes      []string
	nginx, opa string // their binaries; empty: left out
	policies   string

	tools, answers []string
	sizes, workers []int
	all            bool
	rate           int

	rounds int
	slot   time.Duration
	docs   string
	bounds map[string]bound
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
			return serve(strings.Join(args[1:], " "), upstream(), out)
		case "proxy":
			return serveProxy(args[1:], out)
		case "opa-proxy":
			return serveOPAProxy(args[1:], out)
		case "with":
			return with(args[1:], out)
		}
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	return measure(o, out)
}

func parse(args []string) (*options, error) {
	o := &options{bounds: map[string]bound{}}
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.Func("gatehouse", "compare these `binaries`, separated by commas, instead of building one", texts(&o.binaries, ""))
	f.Func("modes", "policy `modes` to measure (default off,permissive,enforce)", texts(&o.modes, "off,permissive,enforce"))
	f.StringVar(&o.nginx, "nginx", "", "`path` of nginx; left out without")
	f.StringVar(&o.opa, "opa", "", "`path` of opa; left out without")
	f.StringVar(&o.policies, "policies", "policies", "`folder` of the policies")
	f.Func("tools", "tools to call (default temp.convert,alert.read; the policy bounds the arguments of the first)", texts(&o.tools, "temp.convert,alert.read"))
	f.Func("answers", "kinds of answers (default JSON,SSE)", texts(&o.answers, "JSON,SSE"))
	f.Func("sizes", "`KiB` of results (default 1,64,1024)", numbers(&o.sizes, "1,64,1024"))
	f.Func("connections", "connections that send at the same time (default 16,1,256)", numbers(&o.workers, "16,1,256"))
	f.BoolVar(&o.all, "all", false, "measure each combination of the lists, not only each value beside the first of the others")
	f.IntVar(&o.rate, "rate", 200, "requests/s of the open loop; 0: none")
	f.IntVar(&o.rounds, "rounds", 5, "rounds; tables show medians over them")
	f.DurationVar(&o.slot, "time", time.Second, "time of a process in a round")
	f.StringVar(&o.docs, "docs", "", "write the tables and the plot into performance.md and performance.svg of this `folder`")
	f.Func("bound", "fail if a gateway of this `mode=ratio,objects` takes more CPU time than that, or allocates more", o.bound)
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 || o.rounds < 1 || o.slot <= 0 || slices.Min(o.workers) < 1 || slices.Min(o.sizes) < 1 {
		return nil, errors.New("no arguments, at least one round, one connection and one KiB")
	}
	return o, nil
}

// texts sets a list to its default, and returns what a flag does to it.
func texts(list *[]string, preset string) func(string) error {
	set := func(s string) error {
		*list = strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
		return nil
	}
	_ = set(preset) // it cannot fail
	return set
}

func numbers(list *[]int, preset string) func(string) error {
	set := func(s string) error {
		*list = nil
		for text := range strings.SplitSeq(s, ",") {
			n, err := strconv.Atoi(text)
			if err != nil {
				return err
			}
			*list = append(*list, n)
		}
		return nil
	}
	_ = set(preset) // it cannot fail
	return set
}

// A bound is the most that a request may take, of medians.
type bound struct {
	ratio  float64 // of CPU time to that of the bare proxy
	allocs float64
}

func (o *options) bound(s string) error {
	mode, most, _ := strings.Cut(s, "=")
	var b bound
	_, err := fmt.Sscanf(most, "%g,%g", &b.ratio, &b.allocs)
	o.bounds[mode] = b
	return err
}
