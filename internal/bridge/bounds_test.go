package bridge

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A state that many bring at once is one's, and the server gets one answer. What is no state is nobody's.
func TestStateAtOnce(t *testing.T) {
	s := newAsked(t, elicit)
	b := bridgeTo(t, s.server, quick, false)
	p := &peer{t: t, b: b, principal: "alice", features: canForm}
	one := state(t, p.ask("1", "tools/call", `"name":"t"`))
	const answer = `"name":"t","inputResponses":{"input":{"action":"accept"}},"requestState":`
	for name, text := range map[string]string{
		"cut": one[:len(one)-2] + `"`, "empty": `""`, "10,000 times": `"` + strings.Repeat(strings.Trim(one, `"`), 10_000) + `"`,
		"twice": `"` + strings.Trim(one, `"`) + strings.Trim(one, `"`) + `"`, "null": "null", "an array": "[" + one + "]", "a number": "1",
	} {
		if got := p.ask("2", "tools/call", answer+text); !strings.Contains(got, "-32602") {
			t.Errorf("%s: got %s", name, got)
		}
	}
	other := newAsked(t, elicit)
	elsewhere := &peer{t: t, b: bridgeTo(t, other.server, quick, false), principal: "alice", features: canForm}
	if got := elsewhere.ask("2", "tools/call", answer+one); !strings.Contains(got, "-32602") {
		t.Errorf("at another server: got %s", got)
	}

	var tries sync.WaitGroup
	refused := make(chan string, 64)
	for range cap(refused) {
		tries.Go(func() {
			a, _ := b.Send(t.Context(), p.modern("3", "tools/call", answer+one))
			if a.Events == nil {
				refused <- a.Text
				return
			}
			defer a.Close()
			s.await(`"s1"`)
			s.call.say(resultText(s.id, "{}"))
			if text, _ := heard(a); !strings.Contains(text, `"complete"`) {
				t.Errorf("got %s", text)
			}
		})
	}
	tries.Wait()
	close(refused)
	if len(refused) != cap(refused)-1 {
		t.Errorf("%d of %d were refused", len(refused), cap(refused))
	}
	for text := range refused {
		if !strings.Contains(text, "-32602") {
			t.Errorf("got %s", text)
		}
	}
	if sent := strings.Join(s.texts(), "\n"); strings.Count(sent, `"id":"s1"`) != 1 || strings.Count(sent, `"tools/call"`) != 2 {
		t.Errorf("sent %s", sent)
	}
	if got := p.ask("4", "tools/call", answer+one); !strings.Contains(got, "-32602") {
		t.Errorf("after its call: got %s", got)
	}
}

// A call whose answer the server does not take is over for the server, too.
func TestAnswerNotTaken(t *testing.T) {
	s := newAsked(t, elicit)
	serve := s.answer
	s.answer = func(out *mcp.Outgoing, m *mcp.Message) (*mcp.Answer, *mcp.Error) {
		if m.IsResponse() {
			return &mcp.Answer{Status: http.StatusInternalServerError}, nil
		}
		return serve(out, m)
	}
	p := &peer{t: t, b: bridgeTo(t, s.server, quick, false), features: canForm}
	one := state(t, p.ask("1", "tools/call", `"name":"t"`))
	if got := p.ask("2", "tools/call", `"name":"t","inputResponses":{"input":{}},"requestState":`+one); !strings.Contains(got, "-32603") {
		t.Errorf("got %s", got)
	}
	s.await(`"notifications/cancelled","params":{"requestId":` + s.id + `}`)
	<-s.call.closed
}

// A server that asks thousands of things in one call is answered, each time, by who it asks, one at a time, also
// where all its questions have one id.
func TestManyQuestions(t *testing.T) {
	const questions = 2000
	s := newAsked(t)
	s.sent = make(chan *mcp.Outgoing, 4*questions)
	s.call.events = make(chan mcp.Event, 4*questions)
	b := bridgeTo(t, s.server, quick, false)
	p := &peer{t: t, b: b, features: canForm}
	for range questions {
		s.call.say(`{"jsonrpc":"2.0","id":9,"method":"roots/list"}`, elicit)
	}
	params := `"name":"t"`
	for range questions {
		one := state(t, p.ask("1", "tools/call", params))
		b.held.mu.Lock()
		if n := len(b.held.by); n != 1 {
			t.Fatalf("%d calls are held", n)
		}
		b.held.mu.Unlock()
		params = `"name":"t","inputResponses":{"input":{"action":"accept"}},"requestState":` + one
	}
	s.call.say(resultText(s.id, "{}"), elicit) // and one after the response
	if got := p.ask("1", "tools/call", params); !strings.Contains(got, `"complete"`) {
		t.Errorf("got %s", got)
	}
	sent := strings.Join(s.texts(), "\n")
	if strings.Count(sent, `"id":"s1","result"`) != questions || strings.Count(sent, `"id":9,"error":{"code":-32601`) != questions {
		t.Errorf("%d questions were answered, %d refused", strings.Count(sent, `"id":"s1"`), strings.Count(sent, `"id":9`))
	}
	if len(b.held.by) != 0 {
		t.Error("a call is held")
	}
}

// What is kept of others is bounded in bytes, not only in number.
func TestBytesKept(t *testing.T) {
	large := strings.Repeat("x", 1<<20)
	t.Run("questions", func(t *testing.T) {
		s := newAsked(t)
		s.script = func(_ *mcp.Outgoing, m *mcp.Message) *mcp.Answer {
			return &mcp.Answer{Status: 200, Events: newPipe(strings.Replace(elicit, "colour?", large+large+large, 1), resultText(m.ID.Text(), "{}"))}
		}
		p := &peer{t: t, b: bridgeTo(t, s.server, standard, false), features: canForm}
		held := 0
		for range 4 {
			held += strings.Count(p.ask("1", "tools/call", `"name":"t"`), "input_required")
		}
		if held != 2 {
			t.Errorf("%d questions of 3 MiB are held", held)
		}
	})
	t.Run("subscriptions", func(t *testing.T) {
		p := connected(t, newModernServer(t), quick)
		took := 0
		for n := range 100 {
			a := p.send(p.legacy(requestText("1", "resources/subscribe", fmt.Sprintf(`{"uri":"a:%d%s"}`, n, large[:10_000]))))
			took += strings.Count(a.Text, `"result"`)
		}
		if took != maxSubscribedSize/10_000 {
			t.Errorf("%d of 10 KB were taken", took)
		}
	})
	t.Run("changes", func(t *testing.T) {
		l := &listener{more: make(chan struct{}, 1)}
		for n := range 10 {
			l.offer(fmt.Sprint(n, large[:maxUnreadSize/4]))
		}
		if len(l.unread) != 3 || !l.over {
			t.Errorf("%d are kept", len(l.unread))
		}
	})
	t.Run("answers", func(t *testing.T) {
		s := newModernServer(t)
		s.script = func(_ *mcp.Outgoing, m *mcp.Message) *mcp.Answer {
			asks := ""
			for n := range maxAsks {
				asks += fmt.Sprintf(`,"%d":{"method":"elicitation/create","params":{"message":"?"}}`, n)
			}
			return result(m, `{"resultType":"input_required","inputRequests":{`+asks[1:]+`},"requestState":"s"}`)
		}
		p := connected(t, s, quick)
		a := p.send(p.legacy(requestText("1", "tools/call", `{"name":"t"}`)))
		for n := range maxAsks {
			m, bad := mcp.ParseServer(next(t, a))
			if bad != nil || m.IsResponse() {
				if n != maxAnswers>>20 || !strings.Contains(m.Text, "too much") {
					t.Errorf("after %d answers of 1 MiB got %.200s", n, m.Text)
				}
				return
			}
			p.send(p.legacy(resultText(m.ID.Text(), `{"x":"`+large+`"}`)))
		}
		t.Error("all were taken")
	})
}

// A server that does not answer is not asked for each of many resources.
func TestSilentServer(t *testing.T) {
	s := newLegacyServer(t)
	s.stream = func() *mcp.Answer { return &mcp.Answer{Status: http.StatusOK, Events: newPipe()} }
	s.script = func(*mcp.Outgoing, *mcp.Message) *mcp.Answer { return &mcp.Answer{Events: newPipe()} }
	l := quick
	l.control = time.Millisecond
	p := &peer{t: t, b: bridgeTo(t, s.server, l, false)}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	a, bad := p.b.Send(ctx, p.modern("1", "subscriptions/listen", `"notifications":{"resourceSubscriptions":["a:1","a:2","a:3"]}`))
	if bad != nil {
		t.Fatal(bad)
	}
	defer a.Close()
	if got := next(t, a); !strings.Contains(got, `"notifications":{}`) {
		t.Errorf("got %s", got)
	}
	if n := strings.Count(strings.Join(s.texts(), "\n"), "resources/subscribe"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// Who opens more sessions than are remembered has its own forgotten.
func TestForgotten(t *testing.T) {
	s := newModernServer(t)
	p := connected(t, s, quick)
	p.tell(t, requestText("1", "logging/setLevel", `{"level":"info"}`))
	for range 4 * quick.sessions {
		other := &peer{t: t, b: p.b, principal: "mallory"}
		other.session = other.send(other.legacy(strings.Replace(hello, "VERSION", "2025-06-18", 1))).Session
		other.tell(t, requestText("1", "ping", "{}"))
	}
	p.tell(t, requestText("1", "tools/list", "{}"))
	if sent := s.texts(); !strings.Contains(sent[len(sent)-1], `logLevel":"info"`) {
		t.Errorf("sent %s", sent[len(sent)-1])
	}
}
