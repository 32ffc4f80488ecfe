package gateway

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

var bob = &identity.Caller{ID: "bob", Auth: "api_key"}

// aboutTask is a modern request about a task.
func aboutTask(method, id string) string {
	return `{"jsonrpc":"2.0","id":7,"method":"` + method + `","params":{"taskId":"` + id + `",` + meta + `}}`
}

// postAs sends a modern message with the headers that it needs.
func (b *bench) postAs(caller *identity.Caller, text string) *client {
	m, _ := mcp.ParseClient(text)
	h := http.Header{mcp.HeaderVersion: {m.Version()}, mcp.HeaderMethod: {m.Method}}
	if target := m.Target(); target != "" {
		h.Set(mcp.HeaderName, target)
	}
	return b.serve(&Exchange{Caller: caller, Verb: http.MethodPost, Header: h, Text: text})
}

// find is the first group of the pattern in a text.
func find(t *testing.T, pattern, text string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in %s", pattern, text)
	}
	return m[1]
}

// tasks is a server whose tool calls are tasks.
func (b *bench) tasks(state string) {
	b.server.answer = func(out *mcp.Outgoing) *mcp.Answer {
		if strings.Contains(out.Text, "tools/call") {
			return result(out, `{"resultType":"task","taskId":"raw-1","status":"working"}`)
		}
		return result(out, state)
	}
}

func TestTasksAreBound(t *testing.T) {
	b := newBench(t, allowAll)
	b.tasks(`{"resultType":"complete","taskId":"raw-1","status":"working"}`)
	created := b.post(toolCall("slow", "{}"))
	id := find(t, `"taskId":"([^"]+)"`, created.text)
	if strings.Contains(created.text, "raw-1") {
		t.Fatalf("client got %s", created.text)
	}
	for _, method := range []string{"tasks/get", "tasks/update", "tasks/cancel"} {
		c := b.post(aboutTask(method, id))
		sent := b.server.sent[len(b.server.sent)-1]
		if c.status != http.StatusOK || !strings.Contains(c.text, `"taskId":"`+id+`"`) {
			t.Errorf("%s: alice got %d %s", method, c.status, c.text)
		}
		if sent.Text != aboutTask(method, "raw-1") || sent.Header.Get(mcp.HeaderName) != "raw-1" {
			t.Errorf("%s: server got %s, %s %q", method, sent.Text, mcp.HeaderName, sent.Header.Get(mcp.HeaderName))
		}
	}
	sent := len(b.server.sent)
	state := b.Handles.seal(stateHandle, "slow\x00raw-1", "s", alice)
	toolless := b.Handles.seal(taskHandle, "\x00raw-1", "s", alice)
	for name, c := range map[string]*client{
		"another principal":     b.postAs(bob, aboutTask("tasks/get", id)),
		"the server's own id":   b.post(aboutTask("tasks/get", "raw-1")),
		"another kind":          b.post(aboutTask("tasks/get", state)),
		"of no tool":            b.post(aboutTask("tasks/get", toolless)),
		"all":                   b.post(list("tasks/list")),
		"related to another's":  b.postAs(bob, `{"jsonrpc":"2.0","id":7,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"`+id+`"},`+meta[len(`"_meta":{`):]+`}}`),
		"notified of another's": b.postAs(bob, `{"jsonrpc":"2.0","id":7,"method":"subscriptions/listen","params":{"notifications":{"taskIds":["`+id+`"]},`+meta+`}}`),
	} {
		if c.status != http.StatusNotFound || len(b.server.sent) != sent {
			t.Errorf("%s: got %d %s", name, c.status, c.text)
		}
	}
	// In a session, 404 would say that the session is gone.
	for _, text := range []string{
		`{"jsonrpc":"2.0","id":7,"method":"tasks/get","params":{"taskId":"` + id + `"}}`, `{"jsonrpc":"2.0","id":7,"method":"tasks/list"}`,
	} {
		if c := b.legacy(bob, "", text); c.status != http.StatusOK || !strings.Contains(c.text, `"error":{"code":-3260`) {
			t.Errorf("bob in a session got %d %s", c.status, c.text)
		}
	}
	if r := b.last(); r["outcome"] != "reject" || r["status"] != 404.0 {
		t.Errorf("record %v", r)
	}
}

func TestTaskOfAnotherIsNotAnswered(t *testing.T) {
	b := newBench(t, allowAll)
	b.tasks(`{"taskId":"raw-2","status":"completed","result":{"content":[]}}`)
	id := find(t, `"taskId":"([^"]+)"`, b.post(toolCall("slow", "{}")).text)
	if c := b.post(aboutTask("tasks/get", id)); c.status != http.StatusBadGateway || strings.Contains(c.text, "raw-2") {
		t.Errorf("client got %d %s", c.status, c.text)
	}
}

// outcomes are rules about what the tool "slow" returns, however it returns it.
const outcomes = `
default decision := {"allow": true}
decision := {"allow": true, "patch": {"content": [{"type": "text", "text": "clean"}]}} if {
	input.kind == "tools/call"; input.phase == "response"; input.tool.name == "slow"; input.response.content[0].text == "mark"
}
decision := {"allow": false, "reason": "no_secrets"} if {
	input.kind == "tools/call"; input.phase == "response"; input.tool.name == "slow"; input.response.content[0].text == "secret"
}
decision := {"allow": true, "patch": {"message": "clean"}} if {
	input.kind == "tools/call"; input.phase == "response"; input.tool.name == "slow"; input.error.message == "mark"
}
decision := {"allow": false, "reason": "no_questions"} if { input.phase == "server_request"; input.tool.name == "slow" }
decision := {"allow": false, "reason": "no_cancelling"} if { input.kind == "tasks/cancel"; input.tool.name == "slow" }`

func TestTasksAreJudgedAsResultsOfTheirTool(t *testing.T) {
	content := func(text string) string { return `{"content":[{"text":"` + text + `","type":"text"}]}` }
	for _, tc := range []struct{ method, answer, want string }{
		{"tasks/get", `{"taskId":"raw-1","status":"completed","result":` + content("fine") + `}`, `"result":` + content("fine")},
		{"tasks/get", `{"taskId":"raw-1","status":"completed","result":` + content("mark") + `}`, `"result":` + content("clean")},
		{"tasks/get", `{"taskId":"raw-1","status":"completed","result":` + content("secret") + `}`, "no_secrets"},
		{"tasks/get", `{"taskId":"raw-1","status":"failed","error":{"code":1,"message":"mark"}}`, `"error":{"code":1,"message":"clean"}`},
		{"tasks/get", `{"taskId":"raw-1","status":"input_required","inputRequests":{"q":{"method":"roots/list"}}}`, "no_questions"},
		{"tasks/result", content("mark"), `"result":` + content("clean")},
		{"tasks/cancel", `{}`, "no_cancelling"},
		{"tasks/get", `{"taskId":"raw-1","result":{"content":[{"type":"text","text":"fine","Text":"secret"}]}}`, "malformed"},
	} {
		b := newBench(t, outcomes)
		b.tasks(tc.answer)
		id := find(t, `"taskId":"([^"]+)"`, b.post(toolCall("slow", "{}")).text)
		if c := b.post(aboutTask(tc.method, id)); !strings.Contains(c.text, tc.want) {
			t.Errorf("%s of %s: client got %s", tc.method, tc.answer, c.text)
		}
	}
}

func TestTaskNotifications(t *testing.T) {
	b := newBench(t, outcomes)
	b.tasks("")
	id := find(t, `"taskId":"([^"]+)"`, b.post(toolCall("slow", "{}")).text)
	told := func(method, params string) mcp.Event {
		return mcp.Event{Data: `{"jsonrpc":"2.0","method":"notifications/` + method + `","params":{` + params + `}}`}
	}
	outcome := func(text string) string { return `"result":{"content":[{"text":"` + text + `","type":"text"}]}` }
	b.server.answer = func(*mcp.Outgoing) *mcp.Answer {
		return stream(
			told("subscriptions/acknowledged", `"notifications":{"taskIds":["raw-1"]}`),
			told("tasks", `"taskId":"raw-2",`+outcome("fine")),
			told("tasks", `"taskId":"raw-1",`+outcome("mark")),
			told("tasks", `"taskId":"raw-1",`+outcome("secret")),
			told("tasks", `"taskId":"raw-1","status":"input_required","inputRequests":{"q":{"method":"roots/list"}}`),
			mcp.Event{Data: `{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete"}}`},
		)
	}
	c := b.post(`{"jsonrpc":"2.0","id":7,"method":"subscriptions/listen","params":{"notifications":{"taskIds":["` + id + `"]},` + meta + `}}`)
	want := []string{
		told("subscriptions/acknowledged", `"notifications":{"taskIds":["`+id+`"]}`).Data,
		told("tasks", `"taskId":"`+id+`",`+outcome("clean")).Data,
		`{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete"}}`,
	}
	if got, want := strings.Join(c.events, "\n"), strings.Join(want, "\n"); got != want {
		t.Errorf("client got\n%s\nwant\n%s", got, want)
	}
	if sent := b.server.sent[1].Text; !strings.Contains(sent, `"taskIds":["raw-1"]`) {
		t.Errorf("server got %s", sent)
	}
}

// In 2025-11-25 what belongs to a task says so, in both directions.
func TestRelatedTasks(t *testing.T) {
	b := newBench(t, allowAll)
	related := func(id string) string {
		return `"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"` + id + `"}}`
	}
	question := `{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"?",` + related("raw-1") + `}}`
	b.server.answer = func(out *mcp.Outgoing) *mcp.Answer {
		if strings.Contains(out.Text, "tools/call") {
			return result(out, `{"task":{"taskId":"raw-1","status":"working"}}`)
		}
		return stream(mcp.Event{Data: question}, mcp.Event{Data: `{"jsonrpc":"2.0","id":2,"result":{"content":[],` + related("raw-1") + `}}`})
	}
	c := b.legacy(alice, "", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow","task":{"ttl":1}}}`)
	id := find(t, `"taskId":"([^"]+)"`, c.text)
	c = b.legacy(alice, "", `{"jsonrpc":"2.0","id":2,"method":"tasks/result","params":{"taskId":"`+id+`"}}`)
	for _, event := range c.events {
		if find(t, `"taskId":"([^"]+)"`, event) != id {
			t.Errorf("client got %s", event)
		}
	}
	if len(c.events) != 2 {
		t.Errorf("client got %q", c.events)
	}
	ping := func(id string) string {
		return `{"jsonrpc":"2.0","id":3,"method":"ping","params":{` + related(id) + `}}`
	}
	b.server.answer = nil
	if c := b.legacy(alice, "", ping(id)); c.status != http.StatusOK || b.server.sent[2].Text != ping("raw-1") {
		t.Errorf("client got %d %s", c.status, c.text)
	}
}

// Tasks that a server would have the client run are not carried, and the server
// is told so.
func TestTasksOfTheClientAreRefused(t *testing.T) {
	for _, asked := range []string{
		`"method":"tasks/get","params":{"taskId":"c"}`,
		`"method":"sampling/createMessage","params":{"task":{"ttl":1}}`,
	} {
		b := newBench(t, allowAll)
		b.server.answer = func(out *mcp.Outgoing) *mcp.Answer {
			if !strings.Contains(out.Text, "tools/call") {
				return &mcp.Answer{Status: http.StatusAccepted}
			}
			return stream(mcp.Event{Data: `{"jsonrpc":"2.0","id":"q",` + asked + `}`}, mcp.Event{Data: `{"jsonrpc":"2.0","id":1,"result":{}}`})
		}
		c := b.legacy(alice, "", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}`)
		if len(c.events) != 1 || len(b.server.sent) != 2 || !strings.Contains(b.server.sent[1].Text, `"id":"q","error":{"code":-32601`) {
			t.Errorf("client got %q, server %d messages", c.events, len(b.server.sent))
		}
	}
}

func TestRequestStateIsBound(t *testing.T) {
	b := newBench(t, allowAll)
	const state = `raw "state" é`
	b.answers(`{"resultType":"input_required","requestState":` + quote(t, state) + `}`)
	retry := func(state string) string {
		return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t","requestState":` + state + `,` + meta + `}}`
	}
	c := b.post(toolCall("t", "{}"))
	sealed := find(t, `"requestState":("[^"]+")`, c.text)
	if strings.Contains(c.text, "raw") {
		t.Fatalf("client got %s", c.text)
	}
	if c := b.post(retry(sealed)); c.status != http.StatusOK || b.server.sent[1].Text != retry(quote(t, state)) {
		t.Errorf("client got %d %s, server %s", c.status, c.text, b.server.sent[1].Text)
	}
	for name, c := range map[string]*client{
		"another principal": b.postAs(bob, retry(sealed)), "unsealed": b.post(retry(quote(t, state))), "no string": b.post(retry(`{"a":1}`)),
	} {
		if c.status != http.StatusNotFound || len(b.server.sent) != 2 {
			t.Errorf("%s: got %d %s", name, c.status, c.text)
		}
	}
}

func quote(t *testing.T, s string) string {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
