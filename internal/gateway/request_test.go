package gateway

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

func TestBytesPassUnchanged(t *testing.T) {
	text := "{ \"id\" : \"\\u0061\",\n\"jsonrpc\":\"2.0\", \"params\":{\"arguments\":{\"n\":9007199254740993,\"x\":1.0,\"e\":\"\\/\"},\"name\":\"t\"," +
		meta + "},\t\"method\":\"tools/call\"}"
	answer := "{\"result\":{\"n\":12345678901234567890, \"z\":1.50},\"id\":\"a\", \"jsonrpc\":\"2.0\"}"
	for _, mode := range []string{Off, Permissive, Enforce} {
		b := newBench(t, allowAll)
		b.Mode = mode
		b.server.answer = func(*mcp.Outgoing) *mcp.Answer { return &mcp.Answer{Status: http.StatusOK, Text: answer} }
		c := b.post(text)
		if c.status != http.StatusOK || c.text != answer {
			t.Errorf("%s: client got %d %s", mode, c.status, c.text)
		}
		if len(b.server.sent) != 1 || b.server.sent[0].Text != text {
			t.Errorf("%s: server got %v", mode, b.server.sent)
		}
	}
}

func TestDenial(t *testing.T) {
	const deny = `decision := {"allow": false, "reason": "because", "code": input.tool.name}`
	modern := toolCall("policy_deny", "{}")
	legacy := `{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"policy_deny"}}`
	for _, tc := range []struct {
		name, style, text, version string
		session                    bool
		status                     int
		body                       string
	}{
		{name: "403", text: modern, status: 403, body: `"error":{"code":403,"message":"policy_deny","data":{"reason":"because"`},
		{name: "422", text: toolCall("validation_failed", "{}"), status: 422, body: `"code":422,"message":"validation_failed"`},
		{name: "429", text: toolCall("rate_limited", "{}"), status: 429, body: `"code":429,"message":"rate_limited"`},
		{name: "unknown code", text: toolCall("no_such_code", "{}"), status: 403, body: `"code":403,"message":"policy_deny"`},
		{name: "auto, older revision", text: legacy, version: "2025-06-18", status: 200, body: `"id":"x","error":{"code":403`},
		{name: "auto, session without a version", text: legacy, session: true, status: 200, body: `"error":{"code":403`},
		{name: "auto, neither", text: legacy, status: 403, body: `"error":{"code":403`},
		{name: "http, older revision", style: StyleHTTP, text: legacy, version: "2025-06-18", status: 403, body: `"error":{"code":403`},
		{name: "jsonrpc", style: StyleJSONRPC, text: modern, status: 200, body: `"error":{"code":403`},
		{name: "toolResult", style: StyleToolResult, text: modern, status: 200, body: `"result":{"resultType":"complete","content":[{"type":"text","text":"policy_deny: because"}],"isError":true}`},
		{name: "toolResult for no tool", style: StyleToolResult, text: `{"jsonrpc":"2.0","id":1,"method":"ping"}`, status: 403, body: `"error":{"code":403`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, "default decision := {\"allow\": false}\n\n"+deny)
			if tc.style != "" {
				b.Style = tc.style
			}
			var c *client
			switch {
			case tc.session:
				h := http.Header{mcp.HeaderSession: {b.Handles.seal(sessionHandle, "1", "s", alice)}}
				c = b.serve(&Exchange{Caller: alice, Verb: http.MethodPost, Header: h, Text: tc.text})
			case tc.version != "":
				h := http.Header{mcp.HeaderVersion: {tc.version}}
				c = b.serve(&Exchange{Caller: alice, Verb: http.MethodPost, Header: h, Text: tc.text})
			default:
				c = b.post(tc.text)
			}
			if c.status != tc.status || !strings.Contains(c.text, tc.body) {
				t.Errorf("client got %d %s", c.status, c.text)
			}
			if len(b.server.sent) != 0 {
				t.Errorf("server got %s", b.server.sent[0].Text)
			}
			if r := b.last(); r["outcome"] != "deny" || r["status"].(float64) < 400 {
				t.Errorf("record %v", r)
			}
		})
	}
}

func TestReasonIsForTheLogAlone(t *testing.T) {
	b := newBench(t, `decision := {"allow": false, "reason": "because"}`)
	b.ShowReason = false
	if c := b.post(toolCall("t", "{}")); strings.Contains(c.text, "because") || !strings.Contains(c.text, "decision_id") {
		t.Errorf("client got %s", c.text)
	}
	if b.last()["message"] != "blocked by rego: because" {
		t.Errorf("record %v", b.last())
	}
}

func TestNotifications(t *testing.T) {
	b := newBench(t, `decision := {"allow": false, "reason": "no"}`)
	c := b.legacy(alice, "", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`)
	if c.status != http.StatusAccepted || c.text != "" || len(b.server.sent) != 0 {
		t.Errorf("a denied notification: client got %d %q, server got %d messages", c.status, c.text, len(b.server.sent))
	}
	c = b.legacy(alice, "", `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	if c.status != http.StatusAccepted || len(b.server.sent) != 1 {
		t.Errorf("notifications/initialized: client got %d, server got %d messages", c.status, len(b.server.sent))
	}
}

func TestConnectIsOneDecision(t *testing.T) {
	discover := `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{` + meta + `}}`
	initialize := `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`
	for _, denied := range []string{"initialize", "server/discover"} {
		b := newBench(t, `decision := {"allow": input.kind != "`+denied+`"}`)
		for _, text := range []string{discover, initialize} {
			if c := b.post(text); c.status != http.StatusForbidden {
				t.Errorf("%s denied: %s got %d", denied, text, c.status)
			}
		}
		if records := b.records(); len(records) != 2 || records[0]["outcome"] != "deny" || records[1]["outcome"] != "deny" {
			t.Errorf("%s denied: records %v", denied, records)
		}
		if len(b.server.sent) != 0 {
			t.Errorf("%s denied: server got %s", denied, b.server.sent[0].Text)
		}
	}
}

func TestPatchedRequest(t *testing.T) {
	const clamp = `
default decision := {"allow": true}
decision := {"allow": true, "patch": {"n": 10}} if input.tool.args.n > 10
decision := {"allow": false, "reason": "negative"} if input.tool.args.n < 0
decision := {"allow": true, "patch": [{"op": "replace", "path": "/n", "value": -1}]} if input.tool.args.n == 5`
	for _, tc := range []struct {
		args, sent string
		status     int
		outcome    string
	}{
		{args: `{"n":3, "k":1.0}`, sent: `{"n":3, "k":1.0}`, status: 200, outcome: "allow"},
		{args: `{"k":1.0,"n":30}`, sent: `{"k":1.0,"n":10}`, status: 200, outcome: "patch"},
		{args: `{"n":5}`, status: 403, outcome: "deny"}, // judged again as it would be sent
	} {
		b := newBench(t, clamp)
		c := b.post(toolCall("t", tc.args))
		if c.status != tc.status || b.records()[0]["outcome"] != tc.outcome {
			t.Errorf("%s: client got %d %s, record %v", tc.args, c.status, c.text, b.records()[0])
		}
		if tc.sent == "" {
			if len(b.server.sent) != 0 {
				t.Errorf("%s: server got %s", tc.args, b.server.sent[0].Text)
			}
			continue
		}
		if want := toolCall("t", tc.sent); b.server.sent[0].Text != want {
			t.Errorf("%s: server got %s", tc.args, b.server.sent[0].Text)
		}
		input := b.records()[0]["input"].(map[string]any)["tool"].(map[string]any)["args"].(map[string]any)
		if tc.outcome == "patch" && input["n"] != 10.0 {
			t.Errorf("%s: the record tells of %v", tc.args, input)
		}
	}
}

func TestPatchOfURIIsMirrored(t *testing.T) {
	b := newBench(t, `
default decision := {"allow": true}
decision := {"allow": true, "patch": {"uri": "file:///ü"}} if input.resource.uri == "file:///a"`)
	b.post(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a",` + meta + `}}`)
	name, _ := mcp.DecodeHeader(b.server.sent[0].Header.Get(mcp.HeaderName))
	if m, _ := mcp.ParseClient(b.server.sent[0].Text); m.Target() != "file:///ü" || name != "file:///ü" {
		t.Errorf("body %q, header %q", m.Target(), name)
	}
}

func TestPermissiveTouchesNothing(t *testing.T) {
	b := newBench(t, `
default decision := {"allow": false, "reason": "no"}
decision := {"allow": true, "patch": {"x": 1}} if input.tool.name == "patched"`)
	b.Mode = Permissive
	for name, outcome := range map[string]string{"denied": "would_deny", "patched": "would_patch"} {
		text := toolCall(name, `{"a":1}`)
		if c := b.post(text); c.status != http.StatusOK || b.server.sent[len(b.server.sent)-1].Text != text {
			t.Errorf("%s: client got %d", name, c.status)
		}
		if r := b.last(); r["outcome"] != outcome {
			t.Errorf("%s: record %v", name, r)
		}
		if !strings.Contains(b.log.String(), `"level":"WARN","msg":"`+outcome+`"`) {
			t.Errorf("%s: log %s", name, b.log.String())
		}
	}
}

func TestFailModes(t *testing.T) {
	const conflict = "decision := {\"allow\": true}\ndecision := {\"allow\": false}"
	for _, tc := range []struct {
		name, rego, mode       string
		openIfNone, openOnErr  bool
		status                 int
		outcome, reason, first string
	}{
		{name: "error", rego: conflict, mode: Enforce, status: 403, outcome: "error", reason: "policy_error"},
		{name: "error, open", rego: conflict, mode: Enforce, openOnErr: true, status: 200, outcome: "error", reason: "policy_error"},
		{name: "error, permissive", rego: conflict, mode: Permissive, status: 200, outcome: "error", reason: "policy_error"},
		{name: "undefined", rego: `decision := {"allow": true} if input.never`, mode: Enforce, status: 403, outcome: "error", reason: "policy_error"},
		{name: "bad patch", rego: `decision := {"allow": true, "patch": [{"op": "remove", "path": "/none"}]}`, mode: Enforce, status: 403, outcome: "error", reason: "policy_error"},
		{name: "none", mode: Enforce, status: 403, outcome: "error", reason: "policy_missing"},
		{name: "none, open", mode: Enforce, openIfNone: true, status: 200, outcome: "error", reason: "policy_missing"},
		{name: "none, permissive", mode: Permissive, status: 200, outcome: "error", reason: "policy_missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, tc.rego)
			b.Mode, b.OpenIfNone, b.OpenOnErr = tc.mode, tc.openIfNone, tc.openOnErr
			c := b.post(toolCall("t", "{}"))
			if c.status != tc.status || (tc.status == 200) != (len(b.server.sent) == 1) {
				t.Errorf("client got %d %s", c.status, c.text)
			}
			if r := b.records()[0]; r["outcome"] != tc.outcome || r["reason"] != tc.reason {
				t.Errorf("record %v", r)
			}
		})
	}
}

func TestWhatCannotBeRecordedIsRefused(t *testing.T) {
	b := newBench(t, allowAll)
	b.audit.fail = true
	if c := b.post(toolCall("t", "{}")); c.status != http.StatusServiceUnavailable || len(b.server.sent) != 0 {
		t.Errorf("enforce: client got %d, server got %d messages", c.status, len(b.server.sent))
	}
	b.Mode = Permissive
	if c := b.post(toolCall("t", "{}")); c.status != http.StatusOK {
		t.Errorf("permissive: client got %d", c.status)
	}
}

func TestMalformed(t *testing.T) {
	b := newBench(t, allowAll)
	for text, body := range map[string]string{
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}`:   `"code":-32700`,
		`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`:                                        `"code":-32600`,
		`{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":1}}`:                `"id":5,"error":{"code":-32602`,
		`{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"CANARY","id":`:     `"code":-32700`,
		`{"jsonrpc":"2.0","id":6,"result":{}}`:                                              `"code":400`,
		`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"t","Name":"u"}}`:   `"id":9,"error":{"code":-32600`,
		`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"t"},"method2":""}`: `"code":-32600`,
	} {
		c := b.post(text)
		if c.status != http.StatusBadRequest || !strings.Contains(c.text, body) {
			t.Errorf("%s: client got %d %s", text, c.status, c.text)
		}
		if r := b.last(); r["outcome"] != "reject" || r["size"] == nil || r["body_sha256"] == nil {
			t.Errorf("%s: record %v", text, r)
		}
	}
	if len(b.server.sent) != 0 || strings.Contains(b.audit.String(), "CANARY") {
		t.Errorf("server got %d messages; records %s", len(b.server.sent), b.audit)
	}
}

func TestHeadersSentUpstream(t *testing.T) {
	b := newBench(t, allowAll)
	h := http.Header{
		"Authorization": {"Bearer key"}, "Cookie": {"a=b"}, "X-Api-Key": {"key"}, "X-Http-Method-Override": {"DELETE"},
		"X-Forwarded-User": {"root"}, "Accept": {"application/json"}, "Traceparent": {"00-1"},
		mcp.HeaderVersion: {"2026-07-28"}, mcp.HeaderMethod: {"tools/call"}, mcp.HeaderName: {"t"}, "Mcp-Param-Region": {"eu"},
	}
	b.serve(&Exchange{Caller: alice, Verb: http.MethodPost, Header: h, Text: toolCall("t", "{}")})
	sent := b.server.sent[0].Header
	for name, want := range map[string]string{
		"Authorization": "", "Cookie": "", "X-Api-Key": "", "X-Http-Method-Override": "", "X-Forwarded-User": "",
		"Accept": "application/json", "Traceparent": "00-1", "Mcp-Param-Region": "eu", mcp.HeaderName: "t",
	} {
		if sent.Get(name) != want {
			t.Errorf("%s: %q", name, sent.Get(name))
		}
	}
}

func TestSessionsAreBound(t *testing.T) {
	b := newBench(t, allowAll)
	b.server.answer = func(out *mcp.Outgoing) *mcp.Answer {
		a := result(out, `{}`)
		a.Session = "upstream-session"
		return a
	}
	c := b.legacy(alice, "", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`)
	if c.session == "" || strings.Contains(c.session, "upstream") {
		t.Fatalf("session %q", c.session)
	}
	ping := `{"jsonrpc":"2.0","id":2,"method":"ping"}`
	if again := b.legacy(alice, c.session, ping); again.status != http.StatusOK || b.server.sent[1].Header.Get(mcp.HeaderSession) != "upstream-session" {
		t.Errorf("alice got %d", again.status)
	}
	for name, caller := range map[string]*identity.Caller{
		"another id": {ID: "bob", Auth: "api_key"}, "another proof": {ID: "alice", Auth: "proxy"},
	} {
		if c := b.legacy(caller, c.session, ping); c.status != http.StatusNotFound {
			t.Errorf("%s got %d", name, c.status)
		}
	}
	b.Upstreams["other"] = b.server
	x := &Exchange{Server: "other", Caller: alice, Verb: http.MethodPost, Header: http.Header{mcp.HeaderSession: {c.session}}, Text: ping}
	other := &client{}
	b.Serve(t.Context(), x, other)
	if other.status != http.StatusNotFound || len(b.server.sent) != 2 {
		t.Errorf("at another server alice got %d", other.status)
	}
}

func TestClientThatLeft(t *testing.T) {
	b := newBench(t, allowAll)
	b.server.bad = mcp.Refuse(http.StatusBadGateway, "the server is down", "context canceled")
	ctx, leave := context.WithCancel(t.Context())
	leave()
	x := &Exchange{Server: "s", Caller: alice, Verb: http.MethodPost, Header: http.Header{}, Text: `{"jsonrpc":"2.0","id":1,"method":"ping"}`}
	b.Serve(ctx, x, &client{})
	if r := b.last(); r["outcome"] != "reject" || r["message"] != "the client left" || strings.Contains(b.log.String(), "upstream failed") {
		t.Errorf("record %v, log %s", r, b.log)
	}
}

func TestClientThatLeavesAStream(t *testing.T) {
	note := mcp.Event{Data: `{"jsonrpc":"2.0","method":"notifications/progress","params":{}}`}
	for name, tc := range map[string]struct {
		text    string
		events  []mcp.Event
		records int // of its leaving
	}{
		"between messages":        {toolCall("t", "{}"), []mcp.Event{note, note, note}, 1},
		"between signs of life":   {toolCall("t", "{}"), []mcp.Event{note, {}, note}, 1},
		"to end its subscription": {strings.Replace(list("subscriptions/listen"), `"params":{`, `"params":{"notifications":{},`, 1), []mcp.Event{note, note, note}, 0},
	} {
		b := newBench(t, allowAll)
		b.server.answer = func(*mcp.Outgoing) *mcp.Answer { return stream(tc.events...) }
		c := &client{leaves: true}
		m, _ := mcp.ParseClient(tc.text)
		h := http.Header{mcp.HeaderVersion: {m.Version()}, mcp.HeaderMethod: {m.Method}, mcp.HeaderName: {m.Target()}}
		b.Serve(t.Context(), &Exchange{Server: "s", Caller: alice, Verb: http.MethodPost, Header: h, Text: tc.text}, c)
		left := 0
		for _, r := range b.records() {
			if r["message"] == "the client left" && r["status"] == 499.0 {
				left++
			}
		}
		if left != tc.records || len(c.events)+c.alive != 2 {
			t.Errorf("%s: %d records of it, %q", name, left, c.events)
		}
	}
}

// Whatever panics is refused and recorded, and its text goes nowhere.
func TestPanic(t *testing.T) {
	b := newBench(t, allowAll)
	b.server.answer = func(*mcp.Outgoing) *mcp.Answer { panic("a secret") }
	c := b.post(toolCall("t", "{}"))
	if c.status != http.StatusInternalServerError || !strings.Contains(c.text, `"id":7,"error":{"code":500`) {
		t.Errorf("client got %d %s", c.status, c.text)
	}
	if r := b.last(); r["outcome"] != "reject" || r["status"] != 500.0 {
		t.Errorf("record %v", r)
	}
	if told := b.log.String(); !strings.Contains(told, `"msg":"panic"`) || strings.Contains(told+b.audit.String()+c.text, "a secret") {
		t.Errorf("log %s", told)
	}
}

// The caller's own token is for what exchanges it, and for nobody else to see.
func TestTokenOfTheCaller(t *testing.T) {
	const canary = "canary-7f3a"
	b := newBench(t, `decision := {"allow": input.tool.name == "t", "reason": json.marshal(input)}`)
	b.server.bad = mcp.Refuse(http.StatusForbidden, "this server needs an access token of the caller's", "no token")
	carol := &identity.Caller{ID: "carol", Auth: "jwt", Token: canary}
	for _, name := range []string{"t", "other"} {
		c := b.serve(&Exchange{
			Caller: carol, Verb: http.MethodPost, Header: http.Header{mcp.HeaderVersion: {"2025-11-25"}},
			Text: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + name + `"}}`,
		})
		if strings.Contains(c.text, canary) {
			t.Errorf("client got %s", c.text)
		}
		if name == "t" && (c.status != http.StatusForbidden || b.last()["status"] != 403.0 || b.last()["outcome"] != "reject") {
			t.Errorf("client got %d %s, record %v", c.status, c.text, b.last())
		}
	}
	if sent := b.server.sent; len(sent) != 1 || sent[0].Token != canary || sent[0].Principal != carol.Key() {
		t.Errorf("sent %d messages", len(sent))
	}
	if strings.Contains(b.audit.String()+b.log.String(), canary) {
		t.Errorf("recorded %s, logged %s", b.audit, b.log)
	}
}

// silence is a stream on which nothing comes until its exchange ends.
type silence struct{ ctx context.Context }

func (s silence) Next() (mcp.Event, error) {
	<-s.ctx.Done()
	return mcp.Event{}, s.ctx.Err()
}

func (silence) Close() error { return nil }

type silent struct{}

func (silent) Send(ctx context.Context, _ *mcp.Outgoing) (*mcp.Answer, *mcp.Error) {
	return &mcp.Answer{Status: http.StatusOK, Events: silence{ctx}}, nil
}

// When the gateway parts, it lets go of who listens, and of nobody who waits for an answer.
func TestParting(t *testing.T) {
	parting, part := context.WithCancel(t.Context())
	b := newBench(t, allowAll)
	b.Parting = parting
	b.Upstreams["s"] = silent{}
	listeners, callers := make(chan struct{}, 2), make(chan struct{})
	go func() {
		defer func() { listeners <- struct{}{} }()
		b.serve(&Exchange{Caller: alice, Verb: http.MethodGet, Header: http.Header{}})
	}()
	go func() {
		defer func() { listeners <- struct{}{} }()
		b.post(strings.Replace(list("subscriptions/listen"), `"params":{`, `"params":{"notifications":{},`, 1))
	}()
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		defer close(callers)
		x := &Exchange{Server: "s", Caller: alice, Verb: http.MethodPost, Header: http.Header{}, Text: `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`}
		b.Serve(ctx, x, &client{})
	}()
	part()
	<-listeners
	<-listeners
	select {
	case <-callers:
		t.Error("a call was let go")
	default:
	}
	leave()
	<-callers
}

// A rule about resources/subscribe holds for the resources that subscriptions/listen names.
func TestSubscriptions(t *testing.T) {
	const rego = `
decision := {"allow": false, "reason": "not_yours"} if {
	input.kind == "resources/subscribe"
	input.resource.path == "/secret"
	input.params.uri == input.resource.uri
} else := {"allow": true, "patch": {"uri": "demo://a"}} if {
	input.kind == "resources/subscribe"
	input.resource.path == "/patched"
} else := {"allow": true}`
	for uris, want := range map[string]string{
		`["demo://h/a","demo://h/b"]`:      "allow",
		`[]`:                               "allow",
		`["demo://h/a","demo://h/secret"]`: "deny",
		`["demo://h/s%65cret"]`:            "deny",
		`["demo://h/patched"]`:             "error",
	} {
		b := newBench(t, rego)
		b.post(strings.Replace(list("subscriptions/listen"), `"params":{`, `"params":{"notifications":{"resourceSubscriptions":`+uris+`},`, 1))
		r := b.records()
		if r[0]["outcome"] != want || r[0]["kind"] != "subscriptions/listen" || (len(b.server.sent) == 1) != (want == "allow") {
			t.Errorf("%s: %d sent, record %v", uris, len(b.server.sent), r[0])
		}
		if want != "allow" && len(r) != 1 {
			t.Errorf("%s: %d records", uris, len(r))
		}
	}
}

// A call of an older revision mirrors what the tool's schema declares: the server may be of the newer one.
func TestMirroredLegacyArguments(t *testing.T) {
	b := newBench(t, allowAll)
	b.server.answer = func(out *mcp.Outgoing) *mcp.Answer {
		return result(out, `{"tools":[{"name":"sql","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}}]}`)
	}
	b.legacy(alice, "", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	h := http.Header{mcp.HeaderVersion: {"2025-11-25"}, "Mcp-Param-Region": {"of the client"}, "Mcp-Param-Other": {"x"}}
	b.serve(&Exchange{Caller: alice, Verb: http.MethodPost, Header: h, Text: `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"sql","arguments":{"region":"eu"}}}`})
	if sent := b.server.sent[1].Header; sent.Get("Mcp-Param-Region") != "eu" || sent.Get("Mcp-Param-Other") != "" {
		t.Errorf("sent %v", sent)
	}
}
