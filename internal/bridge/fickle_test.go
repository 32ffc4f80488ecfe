package bridge

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A bothServer is of both eras, and refuses what its script says it does.
type bothServer struct {
	*server
	refuses func(out *mcp.Outgoing, m *mcp.Message) *mcp.Answer
	opened  int
}

func newBothServer(t *testing.T) *bothServer {
	s := &bothServer{server: newServer(t)}
	s.answer = func(out *mcp.Outgoing, m *mcp.Message) (*mcp.Answer, *mcp.Error) {
		if a := s.refuses(out, m); a != nil {
			return a, nil
		}
		switch {
		case out.Verb != http.MethodPost || !m.IsRequest():
			return &mcp.Answer{Status: http.StatusAccepted}, nil
		case m.Method == "server/discover":
			return result(m, discovery), nil
		case m.Method == "initialize":
			s.mu.Lock()
			defer s.mu.Unlock()
			s.opened++
			a := result(m, `{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"both","version":"1"}}`)
			a.Session = fmt.Sprint("theirs-", s.opened)
			return a, nil
		}
		return result(m, `{"resultType":"complete"}`), nil
	}
	return s
}

// What a server refuses of one client does not change how it is spoken to for the others.
func TestRefusedOfOneClient(t *testing.T) {
	t.Run("headers", func(t *testing.T) {
		s := newBothServer(t)
		s.refuses = func(out *mcp.Outgoing, _ *mcp.Message) *mcp.Answer {
			if out.Header.Get("Mcp-Param-X") != "" { // too many headers, to a proxy in between
				return &mcp.Answer{Status: http.StatusBadRequest}
			}
			return nil
		}
		p := &peer{t: t, b: bridgeTo(t, s.server, quick, false)}
		out := p.modern("1", "tools/call", `"name":"t"`)
		out.Header.Set("Mcp-Param-X", "y")
		if a := p.send(out); a.Status != http.StatusBadRequest {
			t.Errorf("answered %d", a.Status)
		}
		p.ask("2", "tools/call", `"name":"t"`)
		if sent := strings.Join(s.texts(), "\n"); strings.Contains(sent, "initialize") || strings.Count(sent, "tools/call") != 2 {
			t.Errorf("sent %s", sent)
		}
	})
	t.Run("initialize", func(t *testing.T) {
		s := newBothServer(t)
		s.refuses = func(_ *mcp.Outgoing, m *mcp.Message) *mcp.Answer {
			if m.Method == "initialize" && !m.Params.Get("clientInfo").IsObject() {
				return failed(http.StatusBadRequest, m.ID.Text(), mcp.CodeInvalidParams, "no clientInfo")
			}
			return nil
		}
		p := &peer{t: t, b: bridgeTo(t, s.server, quick, false)}
		p.send(p.legacy(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}`))
		if a := p.send(p.legacy(strings.Replace(hello, "VERSION", "2025-06-18", 1))); !strings.HasPrefix(a.Session, "theirs-") {
			t.Errorf("the next client's session is %s", a.Session)
		}
		if out := s.await("DELETE"); out.Header.Get(mcp.HeaderSession) != "theirs-1" {
			t.Errorf("ended %v", out.Header)
		}
	})
	t.Run("a message", func(t *testing.T) {
		s := newModernServer(t)
		s.script = func(_ *mcp.Outgoing, m *mcp.Message) *mcp.Answer {
			return failed(http.StatusBadRequest, m.ID.Text(), mcp.CodeInvalidRequest, "not so")
		}
		p := connected(t, s, quick)
		a := p.send(p.legacy(requestText("1", "tools/call", `{"name":"t"}`)))
		if a.Status != http.StatusOK || !strings.Contains(a.Text, "not so") {
			t.Errorf("answered %d %s", a.Status, a.Text)
		}
	})
}

// A session that the server opened is given up where it is of no use.
func TestUselessSessions(t *testing.T) {
	t.Run("of another revision", func(t *testing.T) {
		s := newLegacyServer(t)
		s.version = "2027-01-01"
		p := &peer{t: t, b: bridgeTo(t, s.server, quick, false)}
		p.send(p.modern("1", "tools/list", ""))
		if out := s.await("DELETE"); out.Header.Get(mcp.HeaderSession) != "session-1" {
			t.Errorf("ended %v", out.Header)
		}
	})
	t.Run("not found", func(t *testing.T) {
		s := newLegacyServer(t)
		s.script = func(_ *mcp.Outgoing, m *mcp.Message) *mcp.Answer {
			if m.Method == "tools/call" { // as some answer a message that they cannot read
				return &mcp.Answer{Status: 400, Text: `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}`}
			}
			return result(m, "{}")
		}
		p := &peer{t: t, b: bridgeTo(t, s.server, quick, false)}
		for range 3 {
			p.send(p.modern("1", "tools/call", `"name":"t"`))
		}
		for n := range 3 {
			if out := s.await("DELETE"); !strings.HasPrefix(out.Header.Get(mcp.HeaderSession), "session-") {
				t.Errorf("%d: ended %v", n, out.Header)
			}
		}
	})
}

// silence is a stream of signs of life, and then a message.
type silence struct {
	left int
	last string
}

func (s *silence) Next() (mcp.Event, error) {
	switch s.left--; {
	case s.left > 0:
		return mcp.Event{}, nil
	case s.left == 0:
		return mcp.Event{Data: s.last}, nil
	}
	return mcp.Event{}, io.EOF
}

func (*silence) Close() error { return nil }

// Signs of life before the answer that tells the era take no room.
func TestSignsOfLife(t *testing.T) {
	s := newServer(t)
	s.answer = func(_ *mcp.Outgoing, m *mcp.Message) (*mcp.Answer, *mcp.Error) {
		return &mcp.Answer{Status: http.StatusOK, Events: &silence{1 << 20, resultText(m.ID.Text(), discovery)}}, nil
	}
	p := &peer{t: t, b: bridgeTo(t, s, quick, false)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	equal(t, "discovered", p.ask("1", "server/discover", ""), resultText("1", discovery))
	runtime.ReadMemStats(&after)
	if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 32 {
		t.Errorf("they took %d MiB", took)
	}
}

// fickle answers each message as a server of some era would, or none. What it answers as its own era's, it does.
type fickle struct {
	mu   sync.Mutex
	r    *rand.Rand
	done map[string]int // by the name of the tool
	open int
}

func (f *fickle) answer(_ *mcp.Outgoing, m *mcp.Message) (*mcp.Answer, *mcp.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := m.ID.Text()
	a := &mcp.Answer{Status: http.StatusOK}
	switch n := f.r.IntN(16); {
	case n == 0:
		return nil, mcp.Refuse(http.StatusBadGateway, "the server is down", "")
	case n < 5:
		a.Status = []int{400, 404, 405, 500}[n-1]
		return a, nil
	case !m.IsRequest():
		return &mcp.Answer{Status: http.StatusAccepted}, nil
	case n == 5:
		a.Text = errorText(id, -32022, "no", `{"supported":["2025-11-25"]}`)
	case n == 6:
		a.Text = errorText(id, -32022, "no", `{"supported":["2026-07-28"]}`)
	case n == 7:
		a.Text = errorText(id, -32601, "no", "")
	case n == 8:
		a.Text = "{garbage"
	case m.Method == "server/discover":
		a.Text = resultText(id, strings.Replace(discovery, "2026-07-28", []string{"2026-07-28", "2025-11-25", "2027-01-01"}[n%3], 1))
	case m.Method == "initialize":
		f.open++
		a.Session = fmt.Sprint("s", f.open)
		a.Text = resultText(id, `{"protocolVersion":"`+[]string{"2025-11-25", "2026-07-28", "2024-11-05"}[n%3]+`","capabilities":{}}`)
	default:
		f.done[m.Params.Get("name").String()]++
		a.Text = resultText(id, `{"content":[]}`)
	}
	if a.Text[0] == '{' && strings.Contains(a.Text, `"error"`) {
		a.Status = []int{200, 400}[f.r.IntN(2)]
	}
	if a.Status == http.StatusOK && f.r.IntN(2) == 0 {
		a.Text, a.Events = "", newPipe(a.Text)
	}
	return a, nil
}

// However often a server changes its mind about its era, a call is carried out once at most, and if it was, that
// is what its client is told.
func TestFickle(t *testing.T) {
	for _, channel := range []bool{false, true} {
		f := &fickle{r: rand.New(rand.NewPCG(20260728, 11)), done: map[string]int{}}
		s := newServer(t)
		s.sent = make(chan *mcp.Outgoing, 1<<20)
		s.answer = f.answer
		b := bridgeTo(t, s, standard, channel)
		var clients sync.WaitGroup
		for i := range 8 {
			clients.Go(func() {
				p := &peer{t: t, b: b, principal: fmt.Sprint(i % 3), features: canForm}
				for n := range 300 {
					f.try(t, p, fmt.Sprintf("t-%d-%d", i, n), i%2 == 0)
				}
			})
		}
		clients.Wait()
		b.Close()
		if len(f.done) < 100 {
			t.Errorf("only %d calls were carried out", len(f.done))
		}
	}
}

func (f *fickle) try(t *testing.T, p *peer, name string, isModern bool) {
	out := p.modern(`"`+name+`"`, "tools/call", `"name":"`+name+`"`)
	if !isModern {
		if a, bad := p.b.Send(context.Background(), p.opening()); bad == nil {
			if text, _ := heard(a); strings.Contains(text, `"result"`) {
				p.session = a.Session
			}
			a.Close()
		}
		out = p.legacy(requestText(`"`+name+`"`, "tools/call", `{"name":"`+name+`"}`))
	}
	a, bad := p.b.Send(context.Background(), out)
	told := ""
	if bad == nil {
		told, _ = heard(a)
		a.Close()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := f.done[name]; n > 1 || n == 1 != strings.Contains(told, `"id":"`+name+`","result"`) {
		t.Errorf("carried out %d times, told %q %v", n, told, bad)
	}
}

func (p *peer) opening() *mcp.Outgoing {
	session := p.session
	p.session = ""
	out := p.legacy(strings.Replace(hello, "VERSION", "2025-06-18", 1))
	p.session = session
	return out
}

// heard is the first message of an answer.
func heard(a *mcp.Answer) (string, error) {
	if a.Events == nil {
		return a.Text, nil
	}
	ev, err := a.Events.Next()
	return ev.Data, err
}
