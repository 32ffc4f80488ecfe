package gateway

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// stdio sends a message that has no headers, in a session of the revision that
// initialize agreed upon, if that is not empty.
func (b *bench) stdio(revision, text string) *client {
	h := http.Header{}
	if revision != "" {
		h.Set(mcp.HeaderVersion, revision)
	}
	c := &client{}
	b.Serve(context.Background(), &Exchange{
		Server: "s", Caller: alice, Transport: OverStdio, Verb: http.MethodPost, Header: h, Text: text,
	}, c)
	return c
}

// TestStdioHeaders: what a client over HTTP says in headers is taken from the
// message, so that the server's end has it, and the policy sees no headers.
func TestStdioHeaders(t *testing.T) {
	b := newBench(t, `decision := {"allow": input.transport == "stdio", "reason": json.marshal(input.headers)}`)
	b.server.answer = func(out *mcp.Outgoing) *mcp.Answer {
		return result(out, `{"tools":[{"name":"weather","inputSchema":{"properties":{
			"city":{"type":"string","x-mcp-header":"City"},"all":{"type":"object","x-mcp-header":"All"}}}}]}`)
	}
	if c := b.stdio("", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{`+meta+`}}`); !strings.Contains(c.text, "weather") {
		t.Fatal(c.text)
	}
	b.server.answer = nil
	if c := b.stdio("", toolCall("weather", `{"city":"Köln","all":{}}`)); !strings.Contains(c.text, `"result"`) {
		t.Fatal(c.text)
	}
	out := b.server.sent[1]
	for name, want := range map[string]string{
		mcp.HeaderVersion: "2026-07-28", mcp.HeaderMethod: "tools/call", mcp.HeaderName: "weather", "Mcp-Param-City": "=?base64?S8O2bG4=?=",
	} {
		if got := out.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	in := b.last()["input"].(map[string]any)
	if in["transport"] != "stdio" || in["protocol_version"] != "2026-07-28" || len(in["headers"].(map[string]any)) > 0 || in["request_ip"] != nil {
		t.Errorf("input %v", in)
	}
}

func TestStdioLegacy(t *testing.T) {
	b := newBench(t, allowAll)
	b.stdio("2025-06-18", `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	if h := b.server.sent[0].Header; len(h) != 1 || h.Get(mcp.HeaderVersion) != "2025-06-18" {
		t.Errorf("headers %v", h)
	}
	if v := b.last()["input"].(map[string]any)["protocol_version"]; v != "2025-06-18" {
		t.Errorf("protocol_version %v", v)
	}
}

// TestStdioPatchedName: what a patch makes of a call is what the headers say.
func TestStdioPatchedName(t *testing.T) {
	b := newBench(t, `decision := {"allow": true, "patch": {"uri": "file:///b"}} if input.kind == "resources/read"`)
	b.stdio("", `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a",`+meta+`}}`)
	out := b.server.sent[0]
	if out.Header.Get(mcp.HeaderName) != "file:///b" || !strings.Contains(out.Text, "file:///b") {
		t.Errorf("%v %s", out.Header, out.Text)
	}
}

// TestStdioRefusals: a request gets an error with its id; what cannot be told one
// with null, as JSON-RPC has it; and nothing else any answer.
func TestStdioRefusals(t *testing.T) {
	const deny = `decision := {"allow": false, "reason": "no"}`
	for name, c := range map[string]struct{ style, text, want string }{
		"request":             {StyleAuto, `{"jsonrpc":"2.0","id":"a","method":"ping"}`, `{"jsonrpc":"2.0","id":"a","error":{"code":403,`},
		"http style":          {StyleHTTP, `{"jsonrpc":"2.0","id":"a","method":"ping"}`, `{"jsonrpc":"2.0","id":"a","error":{"code":403,`},
		"tool result":         {StyleToolResult, toolCall("x", `{}`), `{"jsonrpc":"2.0","id":7,"result":{`},
		"malformed request":   {StyleAuto, `{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":1}}`, `{"jsonrpc":"2.0","id":4,"error":{"code":-32602,`},
		"notification":        {StyleAuto, `{"jsonrpc":"2.0","method":"notifications/x"}`, ""},
		"malformed one":       {StyleAuto, `{"jsonrpc":"2.0","method":"notifications/x","params":{` + strings.Replace(meta, "2026", "", 1) + `}}`, ""},
		"response to nothing": {StyleAuto, `{"jsonrpc":"2.0","id":1,"result":{}}`, ""},
		"error to nothing":    {StyleAuto, `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}`, ""},
		"no JSON":             {StyleAuto, `hello`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,`},
		"invalid UTF-8":       {StyleAuto, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}", `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,`},
		"batch":               {StyleAuto, `[]`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,`},
		"no message":          {StyleAuto, `{"jsonrpc":"2.0","id":1}`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,`},
		"unknown revision":    {StyleAuto, `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":1}}}`, `{"jsonrpc":"2.0","id":null,`},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, deny)
			b.Style = c.style
			got := b.stdio("", c.text)
			if !strings.HasPrefix(got.text, c.want) || c.want == "" && got.text != "" || len(got.events) > 0 {
				t.Errorf("%s, want %s", got.text, c.want)
			}
			if len(b.server.sent) > 0 || len(b.records()) == 0 {
				t.Errorf("%d sent, %d recorded", len(b.server.sent), len(b.records()))
			}
		})
	}
}

// TestSend: the message is with the server before anything is relayed, and a panic
// on the way back is a refusal too.
func TestSend(t *testing.T) {
	b := newBench(t, allowAll)
	b.server.answer = func(*mcp.Outgoing) *mcp.Answer {
		return &mcp.Answer{Events: &panics{}}
	}
	c := &client{}
	relay := b.Send(context.Background(), &Exchange{
		Server: "s", Caller: alice, Transport: OverStdio, Verb: http.MethodPost, Header: http.Header{}, Text: `{"jsonrpc":"2.0","id":1,"method":"ping"}`,
	}, c)
	if relay == nil || len(b.server.sent) != 1 || c.status != 0 {
		t.Fatalf("%d sent, answered %d", len(b.server.sent), c.status)
	}
	relay()
	if !strings.HasPrefix(c.text, `{"jsonrpc":"2.0","id":1,"error":{"code":500,`) || b.last()["outcome"] != "reject" {
		t.Errorf("%s, %v", c.text, b.last())
	}
	if b.Send(context.Background(), &Exchange{Server: "?", Caller: alice, Verb: http.MethodPost, Text: `{}`}, c) != nil {
		t.Error("there is something to relay of a refused message")
	}
}

type panics struct{ script }

func (*panics) Next() (mcp.Event, error) { panic("next") }

// TestDeniedWithoutStatus: a result may be denied that comes from a server without
// statuses, in either era.
func TestDeniedWithoutStatus(t *testing.T) {
	for _, text := range []string{toolCall("x", `{}`), `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x"}}`} {
		b := newBench(t, `decision := {"allow": input.phase != "response", "reason": "no"}`)
		b.server.answer = func(*mcp.Outgoing) *mcp.Answer {
			return &mcp.Answer{Events: &script{events: []mcp.Event{{Data: `{"jsonrpc":"2.0","id":7,"result":{}}`}}}}
		}
		if c := b.post(text); !strings.HasPrefix(c.text, `{"jsonrpc":"2.0","id":7,"error":{"code":403,`) || strings.Contains(b.log.String(), "panic") {
			t.Errorf("%s: %s", c.text, b.log)
		}
	}
}
