package bridge

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

const allKinds = `"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true`

func note(method, params string) string { return notificationText("notifications/"+method, params) }

// Listeners share the server's one stream, and each gets what it asked for and the server has.
func TestListen(t *testing.T) {
	s := newLegacyServer(t)
	s.script = func(_ *mcp.Outgoing, m *mcp.Message) *mcp.Answer {
		if m.Params.Get("uri").String() == "no:such" {
			return answered(`{"jsonrpc":"2.0","id":` + m.ID.Text() + `,"error":{"code":-32002,"message":"none"}}`)
		}
		return result(m, "{}")
	}
	stream := newPipe()
	s.stream = func() *mcp.Answer { return &mcp.Answer{Status: http.StatusOK, Events: stream} }
	p := &peer{t: t, b: bridgeTo(t, s.server, quick, false)}
	listen := func(id, filter string) *mcp.Answer {
		return p.send(p.modern(id, "subscriptions/listen", `"notifications":{`+filter+`}`))
	}
	const meta = `"_meta":{"io.modelcontextprotocol/subscriptionId":`
	one := listen(`"one"`, allKinds+`,"resourceSubscriptions":["a:x","no:such","a:x"]`)
	equal(t, "acknowledged", next(t, one), note("subscriptions/acknowledged", `{`+meta+`"one"},"notifications":{"toolsListChanged":true,"resourceSubscriptions":["a:x"]}}`))
	two := listen("2", `"resourceSubscriptions":["a:x/y"]`)
	equal(t, "acknowledged", next(t, two), note("subscriptions/acknowledged", `{`+meta+`2},"notifications":{"resourceSubscriptions":["a:x/y"]}}`))

	stream.say(
		`{"jsonrpc":"2.0","id":1,"method":"ping"}`, `{"jsonrpc":"2.0","id":2,"method":"elicitation/create","params":{}}`,
		note("prompts/list_changed", "{}"), note("message", `{"level":"error"}`), note("resources/updated", `{"uri":"a:xy"}`),
		note("resources/updated", `{"uri":"a:x/y","title":"t"}`), `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
	equal(t, "told", next(t, one), note("resources/updated", `{"uri":"a:x/y","title":"t",`+meta+`"one"}}`))
	equal(t, "told", next(t, one), note("tools/list_changed", `{`+meta+`"one"}}`))
	equal(t, "told", next(t, two), note("resources/updated", `{"uri":"a:x/y","title":"t",`+meta+`2}}`))
	s.await(`{"jsonrpc":"2.0","id":1,"result":{}}`)
	s.await(`"id":2,"error":{"code":-32601`)

	two.Close()
	if out := s.await("resources/unsubscribe"); !strings.Contains(out.Text, `{"uri":"a:x/y"}`) {
		t.Errorf("sent %s", out.Text)
	}
	first := stream
	stream = newPipe(note("tools/list_changed", "{}"))
	_ = first.Close() // the server ends the stream, which is opened anew
	equal(t, "told", next(t, one), note("tools/list_changed", `{`+meta+`"one"}}`))
	one.Close()
	<-stream.closed
	if texts := strings.Join(s.texts(), "\n"); strings.Count(texts, "GET") != 2 || strings.Count(texts, `"resources/subscribe"`) != 3 {
		t.Errorf("sent %s", texts)
	}
}

// A server without a stream has nothing to listen to, and one that loses its session ends what is.
func TestListenEnds(t *testing.T) {
	s := newLegacyServer(t)
	p := &peer{t: t, b: bridgeTo(t, s.server, quick, false)}
	a := p.send(p.modern("1", "subscriptions/listen", `"notifications":{`+allKinds+`}`))
	if text := next(t, a); !strings.HasSuffix(text, `"notifications":{}}}`) {
		t.Errorf("got %s", text)
	}
	a.Close()
	stream := newPipe()
	s.stream = func() *mcp.Answer { return &mcp.Answer{Status: http.StatusOK, Events: stream} }
	a = p.send(p.modern("2", "subscriptions/listen", `"notifications":{`+allKinds+`}`))
	next(t, a)
	s.mu.Lock()
	s.gone = true
	s.mu.Unlock()
	_ = stream.Close()
	equal(t, "the end", next(t, a), `{"jsonrpc":"2.0","id":2,"result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":2}}}`)
	stream = newPipe()
	a = p.send(p.modern("3", "subscriptions/listen", `"notifications":{`+allKinds+`}`))
	if text := next(t, a); !strings.Contains(text, `{"toolsListChanged":true}`) {
		t.Errorf("got %s", text)
	}
}

// A listener that does not read is ended, and one that leaves is not told more.
func TestListenerThatDoesNotRead(t *testing.T) {
	l := &listener{k: &session{}, id: "1", ctx: context.Background(), more: make(chan struct{}, 1)}
	for i := range maxUnread + 2 {
		l.offer(resultText("1", strings.Repeat(" ", i)+"{}"))
		l.offer(resultText("1", strings.Repeat(" ", i)+"{}"))
	}
	if len(l.unread) != maxUnread || !l.over {
		t.Errorf("%d unread, over %v", len(l.unread), l.over)
	}
}
