// Package tracing looks at traces from outside: clients and servers of the official
// SDK, the real binary between them, and a collector that takes what it exports.
package tracing

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/gatehouse-mcp/gatehouse/internal/testcollector"
	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// serveStdio, in the environment, makes the test binary a server on stdio.
const serveStdio = "GATEHOUSE_TEST_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serveStdio) != "" {
		if err := newServer(func(*mcp.CallToolRequest) {}).Run(context.Background(), &mcp.StdioTransport{}); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(harness.Run(m))
}

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
	parent  = "00-" + traceID + "-" + spanID + "-01"
)

const rego = `package mcp

decision := {"allow": object.get(input, ["tool", "name"], "") != "forbidden", "reason": "forbidden", "code": "policy_deny"}
`

func policy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "policy.rego"), []byte(rego), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// newServer is a server whose tool where answers with the traceparent that it was
// given in _meta.
func newServer(called func(*mcp.CallToolRequest)) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "traced", Version: "1"}, nil)
	for _, name := range []string{"where", "forbidden"} {
		mcp.AddTool(s, &mcp.Tool{Name: name}, func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			called(req)
			said, _ := req.Params.Meta["traceparent"].(string)
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: said}}}, nil, nil
		})
	}
	return s
}

// traced adds a span's context to each request.
type traced struct{}

func (traced) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Traceparent", parent)
	r.Header.Set("Tracestate", "vendor=1")
	return http.DefaultTransport.RoundTrip(r)
}

// call calls a tool, with a traceparent in _meta unless it is empty, and returns the text of its result.
func call(t *testing.T, session *mcp.ClientSession, tool, traceparent string) string {
	t.Helper()
	params := &mcp.CallToolParams{Name: tool}
	if traceparent != "" {
		params.Meta = mcp.Meta{"traceparent": traceparent}
	}
	result, err := session.CallTool(t.Context(), params)
	if err != nil {
		return err.Error()
	}
	return result.Content[0].(*mcp.TextContent).Text
}

func connect(t *testing.T, transport mcp.Transport, version string) *mcp.ClientSession {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "go", Version: "1"}, nil).Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	return session
}

// TestLinked: client, gateway and server are one trace, in both eras. What the
// gateway knows of it when it is told to end is there once it has.
func TestLinked(t *testing.T) {
	for _, version := range []string{"2026-07-28", "2025-11-25"} {
		t.Run(version, func(t *testing.T) { linked(t, version) })
	}
}

func linked(t *testing.T, version string) {
	t.Helper()
	collector := testcollector.New(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
	t.Setenv("OTEL_SERVICE_NAME", "gateway-under-test")
	var mu sync.Mutex
	var came http.Header
	server := newServer(func(req *mcp.CallToolRequest) {
		mu.Lock()
		defer mu.Unlock()
		came = req.Extra.Header
	})
	upstream := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
	t.Cleanup(upstream.Close)
	gw := harness.StartGateway(t, harness.Options{Upstream: upstream.URL, Policy: policy(t)})
	session := connect(t, &mcp.StreamableClientTransport{Endpoint: gw.URL, HTTPClient: &http.Client{Transport: traced{}}}, version)
	if _, err := session.ListTools(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if said := call(t, session, "where", ""); said != "" {
		t.Errorf("the server was told %q in _meta, where the client said nothing", said)
	}
	if said := call(t, session, "forbidden", ""); !strings.Contains(said, "policy_deny") {
		t.Error(said)
	}
	_ = session.Close()
	gw.Stop()

	served, asked := collector.Find(t, "SERVER", "tools/call where"), collector.Find(t, "CLIENT", "tools/call where")
	if served.TraceID != traceID || served.Parent != spanID || asked.Parent != served.ID || served.Resource["service.name"] != "gateway-under-test" {
		t.Errorf("%+v\n%+v", served, asked)
	}
	mu.Lock()
	defer mu.Unlock()
	if got := came.Get("Traceparent"); got != "00-"+traceID+"-"+asked.ID+"-01" || came.Get("Tracestate") != "vendor=1" {
		t.Errorf("the server was told %q, %q", got, came.Get("Tracestate"))
	}
	if denied := collector.Find(t, "SERVER", "tools/call forbidden"); denied.Attributes["error.type"] != "403" {
		t.Errorf("%+v", denied)
	}
	logAndTraceMeet(t, gw.Audit, collector, served.ID)
}

// logAndTraceMeet compares the decisions of a span with the records of its trace.
func logAndTraceMeet(t *testing.T, audit string, collector *testcollector.Collector, span string) {
	t.Helper()
	text, err := os.ReadFile(audit)
	if err != nil {
		t.Fatal(err)
	}
	records := map[string]map[string]any{}
	for line := range strings.Lines(string(text)) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		records[r["decision_id"].(string)] = r
	}
	met := 0
	for _, s := range collector.Spans() {
		if s.Parent != span || s.Kind != "INTERNAL" {
			continue
		}
		r := records[s.Attributes["gatehouse.decision.id"]]
		if r == nil || r["trace_id"] != s.TraceID || r["outcome"] != s.Attributes["gatehouse.decision.outcome"] || r["phase"] != s.Attributes["gatehouse.decision.phase"] {
			t.Errorf("span %+v, record %v", s, r)
		}
		met++
	}
	if met != 2 {
		t.Errorf("%d decisions", met)
	}
}

// TestStdio: with gatehouse wrap, _meta is all there is, and the server's end of the
// trace is within the gateway's.
func TestStdio(t *testing.T) {
	collector := testcollector.New(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	audit := filepath.Join(dir, "audit.jsonl")
	cmd := exec.Command(harness.Build(t, "github.com/gatehouse-mcp/gatehouse/cmd/gatehouse"), "wrap", "--policy-bundle", policy(t), "--policy-mode", "enforce",
		"--audit", audit, "--log", filepath.Join(dir, "log"), "--", self)
	cmd.Env = append(os.Environ(), serveStdio+"=1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+collector.URL+"/v1/traces", "OTEL_EXPORTER_OTLP_COMPRESSION=gzip")
	cmd.Stderr = os.Stderr
	session := connect(t, &mcp.CommandTransport{Command: cmd}, "2025-11-25")
	if _, err := session.ListTools(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	said := call(t, session, "where", parent)
	if err := session.Close(); err != nil {
		t.Error(err)
	}
	served, asked := collector.Find(t, "SERVER", "tools/call where"), collector.Find(t, "CLIENT", "tools/call where")
	if served.Parent != spanID || served.Attributes["network.transport"] != "pipe" || said != "00-"+traceID+"-"+asked.ID+"-01" {
		t.Errorf("the server was told %q\n%+v\n%+v", said, served, asked)
	}
	logAndTraceMeet(t, audit, collector, served.ID)
}

// TestTLS: a collector with an authority of its own.
func TestTLS(t *testing.T) {
	collector := &testcollector.Collector{}
	server := httptest.NewTLSServer(collector)
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", ca)
	gw := harness.StartGateway(t, harness.Options{Upstream: "http://127.0.0.1:9/mcp", Policy: policy(t)})
	resp, err := http.Post(gw.URL, "application/json", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	gw.Stop()
	if s := collector.Find(t, "CLIENT", "ping"); s.Attributes["error.type"] != "502" {
		t.Errorf("%+v", s)
	}
}

// TestCollectorGone: a collector that nobody can reach fails no call, and is told of once.
func TestCollectorGone(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", gone.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
	t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "1")
	server := newServer(func(*mcp.CallToolRequest) {})
	upstream := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))
	t.Cleanup(upstream.Close)
	gw := harness.StartGateway(t, harness.Options{Upstream: upstream.URL, Policy: policy(t)})
	session := connect(t, &mcp.StreamableClientTransport{Endpoint: gw.URL}, "2026-07-28")
	for range 50 {
		if said := call(t, session, "where", parent); !strings.HasPrefix(said, "00-"+traceID) {
			t.Fatal(said)
		}
	}
	_ = session.Close()
	gw.Await(t, "the failure to be logged", func() bool { return strings.Contains(gw.Output(), "tracing failed") })
	gw.Stop()
	if n := strings.Count(gw.Output(), "tracing failed"); n != 1 {
		t.Errorf("logged %d times\n%s", n, gw.Output())
	}
}

// TestBadEnvironment: what the gateway could not do as it is told stops the start,
// and the check before it.
func TestBadEnvironment(t *testing.T) {
	gatehouse := harness.Build(t, "github.com/gatehouse-mcp/gatehouse/cmd/gatehouse")
	for _, command := range []string{"serve", "check"} {
		cmd := exec.Command(gatehouse, command, "--upstream", "http://127.0.0.1:9/mcp", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
		cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc")
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), `OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" is not http/protobuf`) {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
}
