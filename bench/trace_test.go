package bench

import (
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/testcollector"
	"github.com/gatehouse-mcp/gatehouse/internal/trace"
)

// BenchmarkTrace measures the path of a tool call without a network: where nothing
// is traced, where its trace is not sampled, and where it is.
func BenchmarkTrace(b *testing.B) {
	for _, c := range []struct{ name, parent string }{
		{"off", ""},
		{"unsampled", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"},
		{"sampled", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
	} {
		b.Run(c.name, func(b *testing.B) { traced(b, c.parent) })
	}
}

func traced(b *testing.B, parent string) {
	b.Helper()
	g := path(b, starterEngine(b), nil)
	x := gateway.Exchange{
		Server: "s", Caller: &identity.Caller{ID: "alice@org", Roles: []string{"staff", role}, Auth: "api_key"}, RequestIP: "192.0.2.7",
		Transport: "http", Verb: http.MethodPost, Header: headers(),
		Text: `{"jsonrpc":"2.0","id":42,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
			`"io.modelcontextprotocol/clientCapabilities":{}},"name":"temp.convert","arguments":{"temp":21.5,"from":"C"}}}`,
	}
	if parent != "" {
		x.Header.Set("Traceparent", parent)
		var err error
		g.Tracer, err = trace.New(&trace.Config{Endpoint: testcollector.New(b).URL + "/v1/traces", Timeout: time.Minute},
			http.DefaultClient, "v1", slog.New(slog.DiscardHandler))
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		exchange := x
		g.Serve(b.Context(), &exchange, nobody{})
	}
	g.Tracer.Close()
}
