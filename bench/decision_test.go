// Package bench measures what a decision costs. Nothing here passes or fails
// by the time it takes; docs/performance.md says how to read the figures.
package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// The user of the benchmarks has this role. Of a list it may use every second
// tool, so that a list costs what both kinds of items cost.
const role = "bench"

// starter loads the starter policies, with the role of the benchmarks added to
// their data.
func starter(b *testing.B) *policy.Snapshot {
	b.Helper()
	return starterEngine(b).Pin()
}

func starterEngine(b *testing.B) *policy.Engine {
	b.Helper()
	return engineOf(b, starterDir(b, nil))
}

func engineOf(b *testing.B, dir string) *policy.Engine {
	b.Helper()
	debug.SetGCPercent(400) // as the gateway has it
	engine := policy.New(policy.Config{
		Bundle: dir, Decision: "mcp/decision", Timeout: time.Second, Log: slog.New(slog.DiscardHandler),
	})
	b.Cleanup(engine.Close)
	if err := engine.Reload(context.Background()); err != nil {
		b.Fatal(err)
	}
	return engine
}

// starterDir is a bundle of the starter policies, whose data may be changed.
func starterDir(b *testing.B, change func(data map[string]any)) string {
	b.Helper()
	dir := b.TempDir()
	rego, err := filepath.Glob("../policies/*.rego")
	if err != nil || len(rego) == 0 {
		b.Fatalf("no starter policies: %v", err)
	}
	for _, path := range rego {
		if !strings.HasSuffix(path, "_test.rego") {
			copyFile(b, path, filepath.Join(dir, filepath.Base(path)))
		}
	}
	data := dataWithRole(b)
	if change != nil {
		change(data)
	}
	raw, err := json.Marshal(data)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "data.json"), raw, 0o600)
	}
	if err != nil {
		b.Fatal(err)
	}
	return dir
}

func copyFile(b *testing.B, from, to string) {
	b.Helper()
	raw, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, raw, 0o600)
	}
	if err != nil {
		b.Fatal(err)
	}
}

func dataWithRole(b *testing.B) map[string]any {
	b.Helper()
	raw, err := os.ReadFile("../policies/data.json")
	if err != nil {
		b.Fatal(err)
	}
	var data map[string]any
	if err := json.Unmarshal(raw, &data); err != nil {
		b.Fatal(err)
	}
	tools := map[string]any{"echo": true, "temp.convert": true}
	for n := 0; n < 1000; n += 2 {
		tools[toolName(n)] = true
	}
	tools["file.read"] = true
	data["roles"].(map[string]any)[role] = map[string]any{"tools": map[string]any{"*": tools}}
	bounds := data["arguments"].(map[string]any)["*"].(map[string]any)
	bounds["file.read"] = map[string]any{"properties": map[string]any{"path": map[string]any{"path": []string{"/srv/public"}}}}
	return data
}

func toolName(n int) string { return fmt.Sprintf("tool.number_%d", n) }

func headers() http.Header {
	return http.Header{
		"Accept":             {"application/json, text/event-stream"},
		"Accept-Encoding":    {"gzip, deflate, br"},
		"Accept-Language":    {"en-GB,en;q=0.8"},
		"Authorization":      {"Bearer 4f2c9d1e7a6b4830"},
		"Content-Length":     {"286"},
		"Content-Type":       {"application/json"},
		"Host":               {"gateway.example"},
		"Traceparent":        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
		"User-Agent":         {"agent/3.1 (linux; x64)"},
		"X-Request-Id":       {"6dd2b7b4-1c1e-4f62-9f0e-0a4f1f7f1b3a"},
		mcp.HeaderMethod:     {"tools/call"},
		mcp.HeaderName:       {"temp.convert"},
		mcp.HeaderVersion:    {mcp.Modern},
		"X-Workspace-Folder": {"/home/alice/project"},
	}
}

// call is the input of a tool call as the gateway makes it.
func call(b *testing.B) policy.Input {
	b.Helper()
	return callOf(b, "temp.convert", `{"temp":21.5,"from":"celsius","to":"kelvin"}`)
}

// evaluated is a call that is allowed and not remembered: only Rego knows the
// word of its bound.
func evaluated(b *testing.B) policy.Input {
	b.Helper()
	return callOf(b, "file.read", `{"path":"/srv/public/notes.txt"}`)
}

func callOf(b *testing.B, tool, args string) policy.Input {
	b.Helper()
	m, bad := mcp.ParseClient(`{"jsonrpc":"2.0","id":42,"method":"tools/call","params":{` +
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
		`"io.modelcontextprotocol/clientInfo":{"name":"agent","version":"3.1"}},` +
		`"name":"` + tool + `","arguments":` + args + `}}`)
	if bad != nil {
		b.Fatal(bad)
	}
	return policy.Input{
		Phase: policy.Request, Kind: m.Method, Server: "weather",
		User:      policy.User{ID: "alice@org", Roles: []string{"staff", role}, Auth: "api_key"},
		Tool:      &policy.Tool{Name: m.Target(), Args: m.Params.Get("arguments")},
		Params:    m.Params,
		RequestIP: "192.0.2.7", Headers: headers(), ClientName: "agent", ClientVersion: "3.1",
		ProtocolVersion: mcp.Modern, Transport: "http",
	}
}

// result is the result of a tool call, of about that many bytes.
func result(b *testing.B, size int) mcp.Value {
	b.Helper()
	line := "Line of an ordinary answer, in plain words: 21.5 °C is 294.65 K.\n"
	text, err := json.Marshal(strings.Repeat(line, size/len(line)))
	if err != nil {
		b.Fatal(err)
	}
	return parse(b, `{"content":[{"type":"text","text":`+string(text)+`}],"isError":false}`)
}

func parse(b *testing.B, text string) mcp.Value {
	b.Helper()
	v, err := mcp.ParseValue(text)
	if err != nil {
		b.Fatal(err)
	}
	return v
}

// samples are the times of single runs; ns/op is their mean and hides the tail.
type samples struct {
	times []time.Duration
	cpu   time.Duration // of the process when the first run began
}

func newSamples() *samples { return &samples{times: make([]time.Duration, 0, 1<<17), cpu: cpuTime()} }

func (s *samples) since(start time.Time) { s.times = append(s.times, time.Since(start)) }

// report adds the percentiles that so many samples can tell, and the CPU time
// of a run, which a busy machine lengthens less than the time on the clock.
func (s *samples) report(b *testing.B) {
	b.Helper()
	b.ReportMetric(float64(cpuTime()-s.cpu)/float64(len(s.times))/1e3, "cpu-µs/op")
	for _, p := range []struct {
		per1000 int
		unit    string
	}{{500, "p50-µs"}, {990, "p99-µs"}, {999, "p99.9-µs"}} {
		if n := len(s.times); n*(1000-p.per1000) >= 1000 {
			b.ReportMetric(s.at(p.per1000), p.unit)
		}
	}
}

// at is the sample below which so many in a thousand are, in microseconds.
func (s *samples) at(per1000 int) float64 {
	slices.Sort(s.times)
	return float64(s.times[len(s.times)*per1000/1000]) / 1e3
}

// cpuTime is what the process has used, in user and system mode.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // no argument of it can be wrong
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkDecision(b *testing.B) {
	s := starter(b)
	b.Run("request", func(b *testing.B) {
		in := call(b)
		decide(b, s, in, true)
	})
	for _, size := range []int{2 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("response-%dKB", size>>10), func(b *testing.B) {
			in := call(b)
			in.Phase, in.Response = policy.Response, result(b, size)
			in.Begin()
			decide(b, s, in, false)
		})
	}
	for _, size := range []int{64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("response-%dKB-with-a-secret", size>>10), func(b *testing.B) {
			text := strings.Replace(result(b, size).Text(), "in plain words", "AKIAIOSFODNN7EXAMPLE", 1)
			redact(b, s, `{"jsonrpc":"2.0","id":42,"result":`+text+`}`)
		})
	}
	b.Run("denied", func(b *testing.B) {
		in := call(b)
		in.Tool = &policy.Tool{Name: "database.backup"}
		decide(b, s, in, true)
	})
	b.Run("evaluated", func(b *testing.B) {
		in := evaluated(b)
		decide(b, s, in, true)
	})
}

// decide measures one decision. A request begins an exchange; a response finds
// the terms that its request has made.
func decide(b *testing.B, s *policy.Snapshot, in policy.Input, begins bool) {
	b.Helper()
	times := newSamples()
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		if begins {
			in.Begin()
		}
		d := s.Decide(&in)
		times.since(start)
		if d.Err != nil {
			b.Fatal(d.Err)
		}
	}
	times.report(b)
}

// redact measures all that becomes of an answer with a secret: the decision, the
// message without the secret, and that message parsed.
func redact(b *testing.B, s *policy.Snapshot, text string) {
	b.Helper()
	in := call(b)
	in.Phase, in.Response = policy.Response, parse(b, text).Get("result")
	in.Begin()
	times := newSamples()
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		d := s.Decide(&in)
		clean, err := s.Redact(in.Response, d.Redact)
		if err != nil {
			b.Fatal(err)
		}
		m, bad := mcp.ParseServer(clean)
		times.since(start)
		if bad != nil || strings.Contains(m.Text, "AKIA") {
			b.Fatal(bad, "or the secret is still there")
		}
	}
	times.report(b)
}

func BenchmarkList(b *testing.B) {
	s := starter(b)
	for _, n := range []int{100, 1000} {
		b.Run(fmt.Sprintf("%d-tools/cold", n), func(b *testing.B) { list(b, s, n, true) })
		b.Run(fmt.Sprintf("%d-tools/warm", n), func(b *testing.B) { list(b, s, n, false) })
	}
}

// list measures one list: every item judged. Cold, each list is of a user who
// was never seen before; warm, all are of one user.
func list(b *testing.B, s *policy.Snapshot, size int, cold bool) {
	b.Helper()
	base := call(b)
	base.Params, base.Phase = mcp.Value{}, policy.List
	tools := make([]*policy.Tool, size)
	for n := range tools {
		tools[n] = &policy.Tool{Name: toolName(n)}
	}
	times := newSamples()
	b.ReportAllocs()
	for b.Loop() {
		if cold {
			base.User.ID = stranger()
		}
		start := time.Now()
		base.Begin()
		if kept := visible(s, base, tools); kept != size/2 {
			b.Fatalf("%d of %d tools kept", kept, size)
		}
		times.since(start)
	}
	times.report(b)
}

var strangers int

// stranger is a user who was never seen before, in no run of a benchmark.
func stranger() string {
	strangers++
	return fmt.Sprint("stranger ", strangers)
}

func visible(s *policy.Snapshot, base policy.Input, tools []*policy.Tool) (kept int) {
	for _, tool := range tools {
		in := base
		in.Tool = tool
		if d, _ := s.Visible(&in); d.Allow {
			kept++
		}
	}
	return kept
}
