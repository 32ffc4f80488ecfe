package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/testcollector"
	"github.com/gatehouse-mcp/gatehouse/internal/trace"
)

// A tracedBench is a bench whose gateway traces.
type tracedBench struct {
	*bench
	*testcollector.Collector
}

func newTracedBench(t *testing.T, rego string) *tracedBench {
	t.Helper()
	b := &tracedBench{newBench(t, rego), testcollector.New(t)}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	var err error
	b.Tracer, err = trace.New(&trace.Config{Endpoint: b.URL + "/v1/traces", Timeout: 10 * time.Second},
		&http.Client{Transport: transport}, "v1", slog.New(slog.NewJSONHandler(b.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	clientTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	clientSpan  = "00f067aa0ba902b7"
	otherSpan   = "b7ad6b7169203331"
	parent      = "00-" + clientTrace + "-" + clientSpan + "-01"
	other       = "00-" + clientTrace + "-" + otherSpan + "-01"
)

// withMeta adds members to the _meta of a message.
func withMeta(text, members string) string {
	return strings.Replace(text, `"_meta":{`, `"_meta":{`+members+`,`, 1)
}

// headed serves a message with these headers beside those of the protocol.
func (b *tracedBench) headed(text string, headers http.Header) *client {
	h := http.Header{}
	m, _ := mcp.ParseClient(text)
	if m.Version() != "" {
		mcp.Mirror(h, m)
	}
	maps.Copy(h, headers)
	return b.serve(&Exchange{Caller: alice, Verb: http.MethodPost, Header: h, Text: text})
}

func TestSpans(t *testing.T) {
	const deny = `decision := {"allow": input.phase != "request", "reason": "quotes 4711471147114711"}`
	const failing = `decision := {"allow": json.unmarshal("1")}`
	down := mcp.Refuse(http.StatusBadGateway, "the server is down", "secret cause")
	read := `{"jsonrpc":"2.0","id":"r","method":"resources/read","params":{"uri":"https://u:p@h/a?token=x",` + meta + `}}`
	server := map[string]string{
		"mcp.method.name": "tools/call", "gatehouse.server": "s", "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t",
		"jsonrpc.request.id": "7", "mcp.protocol.version": "2026-07-28", "network.transport": "tcp", "client.address": "192.0.2.1",
	}
	with := func(base map[string]string, pairs ...string) map[string]string {
		m := maps.Clone(base)
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
			if pairs[i+1] == "" {
				delete(m, pairs[i])
			}
		}
		return m
	}
	errorOf := func(code string) string {
		return `{"jsonrpc":"2.0","id":7,"error":{"code":` + code + `,"message":"4711471147114711"}}`
	}
	for name, c := range map[string]struct {
		rego, text, answer string
		bad                *mcp.Error
		server, client     map[string]string // nil: no span
		message            string
		decisions          []string
	}{
		"call":         {allowAll, toolCall("t", `{"a":4711471147114711}`), "", nil, server, with(server, "network.transport", "", "client.address", ""), "", []string{"request allow", "response allow"}},
		"denied":       {deny, toolCall("t", `{"a":4711471147114711}`), "", nil, with(server, "error.type", "403", "rpc.response.status_code", "403"), nil, "policy_deny", []string{"request deny"}},
		"policy error": {failing, toolCall("t", `{}`), "", nil, with(server, "error.type", "403", "rpc.response.status_code", "403"), nil, "policy_deny", []string{"request error"}},
		"tool error": {
			allowAll, toolCall("t", `{}`), `{"jsonrpc":"2.0","id":7,"result":{"isError":true,"content":[{"type":"text","text":"4711471147114711"}]}}`, nil,
			with(server, "error.type", "tool_error"), with(server, "error.type", "tool_error", "network.transport", "", "client.address", ""), "",
			[]string{"request allow", "response allow"},
		},
		"server's error": {
			allowAll, toolCall("t", `{}`), errorOf("-32602"), nil, with(server, "error.type", "-32602", "rpc.response.status_code", "-32602"),
			with(server, "error.type", "-32602", "rpc.response.status_code", "-32602", "network.transport", "", "client.address", ""), "",
			[]string{"request allow", "response allow"},
		},
		"code of no bound": {
			allowAll, toolCall("t", `{}`), errorOf("123456789012"), nil, with(server, "error.type", "_OTHER", "rpc.response.status_code", "_OTHER"),
			with(server, "error.type", "_OTHER", "rpc.response.status_code", "_OTHER", "network.transport", "", "client.address", ""), "",
			[]string{"request allow", "response allow"},
		},
		"server down": {
			allowAll, toolCall("t", `{}`), "", down, with(server, "error.type", "502", "rpc.response.status_code", "502"),
			with(server, "error.type", "502", "network.transport", "", "client.address", ""), "the server is down",
			[]string{"request allow", "response reject"},
		},
		"unknown method": {
			deny, `{"jsonrpc":"2.0","id":7,"method":"evil/4711471147114711","params":{` + meta + `}}`, "", nil,
			with(server, "mcp.method.name", "other", "gen_ai.operation.name", "", "gen_ai.tool.name", "", "error.type", "403", "rpc.response.status_code", "403"), nil, "policy_deny",
			[]string{"request deny"},
		},
		"no JSON": {allowAll, `4711471147114711`, "", nil, map[string]string{
			"network.transport": "tcp", "client.address": "192.0.2.1", "error.type": "-32600", "rpc.response.status_code": "-32600",
		}, nil, "invalid request", []string{"request reject"}},
		"resource": {deny, read, "", nil, map[string]string{
			"mcp.method.name": "resources/read", "gatehouse.server": "s", "mcp.resource.uri": "https://***@h/a?***", "jsonrpc.request.id": "r",
			"mcp.protocol.version": "2026-07-28", "network.transport": "tcp", "client.address": "192.0.2.1", "error.type": "403", "rpc.response.status_code": "403",
		}, nil, "policy_deny", []string{"request deny"}},
		"long names": {deny, strings.Replace(toolCall(strings.Repeat("ä", 1000), `{}`), `"id":7`, `"id":"`+strings.Repeat("i", 1000)+`"`, 1), "", nil, with(server,
			"gen_ai.tool.name", strings.Repeat("ä", 64), "jsonrpc.request.id", strings.Repeat("i", 128), "error.type", "403", "rpc.response.status_code", "403"), nil, "policy_deny", []string{"request deny"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTracedBench(t, c.rego)
			b.server.bad = c.bad
			if c.answer != "" {
				b.server.answer = func(*mcp.Outgoing) *mcp.Answer { return &mcp.Answer{Status: http.StatusOK, Text: c.answer} }
			}
			b.headed(c.text, nil)
			b.Tracer.Close()
			var decisions []string
			got := map[string]map[string]string{}
			for _, s := range b.Spans() {
				if s.Kind == "INTERNAL" {
					decisions = append(decisions, s.Attributes["gatehouse.decision.phase"]+" "+s.Attributes["gatehouse.decision.outcome"])
					continue
				}
				got[s.Kind] = s.Attributes
				if want := s.Attributes["error.type"] != ""; s.Error != want || want && s.Message != c.message && s.Kind == "SERVER" {
					t.Errorf("%s: error %v %q, want %v %q", s.Kind, s.Error, s.Message, want, c.message)
				}
			}
			want := map[string]map[string]string{"SERVER": c.server}
			if c.client != nil {
				want["CLIENT"] = c.client
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			if !slices.Equal(decisions, c.decisions) {
				t.Errorf("decisions %q", decisions)
			}
			if all := fmt.Sprintf("%+v", b.Spans()); strings.Contains(all, "4711471147114711") || strings.Contains(all, "secret") || strings.Contains(all, "alice") {
				t.Errorf("spans quote a message: %s", all)
			}
			for _, r := range b.records() {
				if id := b.Spans()[0].TraceID; r["trace_id"] != id {
					t.Errorf("record of trace %v, want %v", r["trace_id"], id)
				}
			}
		})
	}
}

// TestTraceContext: where the client's span is told, and where its trace goes on.
func TestTraceContext(t *testing.T) {
	long := strings.Repeat("a=1,", 2000) + "b=2"
	for name, c := range map[string]struct {
		headers      http.Header
		meta         string // members
		parent, link string // of the gateway's span
		state        string // that goes on
		replaced     bool   // the traceparent of _meta
	}{
		"none":                  {},
		"header":                {headers: http.Header{"Traceparent": {parent}, "Tracestate": {"a=1", "b=2"}}, parent: clientSpan, state: "a=1,b=2"},
		"_meta":                 {meta: `"traceparent":"` + parent + `","tracestate":"c=3"`, parent: clientSpan, state: "c=3", replaced: true},
		"escaped":               {meta: `"traceparent":"\u0030` + parent[1:] + `"`, parent: clientSpan, replaced: true},
		"both":                  {headers: http.Header{"Traceparent": {other}, "Tracestate": {"a=1"}}, meta: `"traceparent":"` + parent + `"`, parent: clientSpan, link: otherSpan, replaced: true},
		"both alike":            {headers: http.Header{"Traceparent": {parent}}, meta: `"traceparent":"` + parent + `"`, parent: clientSpan, replaced: true},
		"bad _meta":             {headers: http.Header{"Traceparent": {other}}, meta: `"traceparent":"x"`, parent: otherSpan},
		"two headers":           {headers: http.Header{"Traceparent": {parent, other}, "Tracestate": {"a=1"}}},
		"zero trace":            {headers: http.Header{"Traceparent": {"00-" + strings.Repeat("0", 32) + "-" + clientSpan + "-01"}}},
		"zero span":             {meta: `"traceparent":"00-` + clientTrace + "-" + strings.Repeat("0", 16) + `-01"`},
		"version ff":            {headers: http.Header{"Traceparent": {"ff" + parent[2:]}}},
		"upper case":            {headers: http.Header{"Traceparent": {strings.ToUpper(parent)}}},
		"longer":                {headers: http.Header{"Traceparent": {parent + "-x"}}},
		"no hex":                {headers: http.Header{"Traceparent": {strings.Replace(parent, "4bf", "zzz", 1)}}},
		"line break":            {meta: `"traceparent":"` + parent + `\r\nX-Evil: 1"`},
		"no text":               {meta: `"traceparent":{"x":"` + parent + `"}`},
		"state without trace":   {headers: http.Header{"Tracestate": {"a=1"}}},
		"bad state":             {headers: http.Header{"Traceparent": {parent}, "Tracestate": {"no state"}}, parent: clientSpan},
		"state with line break": {meta: `"traceparent":"` + parent + `","tracestate":"a=1\r\nX-Evil: 1"`, parent: clientSpan, replaced: true},
		"long state":            {headers: http.Header{"Traceparent": {parent}, "Tracestate": {long}}, parent: clientSpan},
		"baggage":               {headers: http.Header{"Traceparent": {parent}, "Baggage": {"a=1;=;=,,%%"}}, meta: `"baggage":"\u0000,%%"`, parent: clientSpan},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTracedBench(t, allowAll)
			text := toolCall("t", `{}`)
			if c.meta != "" {
				text = withMeta(text, c.meta)
			}
			if got := b.headed(text, c.headers); got.status != http.StatusOK {
				t.Fatal(got.status, got.text)
			}
			b.Tracer.Close()
			server, client := b.Find(t, "SERVER", "tools/call"), b.Find(t, "CLIENT", "tools/call")
			if server.Parent != c.parent || c.parent != "" && server.TraceID != clientTrace || c.parent == "" && server.TraceID == clientTrace {
				t.Errorf("span of %s in trace %s", server.Parent, server.TraceID)
			}
			if strings.Join(server.Links, " ") != c.link {
				t.Errorf("links %v, want %q", server.Links, c.link)
			}
			out, goesOn := b.server.sent[0], "00-"+server.TraceID+"-"+client.ID+"-01"
			if client.Parent != server.ID || !slices.Equal(out.Header["Traceparent"], []string{goesOn}) || strings.Join(out.Header["Tracestate"], ";") != c.state {
				t.Errorf("%s goes on as %v, %v", goesOn, out.Header["Traceparent"], out.Header["Tracestate"])
			}
			if got := strings.Join(out.Header["Baggage"], ""); got != strings.Join(c.headers["Baggage"], "") {
				t.Errorf("baggage %q", got)
			}
			m, bad := mcp.ParseClient(out.Text)
			if bad != nil {
				t.Fatal(bad)
			}
			if c.replaced {
				if got := m.Params.Get("_meta").Get("traceparent").String(); got != goesOn {
					t.Errorf("_meta says %s, want %s", got, goesOn)
				}
				was, _ := mcp.ParseClient(text)
				text = was.Params.Get("_meta").Get("traceparent").Replace(`"` + goesOn + `"`)
			}
			if out.Text != text {
				t.Errorf("sent %s, want %s", out.Text, text)
			}
		})
	}
}

// TestTraceOfPatched: what the policy made of _meta stays as the policy made it.
func TestTraceOfPatched(t *testing.T) {
	b := newTracedBench(t, `decision := {"allow": true, "patch": {"_meta": {"traceparent": "mine"}}} if input.kind == "resources/read"`)
	b.headed(withMeta(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a",`+meta+`}}`, `"traceparent":"`+parent+`"`), nil)
	b.Tracer.Close()
	if out := b.server.sent[0].Text; !strings.Contains(out, `"traceparent":"mine"`) {
		t.Error(out)
	}
}

// TestTraceUnsampled: what the client does not want sampled has no spans, and is
// told in records all the same.
func TestTraceUnsampled(t *testing.T) {
	b := newTracedBench(t, allowAll)
	b.headed(toolCall("t", `{}`), http.Header{"Traceparent": {strings.TrimSuffix(parent, "1") + "0"}})
	b.Tracer.Close()
	if len(b.Posts()) > 0 || b.last()["trace_id"] != clientTrace {
		t.Errorf("%d posts, record %v", len(b.Posts()), b.last())
	}
	if got := b.server.sent[0].Header.Get("Traceparent"); !strings.HasPrefix(got, "00-"+clientTrace) || !strings.HasSuffix(got, "-00") {
		t.Errorf("goes on as %s", got)
	}
}

// TestTraceKnownTool: a tool has part in the name of a span once the server's list
// has named it.
func TestTraceKnownTool(t *testing.T) {
	b := newTracedBench(t, allowAll)
	b.server.answer = func(out *mcp.Outgoing) *mcp.Answer { return result(out, `{"tools":[{"name":"known"}]}`) }
	b.post(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + meta + `}}`)
	b.post(toolCall("known", `{}`))
	b.post(toolCall("unknown", `{}`))
	b.Tracer.Close()
	b.Find(t, "SERVER", "tools/call known")
	b.Find(t, "CLIENT", "tools/call known")
	b.Find(t, "SERVER", "tools/call")
}

// TestTraceStream: decisions in a stream have the message's span, and not without end.
func TestTraceStream(t *testing.T) {
	b := newTracedBench(t, allowAll)
	b.server.answer = func(*mcp.Outgoing) *mcp.Answer {
		var events []mcp.Event
		for range 200 {
			events = append(events, mcp.Event{Data: `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}`})
		}
		return stream(append(events, mcp.Event{Data: `{"jsonrpc":"2.0","id":7,"result":{}}`})...)
	}
	b.post(toolCall("t", `{}`))
	b.Tracer.Close()
	server, decisions := b.Find(t, "SERVER", "tools/call"), 0
	for _, s := range b.Spans() {
		if s.Kind == "INTERNAL" && s.Parent == server.ID {
			decisions++
		}
	}
	if decisions != 64 || len(b.records()) != 202 {
		t.Errorf("%d decisions have spans, %d records", decisions, len(b.records()))
	}
	if client := b.Find(t, "CLIENT", "tools/call"); client.Error || client.Time > server.Time {
		t.Errorf("%+v in %+v", client, server)
	}
}

// TestTraceLeft: the span of a request that its client gave up says so.
func TestTraceLeft(t *testing.T) {
	b := newTracedBench(t, allowAll)
	b.server.answer = func(*mcp.Outgoing) *mcp.Answer {
		return stream(mcp.Event{}, mcp.Event{}, mcp.Event{})
	}
	b.Serve(context.Background(), &Exchange{
		Server: "s", Caller: alice, Transport: OverHTTP, Verb: http.MethodPost, Header: http.Header{}, Text: `{"jsonrpc":"2.0","id":1,"method":"ping"}`,
	}, &client{leaves: true})
	b.Tracer.Close()
	if s := b.Find(t, "SERVER", "ping"); !s.Error || s.Attributes["error.type"] != "499" {
		t.Errorf("%+v", s)
	}
}

// TestTracePanic: the span of a message ends, whatever happens.
func TestTracePanic(t *testing.T) {
	b := newTracedBench(t, allowAll)
	b.server.answer = func(*mcp.Outgoing) *mcp.Answer { return &mcp.Answer{Events: &panics{}} }
	b.post(toolCall("t", `{}`))
	b.Tracer.Close()
	if s := b.Find(t, "SERVER", "tools/call"); !s.Error || s.Attributes["error.type"] != "500" {
		t.Errorf("%+v", s)
	}
}

// TestTraceNotMessages: what is no message is called by its verb.
func TestTraceNotMessages(t *testing.T) {
	b := newTracedBench(t, allowAll)
	b.server.answer = func(*mcp.Outgoing) *mcp.Answer { return stream() }
	b.serve(&Exchange{Caller: alice, Verb: http.MethodGet, Header: http.Header{}})
	b.Tracer.Close()
	if s := b.Find(t, "SERVER", "GET"); s.Error || s.Attributes["mcp.method.name"] != "" {
		t.Errorf("%+v", s)
	}
}

// TestUntracedCostsNothing: where nothing is traced, tracing allocates nothing.
func TestUntracedCostsNothing(t *testing.T) {
	m, bad := mcp.ParseClient(toolCall("t", `{}`))
	if bad != nil {
		t.Fatal(bad)
	}
	var tracer *trace.Tracer
	e := &exchange{g: &Gateway{}, x: &Exchange{Header: http.Header{}}, msg: m}
	h, refused := http.Header{}, mcp.Refuse(http.StatusBadGateway, "x", "")
	if n := testing.AllocsPerRun(100, func() {
		e.span = tracer.Start()
		e.traced()
		if e.span.Sending(h, m) != m.Text || e.span.TraceID() != "" {
			t.Error("there is a span")
		}
		e.span.Decided(nil, "")
		e.span.Received(m)
		e.span.Answered(m)
		e.span.Refused(refused)
		e.span.End()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if len(h) > 0 {
		t.Errorf("headers %v", h)
	}
}
