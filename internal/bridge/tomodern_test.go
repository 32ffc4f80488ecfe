package bridge

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A modernServer knows the newer revision only. What it answers is its script's matter.
type modernServer struct {
	*server
	script func(out *mcp.Outgoing, m *mcp.Message) *mcp.Answer
}

const discovery = `{"resultType":"complete","ttlMs":1,"cacheScope":"public","supportedVersions":["2026-07-28"],"capabilities":{"tools":{},"extensions":{"x/y":{}}},"instructions":"be kind","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"new","version":"2"}}}`

func newModernServer(t *testing.T) *modernServer {
	s := &modernServer{server: newServer(t)}
	s.script = func(_ *mcp.Outgoing, m *mcp.Message) *mcp.Answer { return result(m, `{"resultType":"complete"}`) }
	s.answer = func(out *mcp.Outgoing, m *mcp.Message) (*mcp.Answer, *mcp.Error) {
		switch {
		case out.Header.Get(mcp.HeaderVersion) < mcp.Modern:
			return &mcp.Answer{Status: http.StatusBadRequest, Text: `{"jsonrpc":"2.0","error":{"code":-32020,"message":"no version"}}`}, nil
		case m.Method == "server/discover":
			return result(m, discovery), nil
		}
		return s.script(out, m), nil
	}
	return s
}

const hello = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"VERSION","capabilities":{"elicitation":{},"sampling":{"tools":{}},"roots":{"listChanged":true},"tasks":{}},"clientInfo":{"name":"c","version":"1"}}}`

// connected is a legacy client with a session at a modern server.
func connected(t *testing.T, s *modernServer, l limits) *peer {
	t.Helper()
	p := &peer{t: t, b: bridgeTo(t, s.server, l, false), principal: "alice"}
	a := p.send(p.legacy(strings.Replace(hello, "VERSION", "2025-06-18", 1)))
	equal(t, "initialize", a.Text, `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"new","version":"2"},"instructions":"be kind"}}`)
	p.session = a.Session
	return p
}

const clientMeta = `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{"elicitation":{},"sampling":{"tools":{}},"roots":{}}`

// What a modern server is sent, and what its legacy client gets.
func TestToModern(t *testing.T) {
	s := newModernServer(t)
	p := connected(t, s, quick)
	const tools = `[{"name":"a","outputSchema":{"type":"array"},"x":1.0},{"name":"b","outputSchema":{"type":"object"}}]`
	for _, tc := range []struct{ method, params, sent, name, reply, got string }{
		{
			"tools/call", `{"name":"é","arguments":{"a":1.0},"_meta":{"progressToken":1,"io.modelcontextprotocol/logLevel":"debug"},"task":{},"requestState":"s","inputResponses":{}}`,
			`{"name":"é","arguments":{"a":1.0},"_meta":{"progressToken":1,` + clientMeta + `}}`, mcp.EncodeHeader("é"),
			`"result":{"content":[],"structuredContent":[1],"resultType":"complete"}`, `"result":{"content":[]}`,
		},
		{"tools/list", `{}`, `{"_meta":{` + clientMeta + `}}`, "", `"result":{"tools":` + tools + `,"ttlMs":5,"cacheScope":"public"}`, `"result":{"tools":` + strings.Replace(tools, `"outputSchema":{"type":"array"},`, "", 1) + `}`},
		{"resources/read", `{"uri":"a:b"}`, `{"uri":"a:b","_meta":{` + clientMeta + `}}`, "a:b", `"error":{"code":-32602,"message":"none"}`, `"error":{"code":-32602,"message":"none"}`},
		{"x/y", `{}`, `{"_meta":{` + clientMeta + `}}`, "", `"result":{"resultType":"task"}`, `"error":{"code":-32603,"message":"the server answered with a result of another kind"}`},
		{"x/y", `{}`, `{"_meta":{` + clientMeta + `}}`, "", `"result":{"resultType":"input_required","requestState":"s"}`, `"error":{"code":-32603,"message":"the server answered with a result of another kind"}`},
	} {
		for _, streamed := range []bool{false, true} {
			s.script = func(_ *mcp.Outgoing, m *mcp.Message) *mcp.Answer {
				text := `{"jsonrpc":"2.0","id":` + m.ID.Text() + `,` + tc.reply + `}`
				if streamed {
					return &mcp.Answer{Status: 200, Events: newPipe(text)}
				}
				status := http.StatusOK
				if strings.Contains(tc.reply, "error") {
					status = http.StatusBadRequest
				}
				return &mcp.Answer{Status: status, Text: text}
			}
			a := p.send(p.legacy(requestText(`"i"`, tc.method, tc.params)))
			if got := last(t, a); got != `{"jsonrpc":"2.0","id":"i",`+tc.got+`}` || a.Status != http.StatusOK {
				t.Errorf("%s: got %d %s", tc.method, a.Status, got)
			}
			out := s.all[len(s.all)-1]
			m, _ := mcp.ParseClient(out.Text)
			equal(t, tc.method, m.Params.Text(), tc.sent)
			if h := out.Header; h.Get(mcp.HeaderMethod) != tc.method || h.Get(mcp.HeaderName) != tc.name || h.Get(mcp.HeaderSession) != "" || out.Principal != "alice" {
				t.Errorf("%s: sent with %v", tc.method, h)
			}
		}
	}
}

// What the older revisions have and the newer has not is the bridge's to answer.
func TestLegacyOnly(t *testing.T) {
	s := newModernServer(t)
	p := connected(t, s, quick)
	before := len(s.texts())
	for _, tc := range []struct {
		text, got string
		status    int
	}{
		{requestText("1", "ping", "{}"), `{"jsonrpc":"2.0","id":1,"result":{}}`, 200},
		{requestText("1", "logging/setLevel", `{"level":"info"}`), `{"jsonrpc":"2.0","id":1,"result":{}}`, 200},
		{requestText("1", "logging/setLevel", `{"level":"loud"}`), `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"level is no log level"}}`, 200},
		{requestText("1", "resources/subscribe", `{"uri":"a:b"}`), `{"jsonrpc":"2.0","id":1,"result":{}}`, 200},
		{requestText("1", "resources/unsubscribe", `{"uri":"a:b"}`), `{"jsonrpc":"2.0","id":1,"result":{}}`, 200},
		{requestText("1", "resources/subscribe", `{}`), `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"uri is not a URI"}}`, 200},
		{requestText("1", "tasks/get", `{"taskId":"t"}`), `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"method not found"}}`, 200},
		{requestText("1", "server/discover", `{}`), `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"method not found"}}`, 200},
		{note("initialized", "{}"), "", 202},
		{note("roots/list_changed", "{}"), "", 202},
		{resultText(`"of nothing"`, "{}"), "", 400},
	} {
		if a := p.send(p.legacy(tc.text)); a.Text != tc.got || a.Status != tc.status {
			t.Errorf("%s: got %d %s", tc.text, a.Status, a.Text)
		}
	}
	if sent := s.texts()[before:]; len(sent) != 0 {
		t.Errorf("sent %q", sent)
	}
	p.tell(t, requestText("1", "tools/list", "{}"))
	if sent := s.texts()[before:]; !strings.Contains(sent[0], `"io.modelcontextprotocol/logLevel":"info"`) {
		t.Errorf("sent %q", sent)
	}
	end := p.legacy("")
	end.Verb = http.MethodDelete
	if a := p.send(end); a.Status != http.StatusOK {
		t.Errorf("answered %d", a.Status)
	}
	p.tell(t, requestText("1", "tools/list", "{}"))
	if sent := s.texts()[before:]; strings.Contains(sent[1], "logLevel") {
		t.Errorf("sent %q", sent)
	}
}

func (p *peer) tell(t *testing.T, text string) {
	t.Helper()
	last(t, p.send(p.legacy(text)))
}

// A session's id has all that a later request needs, is bounded, and none that a server gives looks like it.
func TestTokens(t *testing.T) {
	s := newModernServer(t)
	p := connected(t, s, quick)
	other := &peer{t: t, b: bridgeTo(t, s.server, quick, false), session: p.session}
	other.tell(t, requestText("1", "tools/list", "{}"))
	if sent := s.all[len(s.all)-1].Text; !strings.Contains(sent, clientMeta) {
		t.Errorf("another replica sent %s", sent)
	}
	for _, session := range []string{tokenPrefix, tokenPrefix + "!", tokenPrefix + base64.RawURLEncoding.EncodeToString([]byte(`{"v":"1"}`))} {
		other.session = session
		if a := other.send(other.legacy(requestText("1", "ping", "{}"))); a.Status != http.StatusNotFound {
			t.Errorf("%s: answered %d", session, a.Status)
		}
	}
	long := strings.Repeat("é", 4096)
	v, err := mcp.ParseValue(`{"clientInfo":{"name":"` + long + `","version":"1","icons":["` + long + `"]},"capabilities":{"elicitation":{"url":{"x":1}},"experimental":{"x":"` + long + `"}}}`)
	if err != nil {
		t.Fatal(err)
	}
	token := newToken("2025-11-25", v)
	text, _ := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, tokenPrefix))
	if len(token) > 2*maxToken || !strings.Contains(string(text), `"c":{"elicitation":{"url":{}}}`) || !strings.Contains(string(text), `"name":"éé`) {
		t.Errorf("%d bytes: %s", len(token), text)
	}

	forger := newServer(t)
	forger.answer = func(_ *mcp.Outgoing, m *mcp.Message) (*mcp.Answer, *mcp.Error) {
		a := result(m, "{}")
		a.Session = p.session
		return a, nil
	}
	b := bridgeTo(t, forger, quick, false)
	if a, bad := b.Send(t.Context(), (&peer{t: t}).legacy(hello)); bad == nil || bad.Status != http.StatusBadGateway {
		t.Errorf("answered %v %v", a, bad)
	}
}

// What a modern server asks reaches the client as requests, one by one, and its answers go back with the call.
func TestRounds(t *testing.T) {
	s := newModernServer(t)
	p := connected(t, s, quick)
	const asks = `{"resultType":"input_required","requestState":"st","inputRequests":{"a":{"method":"elicitation/create","params":{"message":"?"}},"b":{"method":"roots/list"}}}`
	for _, streamed := range []bool{false, true} {
		rounds := 0
		s.script = func(_ *mcp.Outgoing, m *mcp.Message) *mcp.Answer {
			text := asks
			if rounds++; rounds == 2 {
				text = `{"resultType":"input_required","requestState":"load"}`
			} else if rounds == 3 {
				text = `{"content":[]}`
			}
			if streamed {
				return &mcp.Answer{Status: 200, Events: newPipe(note("progress", `{"progressToken":1}`), resultText(m.ID.Text(), text))}
			}
			return result(m, text)
		}
		a := p.send(p.legacy(requestText("7", "tools/call", `{"name":"t","arguments":{"x":1}}`)))
		if streamed {
			equal(t, "progress", next(t, a), note("progress", `{"progressToken":1}`))
		}
		for i, want := range []string{`"method":"elicitation/create","params":{"message":"?"}}`, `"method":"roots/list","params":{}}`} {
			text := next(t, a)
			m, _ := mcp.ParseServer(text)
			if !strings.HasSuffix(text, want) || !m.IsRequest() {
				t.Fatalf("asked %s", text)
			}
			answer := resultText(m.ID.Text(), fmt.Sprintf(`{"n":%d.0}`, i))
			if a := p.send(p.legacy(answer)); a.Status != http.StatusAccepted {
				t.Errorf("the answer was answered %d", a.Status)
			}
			if a := p.send(p.legacy(answer)); a.Status != http.StatusBadRequest {
				t.Errorf("the second answer was answered %d", a.Status)
			}
		}
		equal(t, "result", last(t, a), `{"jsonrpc":"2.0","id":7,"result":{"content":[]}}`)
		ids := map[string]bool{}
		texts := s.texts()
		for i, want := range []string{`{"name":"t","arguments":{"x":1},"_meta":{` + clientMeta + `}}`, `{"name":"t","arguments":{"x":1},"_meta":{` + clientMeta + `},"inputResponses":{"a":{"n":0.0},"b":{"n":1.0}},"requestState":"st"}`, `{"name":"t","arguments":{"x":1},"_meta":{` + clientMeta + `},"requestState":"load"}`} {
			m, _ := mcp.ParseClient(texts[len(texts)-3+i])
			equal(t, "sent", m.Params.Text(), want)
			ids[m.ID.Text()] = true
		}
		if len(ids) != 3 {
			t.Errorf("ids %v", ids)
		}
	}
}

// What ends a call that asks: the client refuses, cannot, does not answer; the server asks for ever.
func TestRoundsEnd(t *testing.T) {
	asks := func(request string) func(*mcp.Outgoing, *mcp.Message) *mcp.Answer {
		return func(_ *mcp.Outgoing, m *mcp.Message) *mcp.Answer {
			return result(m, `{"resultType":"input_required","requestState":"s","inputRequests":{`+request+`}}`)
		}
	}
	const question = `"a":{"method":"elicitation/create","params":{"message":"?"}}`
	s := newModernServer(t)
	p := connected(t, s, quick)
	call := p.legacy(requestText("7", "tools/call", `{"name":"t"}`))

	s.script = asks(question)
	a := p.send(call)
	m, _ := mcp.ParseServer(next(t, a))
	p.send(p.legacy(`{"jsonrpc":"2.0","id":` + m.ID.Text() + `,"error":{"code":-1,"message":"no"}}`))
	equal(t, "refused", next(t, a), `{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"no"}}`)

	for _, request := range []string{
		`"a":{"method":"elicitation/create","params":{"mode":"url","message":"?","url":"https://x.example/"}}`,
		`"a":{"method":"tools/call","params":{"name":"t"}}`,
	} {
		s.script = asks(request)
		if got := next(t, p.send(call)); !strings.Contains(got, "cannot answer") {
			t.Errorf("got %s", got)
		}
	}
	s.script = asks("")
	if got := next(t, p.send(call)); !strings.Contains(got, "asks too often") {
		t.Errorf("got %s", got)
	}

	l := quick
	l.patience = time.Millisecond
	p = connected(t, s, l)
	s.script = asks(question)
	a = p.send(p.legacy(call.Text))
	next(t, a)
	if got := next(t, a); !strings.Contains(got, "did not answer") {
		t.Errorf("got %s", got)
	}
}

// A legacy client cancels with a notification what to a modern server is the end of the exchange.
func TestLegacyCancels(t *testing.T) {
	s := newModernServer(t)
	p := connected(t, s, quick)
	open := newPipe()
	s.script = func(*mcp.Outgoing, *mcp.Message) *mcp.Answer { return &mcp.Answer{Status: 200, Events: open} }
	a := p.send(p.legacy(requestText(`"x"`, "tools/call", `{"name":"t"}`)))
	(&peer{t: t, b: p.b, session: newToken("2025-11-25", mcp.Value{})}).send(p.legacy(note("cancelled", `{"requestId":1}`)))
	select {
	case <-open.closed:
		t.Error("another request's cancellation ended it")
	default:
	}
	p.send(p.legacy(note("cancelled", `{"requestId":"x","reason":"r"}`)))
	<-open.closed
	equal(t, "the end", next(t, a), mcp.ErrCancelled.Error())

	// before the server has begun to answer
	began := make(chan context.Context, 1)
	p.b.inner = sender(func(ctx context.Context, _ *mcp.Outgoing) (*mcp.Answer, *mcp.Error) {
		began <- ctx
		<-ctx.Done()
		return nil, mcp.Refuse(http.StatusBadGateway, "the server is down", "context canceled")
	})
	answer := make(chan *mcp.Answer, 1)
	go func() {
		a, _ := p.b.Send(t.Context(), p.legacy(requestText("1", "tools/call", `{"name":"t"}`)))
		answer <- a
	}()
	take(t, began)
	p.send(p.legacy(note("cancelled", `{"requestId":1}`)))
	a = take(t, answer)
	equal(t, "the end", next(t, a), mcp.ErrCancelled.Error())
	a.Close()
}

type sender func(context.Context, *mcp.Outgoing) (*mcp.Answer, *mcp.Error)

func (s sender) Send(ctx context.Context, out *mcp.Outgoing) (*mcp.Answer, *mcp.Error) {
	return s(ctx, out)
}

// A session ends where its server has become one of the other era, so that the client opens another.
func TestModernServerChanges(t *testing.T) {
	s := newModernServer(t)
	p := connected(t, s, quick)
	old := newLegacyServer(t)
	s.answer = old.answer
	if a := p.send(p.legacy(requestText("1", "tools/list", "{}"))); a.Status != http.StatusNotFound {
		t.Errorf("answered %d %s", a.Status, a.Text)
	}
	p.session = ""
	if a := p.send(p.legacy(hello)); a.Session != "session-1" {
		t.Errorf("opened %s: %s", a.Session, a.Text)
	}
	p.session = "session-1"
	old.refuses = true
	if a := p.send(p.legacy(requestText("1", "tools/list", "{}"))); a.Status != http.StatusNotFound {
		t.Errorf("answered %d %s", a.Status, a.Text)
	}
}

// The stream of a legacy client is a subscription, made anew when what it is subscribed to changes.
func TestWatch(t *testing.T) {
	s := newModernServer(t)
	p := connected(t, s, quick)
	streams := make(chan *pipe, 8)
	s.script = func(_ *mcp.Outgoing, m *mcp.Message) *mcp.Answer {
		id := `"_meta":{"io.modelcontextprotocol/subscriptionId":` + m.ID.Text() + `}`
		stream := newPipe(note("subscriptions/acknowledged", `{`+id+`,"notifications":{}}`), note("tools/list_changed", `{`+id+`}`))
		streams <- stream
		return &mcp.Answer{Status: 200, Events: stream}
	}
	get := p.legacy("")
	get.Verb = http.MethodGet
	ctx, leave := context.WithCancel(t.Context())
	a, bad := p.b.Send(ctx, get)
	if bad != nil {
		t.Fatal(bad)
	}
	first := take(t, streams)
	equal(t, "told", next(t, a), note("tools/list_changed", "{}"))
	first.say(note("message", "{}"), `{"jsonrpc":"2.0","id":1,"method":"ping"}`, note("resources/updated", `{"uri":"a:b","_meta":{"io.modelcontextprotocol/subscriptionId":1,"x":1}}`))
	equal(t, "told", next(t, a), note("resources/updated", `{"uri":"a:b","_meta":{"x":1}}`))

	p.send(p.legacy(requestText("1", "resources/subscribe", `{"uri":"a:b"}`)))
	equal(t, "told", next(t, a), note("tools/list_changed", "{}"))
	second := take(t, streams)
	<-first.closed
	if sent := s.all[len(s.all)-1].Text; !strings.Contains(sent, `"notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true,"resourceSubscriptions":["a:b"]}`) {
		t.Errorf("sent %s", sent)
	}
	second.say(`{"jsonrpc":"2.0","id":"gatehouse-listen","result":{"resultType":"complete"}}`)
	equal(t, "the end", next(t, a), "EOF")
	leave()
	<-second.closed

	a = p.send(get)
	third := take(t, streams)
	p.send(get)
	<-third.closed
	next(t, a)
	equal(t, "the one that was replaced", next(t, a), "EOF")
	s.script = func(_ *mcp.Outgoing, m *mcp.Message) *mcp.Answer {
		return failed(http.StatusNotFound, m.ID.Text(), mcp.CodeNoMethod, "none")
	}
	if a := p.send(get); a.Status != http.StatusMethodNotAllowed {
		t.Errorf("answered %d", a.Status)
	}
}
