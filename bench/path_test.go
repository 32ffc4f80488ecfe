package bench

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
	"github.com/gatehouse-mcp/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A canned server answers each request with the same 2 KB of text.
type canned struct{ result string }

func (c canned) Send(_ context.Context, out *mcp.Outgoing) (*mcp.Answer, *mcp.Error) {
	id, _, _ := strings.Cut(strings.TrimPrefix(out.Text, `{"jsonrpc":"2.0","id":`), ",")
	return &mcp.Answer{Status: http.StatusOK, Text: `{"jsonrpc":"2.0","id":` + id + `,"result":` + c.result + `}`}, nil
}

// BenchmarkPath measures the path of a tool call without a network: parsed, judged
// and recorded both ways, the records in a file. No two calls in a row are alike.
func BenchmarkPath(b *testing.B) {
	for _, mode := range []string{gateway.Off, gateway.Enforce} {
		for _, tool := range []string{toolName(0), "temp.convert"} {
			b.Run(mode+"/"+tool, func(b *testing.B) { pathOf(b, mode, tool) })
		}
	}
}

func pathOf(b *testing.B, mode, tool string) {
	b.Helper()
	log, err := audit.Open(audit.Config{Path: filepath.Join(b.TempDir(), "audit.jsonl"), Input: true})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	g := path(b, starterEngine(b), nil)
	g.Upstreams["s"] = canned{result(b, 2<<10).Text()}
	g.Audit, g.Mode = log, mode
	texts := make([]string, 1<<14)
	for n := range texts {
		texts[n] = fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",`+
			`"io.modelcontextprotocol/clientInfo":{"name":"agent","version":"3.1"},"io.modelcontextprotocol/clientCapabilities":{}},`+
			`"name":"%s","arguments":{"temp":%d.5,"from":"celsius","to":"kelvin"}}}`, n, tool, n%10000)
	}
	header := headers()
	header.Set(mcp.HeaderName, tool)
	caller := &identity.Caller{ID: "alice@org", Roles: []string{"staff", role}, Auth: "api_key"}
	var client answered
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		g.Serve(b.Context(), &gateway.Exchange{
			Server: "s", Caller: caller, RequestIP: "192.0.2.7", Transport: "http", Verb: http.MethodPost, Header: header, Text: texts[n%len(texts)],
		}, &client)
		if client != http.StatusOK {
			b.Fatalf("status %d", client)
		}
	}
}

// answered is the status of the last answer.
type answered int

func (c *answered) Answer(a *mcp.Answer) error {
	*c = answered(a.Status)
	return nil
}

func (*answered) Event(*mcp.Answer, mcp.Event) error { return nil }
