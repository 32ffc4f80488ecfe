package bridge

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

const (
	elicit  = `{"jsonrpc":"2.0","id":"s1","method":"elicitation/create","params":{"message":"colour?","requestedSchema":{"type":"object"},"_meta":{"x":1}}}`
	sample  = `{"jsonrpc":"2.0","id":2,"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}`
	visit   = `{"jsonrpc":"2.0","id":3,"method":"elicitation/create","params":{"mode":"url","message":"go","url":"https://x.example/","elicitationId":"e"}}`
	canForm = `{"elicitation":{},"sampling":{}}`
	canURL  = `{"elicitation":{"url":{}}}`
)

// asked is a legacy server that is in the middle of a call.
type asked struct {
	*legacyServer
	call *pipe
	id   string // of the call
}

func newAsked(t *testing.T, first ...string) *asked {
	s := &asked{legacyServer: newLegacyServer(t), call: newPipe(first...)}
	s.script = func(_ *mcp.Outgoing, m *mcp.Message) *mcp.Answer {
		s.id = m.ID.Text()
		return &mcp.Answer{Status: http.StatusOK, Events: s.call}
	}
	return s
}

// state is the request state in a response.
func state(t *testing.T, text string) string {
	t.Helper()
	m, bad := mcp.ParseServer(text)
	if bad != nil || m.Result.Get("resultType").String() != "input_required" {
		t.Fatalf("got %s", text)
	}
	return m.Result.Get("requestState").Text()
}

// A call goes on where the server asked, with the client's answers, and only with the arguments it began with.
func TestQuestions(t *testing.T) {
	s := newAsked(t, elicit)
	b := bridgeTo(t, s.server, quick, false)
	p := &peer{t: t, b: b, principal: "alice", features: canForm, meta: `,"progressToken":1`}
	first := p.ask("1", "tools/call", `"name":"t","arguments":{"a":1}`)
	one := state(t, first)
	equal(t, "asked", first, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"input":{"method":"elicitation/create","params":{"message":"colour?","requestedSchema":{"type":"object"}}}},"requestState":`+one+`}}`)

	const answer = `,"inputResponses":{"input":{"action":"accept","content":{"c":1.0}},"other":{}}`
	refused := func(why string, p *peer, method, params string) {
		t.Helper()
		if got := p.ask("2", method, params); !strings.Contains(got, `"code":-32602`) {
			t.Errorf("%s: got %s", why, got)
		}
	}
	refused("other arguments", p, "tools/call", `"name":"t","arguments":{"a":2},"requestState":`+one+answer)
	refused("another tool", p, "tools/call", `"name":"u","arguments":{"a":1},"requestState":`+one+answer)
	refused("another method", p, "prompts/get", `"name":"t","arguments":{"a":1},"requestState":`+one+answer)
	refused("another principal", &peer{t: t, b: b, principal: "bob", features: canForm}, "tools/call", `"name":"t","arguments":{"a":1},"requestState":`+one+answer)
	refused("another state", p, "tools/call", `"name":"t","arguments":{"a":1},"requestState":"x"`+answer)
	refused("no object", p, "tools/call", `"name":"t","arguments":{"a":1},"requestState":`+one+`,"inputResponses":{"input":1}`)
	if again := state(t, p.ask("3", "tools/call", `"name":"t","arguments":{"a":1},"requestState":`+one)); again != one {
		t.Errorf("without an answer the state became %s", again)
	}
	if sent := strings.Join(s.texts(), "\n"); strings.Contains(sent, `"s1"`) || strings.Count(sent, "tools/call") != 2 {
		t.Errorf("sent %s", sent)
	}

	p.meta = `,"progressToken":"new"`
	a := p.send(p.modern("4", "tools/call", `"arguments":{"a":1},"name":"t","requestState":`+one+answer))
	equal(t, "answer", s.await(`"s1"`).Text, `{"jsonrpc":"2.0","id":"s1","result":{"action":"accept","content":{"c":1.0}}}`)
	s.call.say(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`, sample)
	equal(t, "progress", next(t, a), `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"new","progress":1}}`)
	two := state(t, next(t, a))
	refused("a state twice", p, "tools/call", `"name":"t","arguments":{"a":1},"requestState":`+one+answer)
	a = p.send(p.modern("5", "tools/call", `"name":"t","arguments":{"a":1},"inputResponses":{"input":{"role":"assistant"}},"requestState":`+two))
	equal(t, "answer", s.await(`"id":2,`).Text, `{"jsonrpc":"2.0","id":2,"result":{"role":"assistant"}}`)
	s.call.say(resultText(s.id, `{"content":[]}`))
	equal(t, "result", next(t, a), complete("5", `"content":[],`))
	<-s.call.closed
}

// What cannot be asked is answered at once, and the call goes on.
func TestNotAsked(t *testing.T) {
	for name, tc := range map[string]struct{ method, params, features, ask, want string }{
		"no elicitation":    {"tools/call", `"name":"t"`, `{}`, elicit, `"s1","error":{"code":-32601`},
		"no form":           {"tools/call", `"name":"t"`, canURL, elicit, `"s1","error":{"code":-32601`},
		"no URL":            {"tools/call", `"name":"t"`, canForm, visit, `3,"error":{"code":-32601`},
		"unknown mode":      {"tools/call", `"name":"t"`, canForm, strings.Replace(elicit, `"message"`, `"mode":"x","message"`, 1), `"s1","error":{"code":-32601`},
		"a task":            {"tools/call", `"name":"t"`, canForm, strings.Replace(elicit, `"message"`, `"task":{},"message"`, 1), `"s1","error":{"code":-32601`},
		"no sampling":       {"tools/call", `"name":"t"`, canURL, sample, `2,"error":{"code":-32601`},
		"roots":             {"tools/call", `"name":"t"`, `{"roots":{}}`, `{"jsonrpc":"2.0","id":4,"method":"roots/list"}`, `4,"error":{"code":-32601`},
		"outside of a call": {"tools/list", ``, canForm, elicit, `"s1","error":{"code":-32601`},
		"ping":              {"tools/list", ``, canForm, `{"jsonrpc":"2.0","id":4,"method":"ping"}`, `4,"result":{}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAsked(t, tc.ask)
			p := &peer{t: t, b: bridgeTo(t, s.server, quick, false), features: tc.features}
			a := p.send(p.modern("1", tc.method, tc.params))
			done := make(chan string, 1)
			go func() { done <- last(t, a) }()
			s.await(`"id":` + tc.want)
			s.call.say(resultText(s.id, "{}"))
			if got := take(t, done); !strings.Contains(got, `"resultType":"complete"`) {
				t.Errorf("got %s", got)
			}
		})
	}
}

// Questions that nobody answers are bounded in number and in time, and then their calls are cancelled.
func TestUnanswered(t *testing.T) {
	s := newAsked(t)
	s.script = func(_ *mcp.Outgoing, m *mcp.Message) *mcp.Answer {
		return &mcp.Answer{Status: 200, Events: newPipe(elicit, resultText(m.ID.Text(), "{}"))}
	}
	l := quick
	l.heldEach = 1
	b := newBridge(s.server, false, l)
	p := &peer{t: t, b: b, features: canForm}
	state(t, p.ask("1", "tools/call", `"name":"t"`))
	if got := p.ask("2", "tools/call", `"name":"t"`); !strings.Contains(got, `"complete"`) {
		t.Errorf("got %s", got)
	}
	s.await(`"s1","error":{"code":-32603`)
	b.Close()
	if sent := strings.Join(s.texts(), ""); !strings.Contains(sent, "notifications/cancelled") || !strings.Contains(sent, "DELETE") {
		t.Errorf("sent %s", sent)
	}

	l.patience = time.Millisecond
	s = newAsked(t, elicit)
	p = &peer{t: t, b: bridgeTo(t, s.server, l, false), features: canForm}
	late := state(t, p.ask("1", "tools/call", `"name":"t"`))
	s.await(`"notifications/cancelled","params":{"requestId":` + s.id + `}`)
	<-s.call.closed
	if got := p.ask("2", "tools/call", `"name":"t","inputResponses":{"input":{}},"requestState":`+late); !strings.Contains(got, "-32602") {
		t.Errorf("got %s", got)
	}
}

// The end of the request that was asked does not end the call; that of the one that goes on does.
func TestLeaveWhileAsked(t *testing.T) {
	s := newAsked(t, elicit)
	p := &peer{t: t, b: bridgeTo(t, s.server, quick, false), features: canForm}
	ctx, leave := context.WithCancel(t.Context())
	a, _ := p.b.Send(ctx, p.modern("1", "tools/call", `"name":"t"`))
	one := state(t, next(t, a))
	leave()
	a.Close()
	ctx, leave = context.WithCancel(t.Context())
	next, bad := p.b.Send(ctx, p.modern("2", "tools/call", `"name":"t","inputResponses":{"input":{}},"requestState":`+one))
	if bad != nil || next.Events == nil {
		t.Fatal(bad, next)
	}
	a.Close()
	s.await(`"s1"`)
	leave()
	<-s.call.closed
	next.Close()
	s.await(`"notifications/cancelled","params":{"requestId":` + s.id + `}`)
}

// A URL that has to be visited first is asked for, and the retry is a call of its own.
func TestURLRequired(t *testing.T) {
	s := newLegacyServer(t)
	s.script = func(_ *mcp.Outgoing, m *mcp.Message) *mcp.Answer {
		return answered(`{"jsonrpc":"2.0","id":` + m.ID.Text() + `,"error":{"code":-32042,"message":"go","data":{"elicitations":[{"mode":"url","message":"go","url":"https://x.example/","elicitationId":"e"}]}}}`)
	}
	b := bridgeTo(t, s.server, quick, false)
	p := &peer{t: t, b: b, features: canURL}
	equal(t, "asked", p.ask("1", "tools/call", `"name":"t"`), `{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"input1":{"method":"elicitation/create","params":{"mode":"url","message":"go","url":"https://x.example/"}}}}}`)
	before := len(s.texts())
	p.ask("2", "tools/call", `"name":"t","inputResponses":{"input1":{"action":"accept"}}`)
	if sent := s.texts()[before:]; len(sent) != 1 || strings.Contains(sent[0], "inputResponses") {
		t.Errorf("sent %q", sent)
	}
	for features, want := range map[string]string{canForm: `"code":-32021`, canURL: `"code":-32603`} {
		p := &peer{t: t, b: b, features: features}
		method, params := "tools/call", `"name":"t"`
		if features == canURL {
			method, params = "tools/list", ""
		}
		if got := p.ask("1", method, params); !strings.Contains(got, want) {
			t.Errorf("got %s", got)
		}
	}
}
