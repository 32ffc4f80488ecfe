package bridge

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A legacyServer opens sessions and refuses modern messages. What it does with a request in a session is its
// script's matter.
type legacyServer struct {
	*server
	version      string
	capabilities string
	opened       int
	gone         bool // it has forgotten its sessions
	refuses      bool // it has become a modern server
	script       func(out *mcp.Outgoing, m *mcp.Message) *mcp.Answer
	stream       func() *mcp.Answer // of GET
}

func newLegacyServer(t *testing.T) *legacyServer {
	s := &legacyServer{server: newServer(t), version: "2025-11-25", capabilities: `{"tools":{"listChanged":true},"resources":{"subscribe":true},"logging":{},"tasks":{}}`}
	s.answer = func(out *mcp.Outgoing, m *mcp.Message) (*mcp.Answer, *mcp.Error) { return s.serve(out, m), nil }
	s.script = func(_ *mcp.Outgoing, m *mcp.Message) *mcp.Answer { return result(m, "{}") }
	s.stream = func() *mcp.Answer { return &mcp.Answer{Status: http.StatusMethodNotAllowed} }
	return s
}

func (s *legacyServer) serve(out *mcp.Outgoing, m *mcp.Message) *mcp.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	version, session := out.Header.Get(mcp.HeaderVersion), out.Header.Get(mcp.HeaderSession)
	current := fmt.Sprint("session-", s.opened)
	switch {
	case s.refuses && version < mcp.Modern:
		return &mcp.Answer{Status: http.StatusBadRequest, Text: `{"jsonrpc":"2.0","error":{"code":-32020,"message":"no version"}}`}
	case s.refuses:
		return result(m, `{"resultType":"complete","modern":true}`)
	case version >= mcp.Modern:
		return &mcp.Answer{Status: http.StatusBadRequest, Text: "Bad Request"}
	case m.Method == "initialize":
		s.opened++
		s.gone = false
		a := result(m, `{"protocolVersion":"`+s.version+`","capabilities":`+s.capabilities+`,"serverInfo":{"name":"old","version":"1"},"instructions":"be kind"}`)
		a.Session = fmt.Sprint("session-", s.opened)
		return a
	case !strings.HasPrefix(session, "session-") || s.gone && session == current:
		return &mcp.Answer{Status: http.StatusNotFound}
	case out.Verb == http.MethodGet:
		return s.stream()
	case out.Verb == http.MethodDelete:
		return &mcp.Answer{Status: http.StatusOK}
	case m.IsRequest():
		return s.script(out, m)
	}
	return &mcp.Answer{Status: http.StatusAccepted}
}

const serverMeta = `"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"old","version":"1"}}`

func complete(id, members string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"result":{` + members + `"resultType":"complete",` + serverMeta + `}}`
}

// What a legacy server is sent, and what its modern client gets.
func TestToLegacy(t *testing.T) {
	s := newLegacyServer(t)
	var reply string
	s.script = func(_ *mcp.Outgoing, m *mcp.Message) *mcp.Answer {
		return answered(strings.ReplaceAll(reply, "ID", m.ID.Text()))
	}
	const ok = `{"jsonrpc":"2.0","id":ID,"result":{"x":1.0}}`
	for _, tc := range []struct{ method, params, sent, reply, got string }{
		{"server/discover", ``, ``, ``, `{"jsonrpc":"2.0","id":"a","result":{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true},"logging":{}},"instructions":"be kind","resultType":"complete","ttlMs":0,"cacheScope":"private",` + serverMeta + `}}`},
		{"tools/call", `"name":"t","arguments":{"a":1e2}`, `{"name":"t","arguments":{"a":1e2}}`, ok, complete(`"a"`, `"x":1.0,`)},
		{"tools/list", `"cursor":"c"`, `{"cursor":"c"}`, ok, strings.Replace(complete(`"a"`, `"x":1.0,`), `"complete",`, `"complete","ttlMs":0,"cacheScope":"private",`, 1)},
		{"x/unknown", ``, `{}`, ok, complete(`"a"`, `"x":1.0,`)},
		{"tools/call", `"name":"t","task":{},"inputResponses":{"a":{}}`, `{"name":"t"}`, ok, complete(`"a"`, `"x":1.0,`)},
		{"prompts/get", `"name":"p"`, `{"name":"p"}`, `{"jsonrpc":"2.0","id":ID,"result":{"resultType":"input_required","requestState":"s"}}`, `{"jsonrpc":"2.0","id":"a","result":{"resultType":"complete","requestState":"s",` + serverMeta + `}}`},
		{"resources/read", `"uri":"a:b"`, `{"uri":"a:b"}`, `{"jsonrpc":"2.0","id":ID,"error":{"code":-32002,"message":"none","data":{"uri":"a:b"}}}`, `{"jsonrpc":"2.0","id":"a","error":{"code":-32602,"message":"none","data":{"uri":"a:b"}}}`},
		{"tools/call", `"name":"t"`, `{"name":"t"}`, `{"jsonrpc":"2.0","id":ID,"error":{"code":-32601,"message":"none"}}`, `{"jsonrpc":"2.0","id":"a","error":{"code":-32601,"message":"none"}}`},
		{"tools/call", `"name":"t"`, `{"name":"t"}`, `{"jsonrpc":"2.0","id":"a","result":{}}`, `{"jsonrpc":"2.0","id":"a","error":{"code":-32603,"message":"the server answered another request"}}`},
	} {
		for _, streamed := range []bool{false, true} {
			p := &peer{t: t, b: bridgeTo(t, s.server, quick, false), principal: "alice"}
			plain := s.script
			if reply = tc.reply; streamed {
				s.script = func(out *mcp.Outgoing, m *mcp.Message) *mcp.Answer {
					return &mcp.Answer{Status: http.StatusOK, Events: newPipe(plain(out, m).Text)}
				}
			}
			equal(t, tc.method, p.ask(`"a"`, tc.method, tc.params), tc.got)
			s.script = plain
			texts := s.texts()
			out := s.all[len(texts)-1]
			if tc.sent == "" {
				continue
			}
			m, _ := mcp.ParseClient(texts[len(texts)-1])
			if m.Method != tc.method || m.Params.Text() != tc.sent || m.ID.Text() == `"a"` {
				t.Errorf("%s: sent %s", tc.method, m.Text)
			}
			for _, name := range []string{mcp.HeaderMethod, mcp.HeaderName} {
				if out.Header.Get(name) != "" {
					t.Errorf("%s is sent", name)
				}
			}
			if out.Header.Get(mcp.HeaderVersion) != "2025-11-25" || !strings.HasPrefix(out.Header.Get(mcp.HeaderSession), "session-") || out.Principal != "alice" {
				t.Errorf("sent with %v for %s", out.Header, out.Principal)
			}
		}
	}
}

// What has no place in the newer revision, or not without its metadata, goes nowhere.
func TestUnfit(t *testing.T) {
	s := newLegacyServer(t)
	p := &peer{t: t, b: bridgeTo(t, s.server, quick, false)}
	p.ask("1", "tools/list", "")
	before := len(s.texts())
	for _, tc := range []struct {
		method string
		edit   func(*mcp.Outgoing)
		status int
		code   string
	}{
		{"ping", nil, 404, "-32601"},
		{"initialize", nil, 404, "-32601"},
		{"logging/setLevel", nil, 404, "-32601"},
		{"resources/subscribe", nil, 404, "-32601"},
		{"tasks/cancel", nil, 404, "-32601"},
		{"tools/list", func(out *mcp.Outgoing) { out.Text = strings.Replace(out.Text, `"`+metaCapabilities+`":{}`, `"x":1`, 1) }, 400, "-32602"},
		{"tools/list", func(out *mcp.Outgoing) {
			out.Text = strings.Replace(out.Text, mcp.Modern, "2027-01-01", 1)
			out.Header.Set(mcp.HeaderVersion, "2027-01-01")
		}, 400, `-32022,"message":"unsupported protocol version","data":{"supported":["2026-07-28"],"requested":"2027-01-01"}`},
		{"tools/list", func(out *mcp.Outgoing) { out.Verb = http.MethodGet }, 405, ""},
		{"tools/list", func(out *mcp.Outgoing) {
			out.Text = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`
		}, 202, ""},
		{"tools/list", func(out *mcp.Outgoing) { out.Text = `{"jsonrpc":"2.0","method":"notifications/x"}` }, 400, ""},
		{"tools/list", func(out *mcp.Outgoing) { out.Text = `{"jsonrpc":"2.0","id":1,"result":{}}` }, 400, ""},
	} {
		params := ""
		if strings.HasPrefix(tc.method, "tasks/") {
			params = `"taskId":"t"`
		}
		out := p.modern("1", tc.method, params)
		if tc.edit != nil {
			tc.edit(out)
		}
		if a := p.send(out); a.Status != tc.status || !strings.Contains(a.Text, tc.code) {
			t.Errorf("%s: answered %d %s", out.Text, a.Status, a.Text)
		}
	}
	if after := len(s.texts()); after != before {
		t.Errorf("sent %q", s.texts()[before:])
	}
}

// One session serves one client of one principal, and is opened anew when the server has lost it.
func TestKeptSessions(t *testing.T) {
	s := newLegacyServer(t)
	b := bridgeTo(t, s.server, quick, false)
	alice := &peer{t: t, b: b, principal: "alice", features: `{"elicitation":{"url":{}},"roots":{},"experimental":{"x":{}}}`, meta: `,"` + metaClient + `":{"name":"c","version":"2"}`}
	alice.ask("1", "tools/list", "")
	alice.ask("1", "tools/list", "")
	if sent := s.texts(); len(sent) != 6 || sent[3] != `{"jsonrpc":"2.0","method":"notifications/initialized","params":{}}` ||
		sent[2] != `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{"url":{}}},"clientInfo":{"name":"c","version":"2"}}}` {
		t.Errorf("sent %q", sent)
	}
	if first := s.all[2].Header; first.Get(mcp.HeaderSession) != "" || first.Get(mcp.HeaderVersion) != "" {
		t.Errorf("initialize was sent with %v", first)
	}
	(&peer{t: t, b: b, principal: "bob", features: alice.features, meta: alice.meta}).ask("1", "tools/list", "")
	(&peer{t: t, b: b, principal: "alice"}).ask("1", "tools/list", "")
	if s.opened != 3 {
		t.Errorf("%d sessions", s.opened)
	}
	(&peer{t: t, b: b, principal: "alice", features: `{"sampling":{}}`}).ask("1", "tools/list", "") // one too many
	s.await("DELETE")

	s.gone = true
	before := len(s.texts())
	(&peer{t: t, b: b, principal: "alice", features: `{"sampling":{}}`}).ask("1", "tools/list", "")
	if sent := s.texts()[before:]; len(sent) != 4 || !strings.Contains(sent[1], `"initialize"`) || !strings.Contains(sent[3], `"tools/list"`) {
		t.Errorf("sent %q", sent)
	}
	s.script = func(*mcp.Outgoing, *mcp.Message) *mcp.Answer { return &mcp.Answer{Status: http.StatusNotFound} }
	before = len(s.texts())
	if a := alice.send(alice.modern("1", "tools/list", "")); a.Status != http.StatusNotFound || strings.Count(strings.Join(s.texts()[before:], ""), "tools/list") != 2 {
		t.Errorf("answered %d after %q", a.Status, s.texts()[before:])
	}
}

func TestIdleSessions(t *testing.T) {
	s := newLegacyServer(t)
	l := quick
	l.idle = time.Millisecond
	b := bridgeTo(t, s.server, l, false)
	(&peer{t: t, b: b}).ask("1", "tools/list", "")
	if out := s.await("DELETE"); out.Header.Get(mcp.HeaderSession) != "session-1" {
		t.Errorf("ended %v", out.Header)
	}
}

// Sessions in use are not ended to make room.
func TestTooManySessions(t *testing.T) {
	s := newLegacyServer(t)
	open := newPipe()
	s.script = func(*mcp.Outgoing, *mcp.Message) *mcp.Answer { return &mcp.Answer{Status: 200, Events: open} }
	b := bridgeTo(t, s.server, quick, false)
	for i := range 3 {
		p := &peer{t: t, b: b, principal: "alice", meta: fmt.Sprintf(`,"%s":{"name":"%d","version":"1"}`, metaClient, i)}
		a, bad := b.Send(t.Context(), p.modern("1", "tools/list", ""))
		if (bad != nil) != (i == 2) || bad != nil && bad.Status != http.StatusServiceUnavailable {
			t.Errorf("%d: %v", i, bad)
		}
		if a != nil {
			t.Cleanup(a.Close)
		}
	}
}

// A server that was upgraded is spoken to as what it has become.
func TestServerChanges(t *testing.T) {
	s := newLegacyServer(t)
	p := &peer{t: t, b: bridgeTo(t, s.server, quick, false)}
	p.ask("1", "tools/list", "")
	s.refuses = true
	if got := p.ask("1", "tools/list", ""); !strings.Contains(got, `"code":-32020`) && !strings.Contains(got, "modern") {
		t.Errorf("got %s", got)
	}
	if got := p.ask("1", "tools/list", ""); !strings.Contains(got, `"modern":true`) {
		t.Errorf("got %s", got)
	}
}

// A message that a modern server does not like does not make it one of the other era, to anybody.
func TestRefusedForItself(t *testing.T) {
	s := newModernServer(t)
	s.script = func(_ *mcp.Outgoing, m *mcp.Message) *mcp.Answer {
		if m.ID.Text() == "-1" {
			return &mcp.Answer{Status: http.StatusBadRequest, Text: `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"invalid"}}`}
		}
		return result(m, "{}")
	}
	p := &peer{t: t, b: bridgeTo(t, s.server, quick, false)}
	if a := p.send(p.modern("-1", "tools/list", "")); a.Status != http.StatusBadRequest || !strings.Contains(a.Text, "-32600") {
		t.Errorf("answered %d %s", a.Status, a.Text)
	}
	equal(t, "the next", p.ask("1", "tools/list", ""), `{"jsonrpc":"2.0","id":1,"result":{}}`)
	if sent := strings.Join(s.texts(), ""); strings.Contains(sent, `"initialize"`) {
		t.Errorf("sent %s", sent)
	}
}

// Progress carries the token of the request that waits; the log is what it asked for.
func TestToldOnTheWay(t *testing.T) {
	s := newLegacyServer(t)
	s.script = func(_ *mcp.Outgoing, m *mcp.Message) *mcp.Answer {
		if m.Method == "logging/setLevel" {
			return result(m, "{}")
		}
		return &mcp.Answer{Status: 200, Events: newPipe(
			`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"t","progress":1}}`,
			`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"of another","progress":2}}`,
			`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}`,
			`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":2}}`,
			`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`,
			`{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e"}}`,
			resultText(m.ID.Text(), "{}"))}
	}
	b := bridgeTo(t, s.server, quick, false)
	for meta, want := range map[string]string{
		`,"progressToken":"t"`: `progress":1}`,
		`,"x":1`:               ``,
		`,"io.modelcontextprotocol/logLevel":"warning"`:       `"data":2}`,
		`,"io.modelcontextprotocol/logLevel":"debug"`:         `"data":1}}{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":2}`,
		`,"io.modelcontextprotocol/logLevel":"no such level"`: ``,
	} {
		p := &peer{t: t, b: b, meta: meta}
		a := p.send(p.modern("1", "tools/call", `"name":"t"`))
		told := ""
		for {
			text := next(t, a)
			if strings.Contains(text, `"result"`) {
				break
			}
			told += text
		}
		if !strings.Contains(told, want) || want == "" && told != "" || strings.Count(told, "jsonrpc") != strings.Count(want, "jsonrpc")+min(1, len(want)) {
			t.Errorf("%s: told %s", meta, told)
		}
	}
	levels := 0
	for _, text := range s.texts() {
		levels += strings.Count(text, `"logging/setLevel"`)
	}
	if levels < 1 || levels > 2 { // the order of the table decides
		t.Errorf("the level was set %d times", levels)
	}
}

// A client that leaves cancels its request, at the server's own id of it.
func TestCancelled(t *testing.T) {
	s := newLegacyServer(t)
	open := newPipe()
	s.script = func(*mcp.Outgoing, *mcp.Message) *mcp.Answer { return &mcp.Answer{Status: 200, Events: open} }
	p := &peer{t: t, b: bridgeTo(t, s.server, quick, false)}
	ctx, leave := context.WithCancel(t.Context())
	a, bad := p.b.Send(ctx, p.modern("1", "tools/call", `"name":"t"`))
	if bad != nil {
		t.Fatal(bad)
	}
	call := s.await("tools/call")
	for !strings.Contains(call.Text, `"params":{"name":"t"}`) {
		call = s.await("tools/call")
	}
	leave()
	<-open.closed
	a.Close()
	m, _ := mcp.ParseClient(call.Text)
	s.await(`"notifications/cancelled","params":{"requestId":` + m.ID.Text() + `}`)
}

// A server over a channel is asked for its era before it gets a message that it could carry out.
func TestProbe(t *testing.T) {
	for _, tc := range []struct{ reply, first string }{
		{`{"jsonrpc":"2.0","id":ID,"error":{"code":-32602,"message":"?"}}`, "initialize"},
		{`{"jsonrpc":"2.0","id":ID,"result":{"supportedVersions":["2025-11-25"]}}`, "initialize"},
		{``, "initialize"}, // it says nothing
		{`{"jsonrpc":"2.0","id":ID,"error":{"code":-32022,"message":"?","data":{"supported":["2027-01-01"]}}}`, "tools/call"},
		{`{"jsonrpc":"2.0","id":ID,"result":{"supportedVersions":["2026-07-28"]}}`, "tools/call"},
	} {
		s := newLegacyServer(t)
		serve := s.answer
		s.answer = func(out *mcp.Outgoing, m *mcp.Message) (*mcp.Answer, *mcp.Error) {
			switch {
			case m.Method == "server/discover" && tc.reply == "":
				return &mcp.Answer{Events: newPipe()}, nil
			case m.Method == "server/discover":
				return &mcp.Answer{Events: newPipe(strings.ReplaceAll(tc.reply, "ID", m.ID.Text()))}, nil
			case out.Header.Get(mcp.HeaderVersion) >= mcp.Modern:
				return &mcp.Answer{Events: newPipe(resultText(m.ID.Text(), "{}"))}, nil
			}
			return serve(out, m)
		}
		l := quick
		if tc.reply == "" {
			l.probe = time.Millisecond
		}
		p := &peer{t: t, b: bridgeTo(t, s.server, l, true)}
		for range 2 {
			p.ask("1", "tools/call", `"name":"t"`)
		}
		texts := s.texts()
		if !strings.Contains(texts[0], "server/discover") || !strings.Contains(texts[1], tc.first) || strings.Contains(strings.Join(texts[1:], ""), "server/discover") {
			t.Errorf("%q: sent %q", tc.reply, texts)
		}
	}
}
