package boundary

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// An echoing server tells each caller what it was asked: the text "of" of the arguments comes back in the result,
// in a notification, and in requests to the client whose ids are the same for all. It gives all callers the same
// session id. It keeps what clients answer.
type echoing struct {
	url     string
	mu      sync.Mutex
	answers []string
	asks    bool // in the stream of each call
	hold    chan struct{}
}

func newEchoing(t *testing.T) *echoing {
	e := &echoing{hold: make(chan struct{})}
	l := httptest.NewServer(http.HandlerFunc(e.serve))
	t.Cleanup(func() {
		l.CloseClientConnections()
		l.Close()
	})
	e.url = l.URL + "/mcp"
	return e
}

func (e *echoing) serve(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	var m struct {
		ID     json.RawMessage
		Method string
		Params struct{ Arguments struct{ Of string } }
	}
	if err != nil || r.Method == http.MethodPost && json.Unmarshal(text, &m) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	switch {
	case m.Method == "initialize":
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Mcp-Session-Id", "the-one-session")
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"%s","capabilities":{},"serverInfo":{"name":"e","version":"1"}}}`, m.ID, legacy) // for a client
	case m.Method == "tools/call":
		e.call(w, r, string(m.ID), m.Params.Arguments.Of)
	case m.Method == "" && len(text) > 0:
		e.mu.Lock()
		defer e.mu.Unlock()
		e.answers = append(e.answers, string(text))
		w.WriteHeader(http.StatusAccepted)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

func (e *echoing) call(w http.ResponseWriter, r *http.Request, id, of string) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":1,\"progress\":1,\"message\":%q}}\n\n", of) // for a client
	if e.asks {
		for _, method := range []string{"elicitation/create", "sampling/createMessage"} {
			_, _ = fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"id\":%q,\"method\":%q,\"params\":{\"message\":%q}}\n\n", method, method, of) // for a client
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-e.hold:
		case <-r.Context().Done():
		}
	}
	_, _ = fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"content\":[{\"type\":\"text\",\"text\":%q}]}}\n\n", id, of) // for a client
}

// A principal is one with a key.
type principal struct{ name, session string }

func (p *principal) headers() map[string]string {
	h := map[string]string{"Authorization": "Bearer key-of-" + p.name, "Mcp-Protocol-Version": legacy}
	if p.session != "" {
		h["Mcp-Session-Id"] = p.session
	}
	return h
}

// startWithKeys starts a gateway for those who have a key.
func startWithKeys(t *testing.T, server, policy string, names ...string) *harness.Gateway {
	t.Helper()
	var keys []map[string]any
	for _, name := range names {
		sum := sha256.Sum256([]byte("key-of-" + name))
		keys = append(keys, map[string]any{"id": name, "roles": []string{}, "sha256": hex.EncodeToString(sum[:])})
	}
	return harness.StartGateway(t, harness.Options{Upstream: server, Policy: policy, Change: func(config map[string]any) {
		config["identity"] = map[string]any{"apiKeys": keys}
	}})
}

func startForPrincipals(t *testing.T, e *echoing, names ...string) (*harness.Gateway, []*principal) {
	t.Helper()
	gw := startWithKeys(t, e.url, "testdata/allow", names...)
	var all []*principal
	for _, name := range names {
		p := &principal{name: name}
		if p.open(t, gw.URL); p.session == "the-one-session" {
			t.Fatalf("%s: session %q", name, p.session)
		}
		all = append(all, p)
	}
	return gw, all
}

// open sends a message and returns the answer with its body still to be read.
func open(t *testing.T, verb, url string, p posting) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, verb, url, strings.NewReader(p.text))
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
	return resp
}

func callOf(name string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"of":"` + name + `"},"_meta":{"progressToken":1}}}`
}

// TestPrincipalsAtOnce has several principals call with the same ids and progress tokens, all at once. Each is given
// its own answers and nobody else's.
func TestPrincipalsAtOnce(t *testing.T) {
	t.Parallel()
	gw, all := startForPrincipals(t, newEchoing(t), "alice", "bob", "carol", "dave")
	var group sync.WaitGroup
	for _, p := range all {
		for worker := range 4 {
			group.Go(func() {
				for turn := range 20 {
					of := fmt.Sprintf("%s-%d-%d-", p.name, worker, turn)
					status, answer := post(t, gw.URL, posting{of, callOf(of), p.headers()})
					if status != http.StatusOK || strings.Count(string(answer), of) != 2 || strings.Count(string(answer), "data:") != 2 {
						t.Errorf("%s: HTTP %d %s", of, status, answer)
					}
				}
			})
		}
	}
	group.Wait()
}

// TestForeignSessions has each principal come with the session of another, which is none to it.
func TestForeignSessions(t *testing.T) {
	t.Parallel()
	e := newEchoing(t)
	gw, all := startForPrincipals(t, e, "alice", "bob")
	for i, p := range all {
		thief := *p
		thief.session = all[1-i].session
		for _, session := range []string{thief.session, "the-one-session", thief.session + "A", thief.session[:len(thief.session)-2], ""} {
			thief.session = session
			h := thief.headers()
			want := http.StatusNotFound
			if session == "" {
				want = http.StatusOK
			}
			if status, answer := post(t, gw.URL, posting{p.name, callOf("x"), h}); status != want {
				t.Errorf("%s with session %q: HTTP %d %s", p.name, session, status, answer)
			}
			if session == "" {
				continue
			}
			for _, verb := range []string{http.MethodGet, http.MethodDelete} {
				resp := open(t, verb, gw.URL, posting{name: p.name, headers: h})
				_ = resp.Body.Close()
				if verb == http.MethodDelete && resp.StatusCode != http.StatusNotFound || resp.StatusCode < 400 {
					t.Errorf("%s %s with session %q: HTTP %d", verb, p.name, session, resp.StatusCode)
				}
			}
		}
		if status, answer := post(t, gw.URL, posting{p.name, callOf("x"), p.headers()}); status != http.StatusOK {
			t.Errorf("%s with its own session: HTTP %d %s", p.name, status, answer)
		}
	}
}

// TestForeignAnswers has a server ask alice, and bob answer. That is refused, as is an answer to what was never asked,
// or one of alice's in another session. A second one of hers is the server's to drop.
func TestForeignAnswers(t *testing.T) {
	t.Parallel()
	e := newEchoing(t)
	e.asks = true
	gw, all := startForPrincipals(t, e, "alice", "bob")
	alice, bob := all[0], all[1]
	resp := open(t, http.MethodPost, gw.URL, posting{"alice", callOf("alice"), alice.headers()})
	defer func() { _ = resp.Body.Close() }()
	lines, ids := bufio.NewScanner(resp.Body), map[string]string{}
	for len(ids) < 2 && lines.Scan() {
		var m struct{ ID, Method string }
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && json.Unmarshal([]byte(data), &m) == nil && m.ID != "" {
			ids[m.Method] = m.ID
		}
	}
	thief := *bob
	thief.session = alice.session
	loose := *alice
	loose.session = ""
	for _, method := range []string{"elicitation/create", "sampling/createMessage"} {
		answer := func(by *principal, id string) int {
			text := `{"jsonrpc":"2.0","id":"` + id + `","result":{"action":"accept","by":"` + by.name + `"}}`
			status, _ := post(t, gw.URL, posting{by.name, text, by.headers()})
			return status
		}
		for _, try := range []struct {
			what   string
			status int
			want   int
		}{
			{"another principal", answer(bob, ids[method]), 400},
			{"another principal with the session", answer(&thief, ids[method]), 404},
			{"without the session", answer(&loose, ids[method]), 400},
			{"another id", answer(alice, ids[method]+"x"), 400},
			{"the server's own id", answer(alice, method), 400},
			{"the one who was asked", answer(alice, ids[method]), 202},
			{"the same once more", answer(alice, ids[method]), 202},
		} {
			if try.status != try.want {
				t.Errorf("%s: %s: HTTP %d, want %d", method, try.what, try.status, try.want)
			}
		}
	}
	close(e.hold)
	rest, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if got := strings.Join(e.answers, "\n"); len(e.answers) != 4 || strings.Contains(got, "bob") ||
		strings.Count(got, `"id":"elicitation/create","result":{"action":"accept","by":"alice"}`) != 2 {
		t.Errorf("the server got the answers %s", got)
	}
	if !strings.Contains(string(rest)+lines.Text(), "alice") {
		t.Errorf("alice was not given her result: %s", rest)
	}
}
