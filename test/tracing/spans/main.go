// Command spans runs a command with a collector of OpenTelemetry for it, and prints
// the spans that it sent once it has ended.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/testcollector"
)

func main() {
	collector, err := run(os.Args[1:])
	printTree(os.Stdout, collector.Spans())
	if err != nil {
		fmt.Fprintln(os.Stderr, "spans:", err)
		os.Exit(1)
	}
}

func run(command []string) (*testcollector.Collector, error) {
	c := &testcollector.Collector{}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return c, err
	}
	defer func() { _ = l.Close() }()
	go func() { _ = http.Serve(l, c) }()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+l.Addr().String())
	cmd.Stderr = os.Stderr
	return c, cmd.Run()
}

// printTree prints spans in the order of their beginnings, each below its parent.
func printTree(w io.Writer, spans []testcollector.Span) {
	slices.SortFunc(spans, func(a, b testcollector.Span) int { return a.Start.Compare(b.Start) })
	known, within := map[string]bool{}, map[string][]testcollector.Span{}
	for _, s := range spans {
		known[s.ID] = true
	}
	for _, s := range spans {
		if !known[s.Parent] {
			s.Parent = ""
		}
		within[s.Parent] = append(within[s.Parent], s)
	}
	var show func(parent string, depth int)
	show = func(parent string, depth int) {
		for _, s := range within[parent] {
			line := strings.Repeat("  ", depth) + s.Kind + " " + s.Name
			for _, key := range []string{"gatehouse.decision.outcome", "error.type"} {
				if value := s.Attributes[key]; value != "" {
					line += " " + key + "=" + value
				}
			}
			_, _ = fmt.Fprintln(w, line)
			show(s.ID, depth+1)
		}
	}
	show("", 0)
}
