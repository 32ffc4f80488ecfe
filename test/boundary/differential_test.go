package boundary

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// A message is one of the corpus.
type message struct {
	name string
	text string
}

// corpus is every hostile message that the parser's own tests have, and those of this folder: near misses,
// which begin with "pass-" and have to get through, and more that must not, which begin with "stop-".
func corpus(t testing.TB) []message {
	t.Helper()
	var all []message
	for _, pattern := range []string{"../../internal/mcp/testdata/hostile/*.json", "testdata/messages/*.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, message{strings.TrimSuffix(filepath.Base(file), ".json"), string(text)})
		}
	}
	if len(all) < 150 {
		t.Fatalf("only %d messages", len(all))
	}
	return all
}

// A posting is a message with headers.
type posting struct {
	name    string
	text    string
	headers map[string]string
}

// postings are the ways in which a message is sent: without the headers of the protocol, with those of an
// older revision, and as the newest revision wants it, as far as somebody lenient could tell.
func (m message) postings() []posting {
	all := []posting{
		{m.name + " (bare)", m.text, nil},
		{m.name + " (" + legacy + ")", m.text, map[string]string{"Mcp-Protocol-Version": legacy}},
		{m.name + " (" + modern + ")", m.text, modernHeaders(m.text)},
	}
	const begin = `"params":{`
	if i := strings.Index(m.text, begin); i >= 0 && !strings.Contains(m.text, `"_meta"`) {
		text := m.text[:i] + begin + metaMember
		if rest := m.text[i+len(begin):]; strings.HasPrefix(rest, "}") {
			text += rest
		} else {
			text += "," + rest
		}
		all = append(all, posting{m.name + " (modern)", text, modernHeaders(text)})
	}
	return all
}

const metaMember = `"_meta":{"io.modelcontextprotocol/protocolVersion":"` + modern + `","io.modelcontextprotocol/clientCapabilities":{}}`

// modernHeaders are those that a lenient reader finds to agree with the body.
func modernHeaders(text string) map[string]string {
	h := map[string]string{"Mcp-Protocol-Version": modern}
	var m struct {
		Method string
		Params struct{ Name, URI, TaskID string }
	}
	_ = json.Unmarshal([]byte(text), &m) // what can be read of it
	h["Mcp-Method"] = m.Method
	switch {
	case strings.HasPrefix(m.Method, "tasks/"):
		h["Mcp-Name"] = m.Params.TaskID
	case m.Params.Name != "":
		h["Mcp-Name"] = m.Params.Name
	case m.Params.URI != "" && m.Method == "resources/read":
		h["Mcp-Name"] = m.Params.URI
	}
	for name, value := range h {
		if value == "" || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			delete(h, name)
		}
	}
	return h
}

// post sends a message and returns the status and the whole answer.
func post(t testing.TB, url string, p posting) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(p.text))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for name, value := range p.headers {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
	return resp.StatusCode, answer
}

// A probe sends messages to a gateway with a tapped server behind it.
type probe struct {
	server   *server
	gateway  *harness.Gateway
	journal  *journal
	passages []passage
	stopped  int
	// legacy says that the server knows older revisions only: it gets what is of the newest in their form.
	legacy bool
}

func newProbe(t testing.TB, s *server) *probe {
	t.Helper()
	gw := harness.StartGateway(t, harness.Options{Upstream: s.url, Policy: "testdata/allow"})
	s.take() // what the harness sent to see whether the server is there
	s.seen(t)
	return &probe{server: s, gateway: gw, journal: openJournal(t, gw)}
}

// send sends a message. Either the server gets nothing, and there is the record of a refusal, or it gets
// one message, and there is the record of one decision that allowed it. It returns whether it got through.
func (p *probe) send(t *testing.T, m posting) bool {
	t.Helper()
	status, answer := post(t, p.gateway.URL, m)
	bodies, records := p.server.take(), ofRequests(p.journal.next(t))
	bodies = slices.DeleteFunc(bodies, func(b []byte) bool { // by which the gateway asks for the server's era
		return bytes.Contains(b, []byte(`"id":"gatehouse-discover","method":"server/discover"`))
	})
	if len(records) != 1 {
		t.Errorf("%s: %d records", m.name, len(records))
		return false
	}
	r := records[0]
	translated := p.legacy && m.headers["Mcp-Protocol-Version"] == modern && r.Outcome == "allow"
	if translated && len(bodies) == 0 { // the gateway answers what older servers do not have
		return false
	}
	if len(bodies) == 0 {
		p.stopped++
		if r.Outcome != "reject" || !json.Valid(answer) || !bytes.Contains(answer, []byte(`"error":{`)) {
			t.Errorf("%s: the server got nothing, recorded %s, HTTP %d, %.200s", m.name, r.Outcome, status, answer)
		}
		if seen := p.server.seen(t); len(seen) > 0 {
			t.Errorf("%s: the server got nothing and saw %v", m.name, seen)
		}
		return false
	}
	if translated {
		body := bodies[len(bodies)-1] // the first time the server refuses the message, and is connected to
		older(r.Input.Params)
		p.passages = append(p.passages, passage{m.name, body, r, p.server.seen(t)})
		return true
	}
	if len(bodies) != 1 || r.Outcome != "allow" {
		t.Errorf("%s: the server got %d messages, recorded %s: %.300q", m.name, len(bodies), r.Outcome, bodies)
	}
	if !bytes.Equal(bodies[0], []byte(m.text)) {
		t.Errorf("%s: the server got other bytes: %.300q", m.name, bodies[0])
	}
	p.passages = append(p.passages, passage{m.name, bodies[0], r, p.server.seen(t)})
	return true
}

// older takes from params what the older revisions do not have.
func older(params any) {
	p, _ := params.(map[string]any)
	for _, name := range []string{"inputResponses", "requestState", "task"} {
		delete(p, name)
	}
	meta, _ := p["_meta"].(map[string]any)
	for name := range meta {
		if strings.HasPrefix(name, "io.modelcontextprotocol/") {
			delete(meta, name)
		}
	}
	if len(meta) == 0 {
		delete(p, "_meta")
	}
}

// TestDifferential sends the corpus to real servers. What reaches one means to every decoder, and to the
// server's own code, what was judged and recorded.
func TestDifferential(t *testing.T) {
	t.Parallel()
	all := corpus(t)
	for name, start := range map[string]func(testing.TB) *server{
		"go":  goServer,
		"ts1": func(t testing.TB) *server { return nodeServer(t, "ts1-server.mjs") },
		"ts2": func(t testing.TB) *server { return nodeServer(t, "ts2-server.mjs") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProbe(t, start(t))
			p.legacy = name == "ts1"
			executed := 0
			for _, m := range all {
				passed := false
				for _, posting := range m.postings() {
					passed = p.send(t, posting) || passed
				}
				if strings.HasPrefix(m.name, "pass-") != passed {
					t.Errorf("%s: reached the server: %v", m.name, passed)
				}
			}
			check(t, p.passages)
			for _, passed := range p.passages {
				executed += min(1, len(passed.seen))
			}
			t.Logf("%d messages: %d postings stopped, %d passed, %d executed", len(all), p.stopped, len(p.passages), executed)
			if executed == 0 {
				t.Error("nothing was executed, so nothing was compared")
			}
		})
	}
}
