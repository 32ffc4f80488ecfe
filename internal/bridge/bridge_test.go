package bridge

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const within = 10 * time.Second

// take waits for what must come.
func take[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(within):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// A server answers as its script has it, and remembers what it was sent.
type server struct {
	t      *testing.T
	answer func(out *mcp.Outgoing, m *mcp.Message) (*mcp.Answer, *mcp.Error)
	sent   chan *mcp.Outgoing

	mu  sync.Mutex
	all []*mcp.Outgoing
}

func newServer(t *testing.T) *server { return &server{t: t, sent: make(chan *mcp.Outgoing, 256)} }

func (s *server) Send(ctx context.Context, out *mcp.Outgoing) (*mcp.Answer, *mcp.Error) {
	m := &mcp.Message{}
	if out.Verb == http.MethodPost {
		var bad *mcp.Error
		if m, bad = mcp.ParseClient(out.Text); bad != nil {
			s.t.Errorf("sent %s: %v", out.Text, bad)
			return nil, bad
		}
		if out.Header.Get(mcp.HeaderVersion) >= mcp.Modern {
			if bad := mcp.CheckHeaders(out.Header, m); bad != nil {
				s.t.Errorf("sent %s with %v: %v", out.Text, out.Header, bad)
			}
		}
	}
	s.mu.Lock()
	s.all = append(s.all, out)
	s.mu.Unlock()
	a, bad := s.answer(out, m)
	s.sent <- out
	if a != nil {
		if p, ok := a.Events.(*pipe); ok {
			context.AfterFunc(ctx, func() { _ = p.Close() })
		}
	}
	return a, bad
}

// texts are what the server was sent so far, without that of a verb for what has no text.
func (s *server) texts() (texts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, out := range s.all {
		if out.Text == "" {
			texts = append(texts, out.Verb)
		} else {
			texts = append(texts, out.Text)
		}
	}
	return texts
}

// await waits until something with that part is sent.
func (s *server) await(part string) *mcp.Outgoing {
	s.t.Helper()
	for {
		if out := take(s.t, s.sent); strings.Contains(out.Verb+" "+out.Text, part) {
			return out
		}
	}
}

// A pipe is a stream that a test writes.
type pipe struct {
	events chan mcp.Event
	closed chan struct{}
	once   sync.Once
}

func newPipe(texts ...string) *pipe {
	p := &pipe{events: make(chan mcp.Event, 256), closed: make(chan struct{})}
	p.say(texts...)
	return p
}

func (p *pipe) say(texts ...string) {
	for _, text := range texts {
		p.events <- mcp.Event{Data: text}
	}
}

func (p *pipe) Next() (mcp.Event, error) {
	select {
	case ev := <-p.events:
		return ev, nil
	default:
	}
	select {
	case ev := <-p.events:
		return ev, nil
	case <-p.closed:
		return mcp.Event{}, io.EOF
	}
}

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func result(m *mcp.Message, text string) *mcp.Answer {
	return answered(resultText(m.ID.Text(), text))
}

// quick are limits for tests that do not wait for them.
var quick = limits{
	sessions: 4, sessionsEach: 2, idle: time.Hour, held: 3, heldEach: 2, patience: time.Hour,
	probe: within, open: within, control: within, again: time.Millisecond, settle: within,
}

func bridgeTo(t *testing.T, s *server, l limits, channel bool) *Bridge {
	b := newBridge(s, channel, l)
	t.Cleanup(b.Close)
	return b
}

// A peer is a client with a bridge in front of it.
type peer struct {
	t         *testing.T
	b         *Bridge
	principal string
	features  string // the modern client's capabilities
	meta      string // more of _meta
	session   string // the legacy client's
}

// modern is the message of a modern client.
func (p *peer) modern(id, method, params string) *mcp.Outgoing {
	features := p.features
	if features == "" {
		features = "{}"
	}
	meta := fmt.Sprintf(`"_meta":{"%s":"%s","%s":%s%s}`, metaVersion, mcp.Modern, metaCapabilities, features, p.meta)
	if params != "" {
		meta += "," + params
	}
	out := &mcp.Outgoing{Verb: http.MethodPost, Header: http.Header{}, Principal: p.principal, Text: requestText(id, method, "{"+meta+"}")}
	m, bad := mcp.ParseClient(out.Text)
	if bad != nil {
		p.t.Fatal(bad)
	}
	out.Header.Set(mcp.HeaderVersion, mcp.Modern)
	out.Header.Set(mcp.HeaderMethod, method)
	if target := m.Target(); target != "" {
		out.Header.Set(mcp.HeaderName, target)
	}
	return out
}

// legacy is the message of a client of an older revision.
func (p *peer) legacy(text string) *mcp.Outgoing {
	out := &mcp.Outgoing{Verb: http.MethodPost, Header: http.Header{}, Principal: p.principal, Text: text}
	if p.session != "" {
		out.Header.Set(mcp.HeaderSession, p.session)
		out.Header.Set(mcp.HeaderVersion, newestLegacy)
	}
	return out
}

func (p *peer) send(out *mcp.Outgoing) *mcp.Answer {
	p.t.Helper()
	a, bad := p.b.Send(p.t.Context(), out)
	if bad != nil {
		p.t.Fatal(bad)
	}
	p.t.Cleanup(a.Close)
	return a
}

// ask sends a modern request and returns the response.
func (p *peer) ask(id, method, params string) string {
	p.t.Helper()
	return last(p.t, p.send(p.modern(id, method, params)))
}

// next is the next message of an answer.
func next(t *testing.T, a *mcp.Answer) string {
	t.Helper()
	if a.Events == nil {
		return a.Text
	}
	type event struct {
		ev  mcp.Event
		err error
	}
	for {
		c := make(chan event, 1)
		go func() {
			ev, err := a.Events.Next()
			c <- event{ev, err}
		}()
		e := take(t, c)
		if e.err != nil {
			return e.err.Error()
		}
		if e.ev.Data != "" {
			return e.ev.Data
		}
	}
}

// last is the response that an answer gives in the end.
func last(t *testing.T, a *mcp.Answer) string {
	t.Helper()
	for {
		text := next(t, a)
		if m, bad := mcp.ParseServer(text); a.Events == nil || bad != nil || m.IsResponse() {
			return text
		}
	}
}

func equal(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

// What both ends speak passes as it is, and nothing else is sent for it.
func TestNative(t *testing.T) {
	s := newServer(t)
	want := &mcp.Answer{Status: http.StatusOK, Text: `{"jsonrpc":"2.0","id":1,"result":{}}`}
	s.answer = func(*mcp.Outgoing, *mcp.Message) (*mcp.Answer, *mcp.Error) { return want, nil }
	p := &peer{t: t, b: bridgeTo(t, s, quick, false)}
	get := p.legacy("")
	get.Verb = http.MethodGet
	p.session = "theirs"
	for i, out := range []*mcp.Outgoing{
		p.modern("1", "tools/list", ""), p.modern("1", "server/discover", ""), p.legacy(`{"jsonrpc":"2.0","id":1,"method":"ping"}`), get,
		(&peer{t: t}).legacy(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`),
	} {
		if a := p.send(out); a != want || s.all[i] != out || len(s.all) != i+1 {
			t.Errorf("%s: answered %v, sent %d", out.Text, a, len(s.all))
		}
	}
}

// Only an answer of the other era makes the bridge look for it; what may have been carried out is never sent
// again.
func TestRefusals(t *testing.T) {
	failure := func(code int, more string) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"error":{"code":%d,"message":"no"%s}}`, code, more)
	}
	for name, tc := range map[string]struct {
		method string
		answer mcp.Answer
		legacy bool
	}{
		"empty 400":                    {"tools/list", mcp.Answer{Status: 400}, true},
		"empty 404":                    {"tools/list", mcp.Answer{Status: 404}, true},
		"405":                          {"tools/list", mcp.Answer{Status: 405}, true},
		"400 of no session":            {"tools/list", mcp.Answer{Status: 400, Text: `{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"no session"}}`}, true},
		"version":                      {"tools/list", mcp.Answer{Status: 400, Text: failure(-32022, `,"data":{"supported":["2025-11-25"],"requested":"2026-07-28"}`)}, true},
		"newer version":                {"tools/list", mcp.Answer{Status: 400, Text: failure(-32022, `,"data":{"supported":["2027-01-01"]}`)}, false},
		"header mismatch":              {"tools/list", mcp.Answer{Status: 400, Text: failure(-32020, "")}, false},
		"missing capability":           {"tools/list", mcp.Answer{Status: 400, Text: failure(-32021, "")}, false},
		"unknown tool":                 {"tools/list", mcp.Answer{Status: 400, Text: failure(-32602, "")}, false},
		"unknown method":               {"tools/list", mcp.Answer{Status: 404, Text: failure(-32601, "")}, false},
		"unknown method in 200":        {"tools/list", mcp.Answer{Status: 200, Text: failure(-32601, "")}, false},
		"no server/discover":           {"server/discover", mcp.Answer{Status: 200, Text: failure(-32601, "")}, true},
		"no server/discover, streamed": {"server/discover", mcp.Answer{Status: 200, Events: newPipe(failure(-32601, ""))}, true},
		"no server/discover, 404":      {"server/discover", mcp.Answer{Status: 404, Text: failure(-32601, "")}, true},
		"discovered, older only":       {"server/discover", mcp.Answer{Status: 200, Text: `{"jsonrpc":"2.0","id":1,"result":{"supportedVersions":["2025-11-25"]}}`}, true},
		"401":                          {"server/discover", mcp.Answer{Status: 401}, false},
		"403":                          {"server/discover", mcp.Answer{Status: 403, Text: failure(403, "")}, false},
		"503":                          {"tools/list", mcp.Answer{Status: 503}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.answer = func(_ *mcp.Outgoing, m *mcp.Message) (*mcp.Answer, *mcp.Error) {
				if m.Method == "initialize" {
					return &mcp.Answer{Status: 503}, nil
				}
				a := tc.answer
				return &a, nil
			}
			p := &peer{t: t, b: bridgeTo(t, s, quick, false)}
			a := p.send(p.modern("1", tc.method, ""))
			if a.Status != tc.answer.Status || a.Text != tc.answer.Text {
				t.Errorf("answered %d %s", a.Status, a.Text)
			}
			if tc.answer.Events != nil && !strings.Contains(next(t, a), "-32601") {
				t.Error("the stream lost its event")
			}
			if sent := s.texts(); strings.Contains(strings.Join(sent, ""), `"initialize"`) != tc.legacy || !tc.legacy && len(sent) != 1 {
				t.Errorf("sent %q", sent)
			}
		})
	}
}

func TestWith(t *testing.T) {
	for _, tc := range []struct {
		object  string
		members []string
		want    string
	}{
		{`{}`, nil, `{}`},
		{`{}`, []string{"a", "1"}, `{"a":1}`},
		{` { "a" : 1.0 , "\u0062":[ 2 ] } `, []string{"c", "3"}, `{"a":1.0,"\u0062":[ 2 ],"c":3}`},
		{`{"a":1,"b":2,"c":3}`, []string{"b", "", "c", "{}", "d", ""}, `{"a":1,"c":{}}`},
		{`{"\u0061":1}`, []string{"a", "2"}, `{"\u0061":2}`},
		{`{"a":1}`, []string{"a", ""}, `{}`},
	} {
		v, err := mcp.ParseValue(tc.object)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, tc.object, with(v, tc.members...), tc.want)
	}
	equal(t, "absent", with(mcp.Value{}, "a", `"b"`), `{"a":"b"}`)
}

// A digest does not change with the order of members or what a retry may change, and with all else.
func TestDigest(t *testing.T) {
	of := func(text string) digest {
		m, bad := mcp.ParseClient(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":` + text + `}`)
		if bad != nil {
			t.Fatal(bad)
		}
		return digestOf(m)
	}
	base := of(`{"name":"t","arguments":{"a":[1,{"x":null}],"b":"é"}}`)
	for text, same := range map[string]bool{
		`{"arguments":{"b":"\u00e9","a":[1,{"x":null}]},"name":"t","_meta":{},"requestState":"s","inputResponses":{}}`: true,
		`{"name":"u","arguments":{"a":[1,{"x":null}],"b":"é"}}`:                                                        false,
		`{"name":"t","arguments":{"a":[{"x":null},1],"b":"é"}}`:                                                        false,
		`{"name":"t","arguments":{"a":[1,{"x":null}],"b":"é","c":1}}`:                                                  false,
		`{"name":"t","arguments":{"a":["1",{"x":null}],"b":"é"}}`:                                                      false,
		`{"name":"t","arguments":{"a":[1,{"x":null}],"b":"é","_meta":{}}}`:                                             false,
		`{"name":"t","arguments":{"a":[1,{"x":{}}],"b":"é"}}`:                                                          false,
	} {
		if (of(text) == base) != same {
			t.Error(text)
		}
	}
	if of(`{"name":"t","arguments":{"a":[1,23]}}`) == of(`{"name":"t","arguments":{"a":[12,3]}}`) {
		t.Error("two lists of numbers are one")
	}
}
