package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// serveStdio has this test binary be an MCP server on its standard input and output.
const serveStdio = "GATEHOUSE_BENCH_STDIO"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(ask) != "":
		askForever()
		return
	case os.Getenv(serveStdio) == "":
		os.Exit(m.Run())
	}
	s := sdk.NewServer(&sdk.Implementation{Name: "bench", Version: "1"}, nil)
	text := strings.Repeat("Line of an ordinary answer, in plain words.\n", 2048/44)
	for _, name := range []string{"alert.read", "temp.convert"} {
		s.AddTool(&sdk.Tool{Name: name, InputSchema: map[string]any{"type": "object"}},
			func(context.Context, *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
				return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: text}}}, nil
			})
	}
	_ = s.Run(context.Background(), &sdk.StdioTransport{}) // it ends with its input
}

// BenchmarkWrap calls a tool of a server on stdio, and of the same server with
// gatehouse wrap around it, in turns.
func BenchmarkWrap(b *testing.B) {
	gatehouse := filepath.Join(b.TempDir(), "gatehouse")
	if out, err := exec.Command("go", "build", "-o", gatehouse, "../cmd/gatehouse").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	server := []string{"env", serveStdio + "=1", self}
	for _, mode := range []string{"enforce", "permissive", "off"} {
		for _, tool := range []string{"alert.read", "temp.convert"} {
			b.Run(mode+"/"+tool, func(b *testing.B) {
				audit := filepath.Join(b.TempDir(), "audit.jsonl")
				settings := filepath.Join(b.TempDir(), "wrap.yaml") // a busy machine must not deny what it is to measure
				if err := os.WriteFile(settings, []byte("policy: {timeoutMs: 2000}\n"), 0o600); err != nil {
					b.Fatal(err)
				}
				wrap := []string{gatehouse, "wrap", "--config", settings, "--policy-mode", mode, "--role", "dev", "--audit", audit, "--"}
				peers := []*peer{startPeer(b, server), startPeer(b, slices.Concat(wrap, server))}
				var took [2][]time.Duration
				for n := 0; b.Loop(); n++ {
					for i, p := range peers {
						start := time.Now()
						p.call(tool, n)
						took[i] = append(took[i], time.Since(start))
					}
				}
				report(b, took)
			})
		}
	}
}

// report reports medians, and how they compare.
func report(b *testing.B, took [2][]time.Duration) {
	micro := func(all []time.Duration, part float64) float64 {
		slices.Sort(all)
		return float64(all[int(part*float64(len(all)-1))].Nanoseconds()) / 1000
	}
	bare, wrapped := micro(took[0], 0.5), micro(took[1], 0.5)
	b.ReportMetric(0, "ns/op") // both together, which says nothing
	b.ReportMetric(bare, "bare-p50-µs")
	b.ReportMetric(wrapped, "wrapped-p50-µs")
	b.ReportMetric(wrapped-bare, "added-µs")
	b.ReportMetric(wrapped/bare, "ratio")
	b.ReportMetric(micro(took[0], 0.99), "bare-p99-µs")
	b.ReportMetric(micro(took[1], 0.99), "wrapped-p99-µs")
}

// A peer is a server on stdio.
type peer struct {
	b   *testing.B
	in  io.WriteCloser
	out *bufio.Reader
}

func startPeer(b *testing.B, command []string) *peer {
	b.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	p := &peer{b, in, bufio.NewReaderSize(out, 64<<10)}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait() // how it ends is another test's matter
	})
	p.ask(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`)
	_, err = io.WriteString(in, `{"jsonrpc":"2.0","method":"notifications/initialized"}`+"\n")
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// call calls a tool, each time with other arguments.
func (p *peer) call(tool string, n int) {
	p.ask(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":{"temp":%d}}}`, n+1, tool, n%10000))
}

func (p *peer) ask(text string) {
	if _, err := io.WriteString(p.in, text+"\n"); err != nil {
		p.b.Fatal(err)
	}
	if line, err := p.out.ReadString('\n'); err != nil || !strings.Contains(line, `"result"`) {
		p.b.Fatalf("%s: %v", line, err)
	}
}
