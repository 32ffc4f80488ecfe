package gateway

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// answers makes the server answer every request with the result.
func (b *bench) answers(text string) {
	b.server.answer = func(out *mcp.Outgoing) *mcp.Answer { return result(out, text) }
}

func list(method string) string {
	return `{"jsonrpc":"2.0","id":7,"method":"` + method + `","params":{` + meta + `}}`
}

func TestListsAreFiltered(t *testing.T) {
	const rules = `
default decision := {"allow": false, "reason": "hidden"}
decision := {"allow": true} if input.kind in {"tools/list", "prompts/list", "resources/list", "resources/templates/list"}
decision := {"allow": true} if input.tool.name == "open"
decision := {"allow": true} if { input.tool.name == "bounded"; input.tool.args.n < 10 }
decision := {"allow": true} if { input.tool.annotations.readOnlyHint == true; input.tool.name == "reading" }
decision := {"allow": true} if input.prompt.name == "open"
decision := {"allow": true} if { input.resource.scheme == "file"; startswith(input.resource.path, "/srv/") }`
	for _, tc := range []struct{ method, in, out string }{
		{
			"tools/list",
			`{"tools":[{"name":"open","x":1.0},{"name":"closed"},{"name":"bounded"},{"name":"reading","annotations":{"readOnlyHint":true}}],"nextCursor":"c","cacheScope":"public","resultType":"complete"}`,
			`{"tools":[{"name":"open","x":1.0},{"name":"bounded"},{"name":"reading","annotations":{"readOnlyHint":true}}],"nextCursor":"c","cacheScope":"private","resultType":"complete"}`,
		},
		{"tools/list", `{"tools":[{"name":"closed"}],"nextCursor":"c"}`, `{"tools":[],"nextCursor":"c","cacheScope":"private"}`},
		{"tools/list", `{"tools":[{"name":"open"}],"cacheScope":"public"}`, `{"tools":[{"name":"open"}],"cacheScope":"private"}`},
		{"tools/list", `{"tools":[{"Name":"closed","name":"open"},{"name":["open"]},"open",null,{"title":"open"},[{"name":"closed"}],{"name":7}]}`, `{"tools":[],"cacheScope":"private"}`},
		{"tools/list", `{"tools":{"name":"closed"}}`, `{"tools":[],"cacheScope":"private"}`},
		{"prompts/list", `{"prompts":[{"name":"open"},{"name":"closed"}]}`, `{"prompts":[{"name":"open"}],"cacheScope":"private"}`},
		{"resources/list", `{"resources":[{"uri":"file:///srv/a"},{"uri":"file:///srv/../etc/passwd"},{"uri":"file:///srv/%2e%2e/etc"}]}`, `{"resources":[{"uri":"file:///srv/a"}],"cacheScope":"private"}`},
		{"resources/templates/list", `{"resourceTemplates":[{"uriTemplate":"file:///srv/{name}"},{"uriTemplate":"file:///{path}"}]}`, `{"resourceTemplates":[{"uriTemplate":"file:///srv/{name}"}],"cacheScope":"private"}`},
	} {
		b := newBench(t, rules)
		b.answers(tc.in)
		want := `{"jsonrpc":"2.0","id":7,"result":` + tc.out + `}`
		if c := b.post(list(tc.method)); c.text != want {
			t.Errorf("%s of %s:\n got %s\nwant %s", tc.method, tc.in, c.text, want)
		}
		b.Mode = Permissive
		if c := b.post(list(tc.method)); c.text != `{"jsonrpc":"2.0","id":7,"result":`+tc.in+`}` {
			t.Errorf("permissive %s: %s", tc.method, c.text)
		}
	}
}

func TestListRecords(t *testing.T) {
	b := newBench(t, "default decision := {\"allow\": false, \"reason\": \"hidden\"}\ndecision := {\"allow\": true} if input.kind == \"tools/list\"")
	b.answers(`{"tools":[{"name":"a"},{"name":"b"}]}`)
	b.post(list("tools/list"))
	first := b.records()
	if len(first) != 4 || first[1]["phase"] != "list" || first[1]["tool"] != "a" || first[1]["outcome"] != "deny" {
		t.Errorf("records %v", first)
	}
	if r := b.last(); r["phase"] != "response" || r["items"] != 2.0 || r["hidden"] != 2.0 {
		t.Errorf("record %v", r)
	}
	// A remembered decision is not made, and not recorded, again.
	if c := b.post(list("tools/list")); !strings.Contains(c.text, `"tools":[]`) || len(b.records()) != 6 {
		t.Errorf("client got %s, %d records", c.text, len(b.records()))
	}
}

func TestAnnotationsOfACallAreThoseOfTheList(t *testing.T) {
	b := newBench(t, `
default decision := {"allow": false, "reason": "writes"}
decision := {"allow": true} if input.kind == "tools/list"
decision := {"allow": true} if input.tool.annotations.readOnlyHint`)
	if c := b.post(toolCall("read", "{}")); c.status != http.StatusForbidden {
		t.Errorf("before any list: %d", c.status)
	}
	b.answers(`{"tools":[{"name":"read","annotations":{"readOnlyHint":true}},{"name":"write"}]}`)
	b.post(list("tools/list"))
	for name, status := range map[string]int{"read": 200, "write": 403} {
		if c := b.post(toolCall(name, "{}")); c.status != status {
			t.Errorf("%s: %d", name, c.status)
		}
	}
}

func TestDeclaredParamHeadersMustAgree(t *testing.T) {
	b := newBench(t, allowAll)
	b.answers(`{"tools":[{"name":"t","inputSchema":{"properties":{"at":{"properties":{"region":{"type":"string","x-mcp-header":"Region"}}}}}}]}`)
	b.post(list("tools/list"))
	for region, status := range map[string]int{"eu": 200, "=?base64?ZXU=?=": 200, "us": 400, "": 400} {
		h := http.Header{mcp.HeaderVersion: {mcp.Modern}, mcp.HeaderMethod: {"tools/call"}, mcp.HeaderName: {"t"}}
		if region != "" {
			h.Set("Mcp-Param-Region", region)
		}
		c := b.serve(&Exchange{Caller: alice, Verb: http.MethodPost, Header: h, Text: toolCall("t", `{"at":{"region":"eu"}}`)})
		if c.status != status {
			t.Errorf("region %q: %d %s", region, c.status, c.text)
		}
	}
}

// sanitise denies what says secret, and takes what says mark out of texts.
const sanitise = `
default decision := {"allow": true}
secret if contains(json.marshal(object.get(input, "response", null)), "secret")
secret if contains(json.marshal(object.get(input, "error", null)), "secret")
decision := {"allow": false, "reason": "secret"} if secret
decision := {"allow": true, "patch": {"text": "clean"}} if { input.response.text == "mark" }
decision := {"allow": true, "patch": {"message": "clean"}} if { input.error.message == "mark" }`

func TestResponses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer *mcp.Answer
		status int
		body   string
	}{
		{"result", &mcp.Answer{Status: 200, Text: `{"jsonrpc":"2.0","id":7,"result":{"a":1.0}}`}, 200, `{"jsonrpc":"2.0","id":7,"result":{"a":1.0}}`},
		{"patched", &mcp.Answer{Status: 200, Text: `{"jsonrpc":"2.0","id":7,"result":{"text":"mark"}}`}, 200, `{"jsonrpc":"2.0","id":7,"result":{"text":"clean"}}`},
		{"denied", &mcp.Answer{Status: 200, Text: `{"jsonrpc":"2.0","id":7,"result":{"text":"secret"}}`}, 403, `"reason":"secret"`},
		{"error", &mcp.Answer{Status: 404, Text: `{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"x"}}`}, 404, `"error":{"code":-32601,"message":"x"}`},
		{"error patched", &mcp.Answer{Status: 200, Text: `{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"mark"}}`}, 200, `"error":{"code":1,"message":"clean"}`},
		{"error denied", &mcp.Answer{Status: 400, Text: `{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"","data":["secret"]}}`}, 403, `"reason":"secret"`},
		{"error without an id", &mcp.Answer{Status: 400, Text: `{"jsonrpc":"2.0","error":{"code":1,"message":"x"}}`}, 400, `"error":{"code":1,"message":"x"},"id":7}`},
		{"error with a null id", &mcp.Answer{Status: 400, Text: `{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}`}, 400, `"id":7`},
		{"other id", &mcp.Answer{Status: 200, Text: `{"jsonrpc":"2.0","id":8,"result":{"secret":1}}`}, 502, `"id":7,"error":{"code":502`},
		{"id of another type", &mcp.Answer{Status: 200, Text: `{"jsonrpc":"2.0","id":"7","result":{}}`}, 502, `"error":{"code":502`},
		{"a request", &mcp.Answer{Status: 200, Text: `{"jsonrpc":"2.0","id":7,"method":"ping"}`}, 502, `"error":{"code":502`},
		{"duplicate names", &mcp.Answer{Status: 200, Text: `{"jsonrpc":"2.0","id":7,"result":{},"result":{"secret":1}}`}, 502, `"error":{"code":502`},
		{"two documents", &mcp.Answer{Status: 200, Text: `{"jsonrpc":"2.0","id":7,"result":{}}{"secret":1}`}, 502, `"error":{"code":502`},
		{"batch", &mcp.Answer{Status: 200, Text: `[{"jsonrpc":"2.0","id":7,"result":{"secret":1}}]`}, 502, `"error":{"code":502`},
		{"folded name", &mcp.Answer{Status: 200, Text: `{"jsonrpc":"2.0","id":7,"result":{"Content":["secret"]}}`}, 502, `"error":{"code":502`},
		{"202", &mcp.Answer{Status: 202, Text: `{"secret":1}`}, 502, `"error":{"code":502`},
		{"206", &mcp.Answer{Status: 206, Text: `{"jsonrpc":"2.0","id":7,"result":{"secret":1}}`}, 502, `"error":{"code":502`},
		{"302", &mcp.Answer{Status: 302}, 502, `"error":{"code":502`},
		{"401 with a message", &mcp.Answer{Status: 401, Text: `{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"secret"}}`}, 502, `"error":{"code":502`},
		{"401", &mcp.Answer{Status: 401}, 502, `"error":{"code":502`},
		{"404 without a message", &mcp.Answer{Status: 404}, 404, `"id":7,"error":{"code":404`},
		{"result with 500", &mcp.Answer{Status: 500, Text: `{"jsonrpc":"2.0","id":7,"result":{"secret":1}}`}, 500, `"error":{"code":500`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, sanitise)
			b.server.answer = func(*mcp.Outgoing) *mcp.Answer { return tc.answer }
			c := b.post(toolCall("t", "{}"))
			if c.status != tc.status || !strings.Contains(c.text, tc.body) || strings.Contains(strings.ReplaceAll(c.text, `"reason":"secret"`, ""), "secret") {
				t.Errorf("client got %d %s", c.status, c.text)
			}
			if r := b.last(); r["phase"] != "response" || r["status"] != float64(tc.status) && r["outcome"] != "allow" && r["outcome"] != "patch" {
				t.Errorf("record %v", r)
			}
		})
	}
}

func TestStreams(t *testing.T) {
	const ok = `{"jsonrpc":"2.0","id":7,"result":{}}`
	progress := `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":1.0}}`
	for _, tc := range []struct {
		name   string
		events []mcp.Event
		want   []string // events, the last may be a part
		status int
	}{
		{"progress", []mcp.Event{{Data: progress}, {Data: ok}}, []string{progress, ok}, 200},
		{"named message", []mcp.Event{{Name: "message", Data: ok}}, []string{ok}, 200},
		{"patched", []mcp.Event{{Data: `{"jsonrpc":"2.0","id":7,"result":{"text":"mark"}}`}}, []string{`{"jsonrpc":"2.0","id":7,"result":{"text":"clean"}}`}, 200},
		{"denied after the beginning", []mcp.Event{{Data: progress}, {Data: `{"jsonrpc":"2.0","id":7,"result":{"text":"secret"}}`}}, []string{progress, `"id":7,"error":{"code":403`}, 200},
		{"denied at the beginning", []mcp.Event{{Data: `{"jsonrpc":"2.0","id":7,"result":{"text":"secret"}}`}}, []string{`"id":7,"error":{"code":403`}, 403},
		{"denied notification", []mcp.Event{{Data: `{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"secret"}}`}, {Data: ok}}, []string{ok}, 200},
		{"patched notification", []mcp.Event{{Data: `{"jsonrpc":"2.0","method":"notifications/message","params":{"text":"mark"}}`}, {Data: ok}}, []string{`{"jsonrpc":"2.0","method":"notifications/message","params":{"text":"clean"}}`, ok}, 200},
		{"nothing after the response", []mcp.Event{{Data: ok}, {Data: `{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"tail"}}`}, {Data: ok}}, []string{ok}, 200},
		{"other id first", []mcp.Event{{Data: `{"jsonrpc":"2.0","id":8,"result":{"text":"secret"}}`}, {Data: ok}}, []string{ok}, 200},
		{"odd event", []mcp.Event{{Name: "endpoint", Data: ok}, {Name: "error", Data: progress}, {Data: ok}}, []string{ok}, 200},
		{"not JSON", []mcp.Event{{Data: "secret"}, {Data: ok + ok}, {Data: "[" + ok + "]"}, {Data: ok}}, []string{ok}, 200},
		{"request in the stateless era", []mcp.Event{{Data: `{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{}}`}, {Data: ok}}, []string{ok}, 200},
		{"no response", []mcp.Event{{Data: progress}}, []string{progress, `"id":7,"error":{"code":502`}, 200},
		{"nothing", nil, []string{`"id":7,"error":{"code":502`}, 502},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t, sanitise)
			b.server.answer = func(*mcp.Outgoing) *mcp.Answer { return stream(tc.events...) }
			c := b.post(toolCall("t", "{}"))
			got := c.events
			if c.text != "" {
				got = append(got, c.text)
			}
			if c.status != tc.status || len(got) != len(tc.want) {
				t.Fatalf("client got %d %q", c.status, got)
			}
			for i, want := range tc.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("event %d: %s", i, got[i])
				}
			}
		})
	}
}

func TestSignsOfLifePass(t *testing.T) {
	b := newBench(t, allowAll)
	b.server.answer = func(*mcp.Outgoing) *mcp.Answer {
		return stream(mcp.Event{}, mcp.Event{Retry: "10"}, mcp.Event{Data: `{"jsonrpc":"2.0","id":7,"result":{}}`})
	}
	if c := b.post(toolCall("t", "{}")); c.alive != 2 || len(c.events) != 1 {
		t.Errorf("client got %d signs, %q", c.alive, c.events)
	}
}

func TestServerRequests(t *testing.T) {
	const rules = `
default decision := {"allow": true}
decision := {"allow": false, "reason": "no_password"} if contains(input.params.message, "password")
decision := {"allow": false, "reason": "no_answer"} if input.response.content.color == "red"`
	ask := func(id, message string) string {
		return `{"jsonrpc":"2.0","id":` + id + `,"method":"elicitation/create","params":{"message":"` + message + `"}}`
	}
	call := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t"}}`

	b := newBench(t, rules)
	// Another process with the same keys, which never saw the question, takes the answer.
	replica := newBench(t, rules)
	replica.Handles = SharedHandles(b.Handles.keys)
	session := b.Handles.seal(sessionHandle, "S", "s", alice)
	b.server.answer = func(out *mcp.Outgoing) *mcp.Answer {
		m, _ := mcp.ParseClient(out.Text)
		if !m.IsRequest() {
			return &mcp.Answer{Status: http.StatusAccepted}
		}
		return stream(mcp.Event{Data: ask(`"q\u0031"`, "colour?")}, mcp.Event{Data: ask(`2`, "password?")},
			mcp.Event{Data: `{"jsonrpc":"2.0","id":7,"result":{}}`})
	}
	c := b.legacy(alice, session, call)
	if len(c.events) != 2 {
		t.Fatalf("client got %q", c.events)
	}
	id := find(t, `"id":("[^"]+")`, c.events[0])
	if c.events[0] != ask(id, "colour?") || len(id) < 40 {
		t.Errorf("client got %s", c.events[0])
	}
	if told := b.server.sent[1]; !strings.Contains(told.Text, `"id":2,"error":{"code":403`) || told.Header.Get(mcp.HeaderSession) != "S" {
		t.Errorf("server got %q", told.Text)
	}
	answer := func(id, color string) string {
		return `{"jsonrpc":"2.0","id":` + id + `,"result":{"action":"accept","content":{"color":"` + color + `"}}}`
	}
	other := b.Handles.seal(sessionHandle, "T", "s", alice)
	wrong := b.Handles.seal(taskHandle, "elicitation/create\x00S\x001", "s", alice)
	for _, a := range []struct {
		name    string
		caller  *identity.Caller
		session string
		text    string
		status  int
	}{
		{"another principal", bob, b.Handles.seal(sessionHandle, "S", "s", bob), answer(id, "blue"), 400},
		{"no session", alice, "", answer(id, "blue"), 400},
		{"another session", alice, other, answer(id, "blue"), 400},
		{"the server's own id", alice, session, answer(`"q1"`, "blue"), 400},
		{"a number", alice, session, answer(`1`, "blue"), 400},
		{"another kind of handle", alice, session, answer(`"`+wrong+`"`, "blue"), 400},
		{"denied", alice, session, answer(id, "red"), 200}, // as denials in sessions look
		{"right", alice, session, answer(id, "blue"), 202},
	} {
		c := replica.legacy(a.caller, a.session, a.text)
		if c.status != a.status || c.status != 202 && strings.Contains(c.text, `"id"`) {
			t.Errorf("%s: client got %d %s", a.name, c.status, c.text)
		}
	}
	if sent := replica.server.sent; len(sent) != 1 || sent[0].Text != answer(`"q\u0031"`, "blue") || sent[0].Header.Get(mcp.HeaderSession) != "S" {
		t.Errorf("server got %+v", sent)
	}
	if last := replica.last(); last["kind"] != "elicitation/create" || last["outcome"] != "allow" {
		t.Errorf("record %v", last)
	}
}

// The handle of a question holds its id, and is remembered: a long one is refused.
func TestServerRequestWithALongID(t *testing.T) {
	b := newBench(t, allowAll)
	question := func(length int) string {
		return `{"jsonrpc":"2.0","id":"` + strings.Repeat("q", length) + `","method":"ping"}`
	}
	b.server.answer = func(out *mcp.Outgoing) *mcp.Answer {
		if strings.Contains(out.Text, `"error"`) {
			return &mcp.Answer{Status: http.StatusAccepted}
		}
		return stream(mcp.Event{Data: question(maxAskedID - 2)}, mcp.Event{Data: question(maxAskedID - 1)},
			mcp.Event{Data: `{"jsonrpc":"2.0","id":7,"result":{}}`})
	}
	c := b.legacy(alice, b.Handles.seal(sessionHandle, "S", "s", alice), `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t"}}`)
	if len(c.events) != 2 || !strings.Contains(c.events[0], "ping") || !strings.Contains(c.events[1], "result") {
		t.Errorf("client got %q", c.events)
	}
	if sent := b.server.sent; len(sent) != 2 || !strings.Contains(sent[1].Text, `"error"`) {
		t.Errorf("server got %+v", sent)
	}
}

// A server that asks while it opens the session asks within it.
func TestServerRequestsOfANewSession(t *testing.T) {
	b := newBench(t, allowAll)
	b.server.answer = func(out *mcp.Outgoing) *mcp.Answer {
		if !strings.Contains(out.Text, "initialize") {
			return &mcp.Answer{Status: http.StatusAccepted}
		}
		a := stream(mcp.Event{Data: `{"jsonrpc":"2.0","id":1,"method":"ping"}`}, mcp.Event{Data: `{"jsonrpc":"2.0","id":7,"result":{}}`})
		a.Session = "S"
		return a
	}
	c := b.legacy(alice, "", `{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`)
	id := find(t, `"id":("[^"]+")`, c.events[0])
	if c := b.legacy(alice, c.session, `{"jsonrpc":"2.0","id":`+id+`,"result":{}}`); c.status != http.StatusAccepted {
		t.Errorf("client got %d %s", c.status, c.text)
	}
	if sent := b.server.sent[1]; sent.Text != `{"jsonrpc":"2.0","id":1,"result":{}}` || sent.Header.Get(mcp.HeaderSession) != "S" {
		t.Errorf("server got %+v", sent)
	}
}

// A server takes back what it asked by the id that the client knows.
func TestServerCancelsItsRequest(t *testing.T) {
	b := newBench(t, allowAll)
	cancel := func(id string) string {
		return `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + id + `,"reason":"late"}}`
	}
	b.server.answer = func(*mcp.Outgoing) *mcp.Answer {
		return stream(mcp.Event{Data: `{"jsonrpc":"2.0","id":"q","method":"roots/list"}`}, mcp.Event{Data: cancel(`"\u0071"`)},
			mcp.Event{Data: cancel(`7`)}, mcp.Event{Data: cancel(`{}`)}, mcp.Event{Data: `{"jsonrpc":"2.0","id":7,"result":{}}`})
	}
	c := b.legacy(alice, "", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t"}}`)
	if len(c.events) != 3 || c.events[1] != cancel(find(t, `"id":("[^"]+")`, c.events[0])) {
		t.Errorf("client got %q", c.events)
	}
	if got := strings.Count(b.audit.String(), "it cancels what was not asked here"); got != 2 {
		t.Errorf("%d records of the others", got)
	}
}

func TestInputRequests(t *testing.T) {
	const rules = `
default decision := {"allow": true}
decision := {"allow": false, "reason": "no_password"} if { input.phase == "server_request"; contains(input.params.message, "password") }
decision := {"allow": true, "patch": {"message": "clean"}} if { input.phase == "server_request"; input.params.message == "mark" }`
	for message, want := range map[string]struct {
		status int
		body   string
	}{
		"colour?":   {200, `"message":"colour?"`},
		"password?": {403, `"reason":"no_password"`},
		"mark":      {200, `"message":"clean"`},
	} {
		b := newBench(t, rules)
		b.answers(`{"resultType":"input_required","requestState":"s","inputRequests":{"one":{"method":"roots/list"},"two":{"method":"elicitation/create","params":{"message":"` + message + `"}}}}`)
		if c := b.post(toolCall("t", "{}")); c.status != want.status || !strings.Contains(c.text, want.body) {
			t.Errorf("%s: client got %d %s", message, c.status, c.text)
		}
	}
}

func TestListening(t *testing.T) {
	b := newBench(t, sanitise)
	changed := `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`
	b.server.answer = func(*mcp.Outgoing) *mcp.Answer {
		return stream(mcp.Event{Data: changed}, mcp.Event{Data: `{"jsonrpc":"2.0","id":1,"result":{}}`},
			mcp.Event{Data: `{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"secret"}}`})
	}
	x := &Exchange{Caller: alice, Verb: http.MethodGet, Header: http.Header{mcp.HeaderSession: {b.Handles.seal(sessionHandle, "S", "s", alice)}}}
	c := b.serve(x)
	if c.status != http.StatusOK || c.alive != 1 || len(c.events) != 1 || c.events[0] != changed {
		t.Errorf("client got %d, %d signs, %q", c.status, c.alive, c.events)
	}
	if b.server.sent[0].Verb != http.MethodGet || b.server.sent[0].Header.Get(mcp.HeaderSession) != "S" {
		t.Errorf("server got %+v", b.server.sent[0])
	}
}

func TestServerFailures(t *testing.T) {
	for _, status := range []int{http.StatusBadGateway, http.StatusGatewayTimeout} {
		b := newBench(t, allowAll)
		b.server.bad = mcp.Refuse(status, "no answer", "dial 10.0.0.1: refused")
		c := b.post(toolCall("t", "{}"))
		if c.status != status || !strings.Contains(c.text, `"id":7`) || strings.Contains(c.text, "10.0.0.1") {
			t.Errorf("client got %d %s", c.status, c.text)
		}
	}
}
