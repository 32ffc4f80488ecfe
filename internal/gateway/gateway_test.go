package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A bench is a gateway with a scripted server behind it.
type bench struct {
	*Gateway
	t      *testing.T
	server *scripted
	audit  *lockedBuffer
	log    *lockedBuffer
}

// secrets is the data of each policy.
const secrets = `{"secrets": {"AKIA": "AKIA[0-9A-Z]{4,}"}}`

// newBench returns an enforcing gateway with the policy, or with none at all.
func newBench(t *testing.T, rego string) *bench {
	t.Helper()
	b := &bench{t: t, server: &scripted{}, audit: &lockedBuffer{}, log: &lockedBuffer{}}
	log := slog.New(slog.NewJSONHandler(b.log, nil))
	dir := t.TempDir()
	engine := policy.New(policy.Config{Bundle: dir, Decision: "mcp/decision", Timeout: 10 * time.Second, Log: log})
	t.Cleanup(engine.Close)
	if rego != "" {
		if err := os.WriteFile(filepath.Join(dir, "policy.rego"), []byte("package mcp\n\n"+rego), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "data.json"), []byte(secrets), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := engine.Reload(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	b.Gateway = &Gateway{
		Upstreams: map[string]Upstream{"s": b.server}, Policy: engine, Configured: true, Mode: Enforce,
		Style: StyleAuto, ShowReason: true, Audit: audit.NewLog(b.audit, true), Log: log,
		Metrics: NewMetrics(prometheus.NewRegistry()), Handles: NewHandles(),
	}
	return b
}

var alice = &identity.Caller{ID: "alice", Roles: []string{"dev"}, Auth: "api_key"}

// post sends a message as alice, with a modern client's headers.
func (b *bench) post(text string) *client {
	h := http.Header{}
	m, _ := mcp.ParseClient(text)
	if v := m.Version(); v != "" {
		h.Set(mcp.HeaderVersion, v)
		h.Set(mcp.HeaderMethod, m.Method)
		if target := m.Target(); target != "" {
			h.Set(mcp.HeaderName, target)
		}
	}
	return b.serve(&Exchange{Caller: alice, Verb: http.MethodPost, Header: h, Text: text})
}

// legacy sends a message as a client of 2025-11-25, in a session unless it is empty.
func (b *bench) legacy(caller *identity.Caller, session, text string) *client {
	h := http.Header{}
	h.Set(mcp.HeaderVersion, "2025-11-25")
	if session != "" {
		h.Set(mcp.HeaderSession, session)
	}
	return b.serve(&Exchange{Caller: caller, Verb: http.MethodPost, Header: h, Text: text})
}

func (b *bench) serve(x *Exchange) *client {
	x.Server, x.Transport, x.RequestIP = "s", "http", "192.0.2.1"
	c := &client{}
	b.Serve(context.Background(), x, c)
	return c
}

// records are the decision records so far.
func (b *bench) records() []map[string]any {
	b.t.Helper()
	var all []map[string]any
	for line := range strings.Lines(b.audit.String()) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			b.t.Fatalf("record %q: %v", line, err)
		}
		all = append(all, r)
	}
	return all
}

// last is the newest record.
func (b *bench) last() map[string]any {
	b.t.Helper()
	all := b.records()
	if len(all) == 0 {
		b.t.Fatal("no record")
	}
	return all[len(all)-1]
}

// A scripted server remembers what it was sent and answers as it is told.
type scripted struct {
	mu     sync.Mutex
	sent   []*mcp.Outgoing
	answer func(*mcp.Outgoing) *mcp.Answer // nil: an empty result
	bad    *mcp.Error
}

func (s *scripted) Send(_ context.Context, out *mcp.Outgoing) (*mcp.Answer, *mcp.Error) {
	s.mu.Lock()
	s.sent = append(s.sent, out)
	s.mu.Unlock()
	switch {
	case s.bad != nil:
		return nil, s.bad
	case s.answer != nil:
		return s.answer(out), nil
	}
	return result(out, `{}`), nil
}

// result is a JSON answer with a result to what was sent.
func result(out *mcp.Outgoing, text string) *mcp.Answer {
	m, _ := mcp.ParseClient(out.Text)
	if !m.IsRequest() {
		return &mcp.Answer{Status: http.StatusAccepted}
	}
	return &mcp.Answer{Status: http.StatusOK, Text: `{"jsonrpc":"2.0","id":` + m.ID.Text() + `,"result":` + text + `}`}
}

// stream is an SSE answer.
func stream(events ...mcp.Event) *mcp.Answer {
	return &mcp.Answer{Status: http.StatusOK, Events: &script{events: events}}
}

type script struct{ events []mcp.Event }

func (s *script) Next() (mcp.Event, error) {
	if len(s.events) == 0 {
		return mcp.Event{}, io.EOF
	}
	ev := s.events[0]
	s.events = s.events[1:]
	return ev, nil
}

func (s *script) Close() error { return nil }

// A client is what a client got.
type client struct {
	status  int
	session string
	text    string
	events  []string
	alive   int
	leaves  bool // after the first event
}

func (c *client) Answer(a *mcp.Answer) error {
	c.status, c.session, c.text = a.Status, a.Session, a.Text
	return nil
}

func (c *client) Event(a *mcp.Answer, ev mcp.Event) error {
	c.status, c.session = http.StatusOK, a.Session
	if ev.Data == "" {
		c.alive++
	} else {
		c.events = append(c.events, ev.Data)
	}
	if c.leaves && len(c.events)+c.alive > 1 {
		return errors.New("broken pipe")
	}
	return nil
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
	// fail makes each write fail
	fail bool
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail {
		return 0, errors.New("no space left on device")
	}
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`

// toolCall is a modern call of a tool.
func toolCall(name, args string) string {
	return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"` + name + `","arguments":` + args + `,` + meta + `}}`
}

const allowAll = `decision := {"allow": true}`
