package interop

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// TestReplicas has clients in front of two gateways that share a key and nothing else. Each request goes to
// the other one than the last, and what a client answers to a server never to the one that asked.
func TestReplicas(t *testing.T) {
	for _, c := range []struct {
		client client
		server func(*testing.T) string
		story  []step
	}{
		{legacyClients[0], func(t *testing.T) string { return newServer(t, legacy) }, story(legacy)},
		{legacyClients[1], func(t *testing.T) string { return newServer(t, legacy) }, story(legacy)},
		{legacyClients[2], referenceServer, referenceStory(legacy)},
		{autoClients[0], func(t *testing.T) string { return newServer(t, modern) }, story(modern)},
		{autoClients[1], func(t *testing.T) string { return newServer(t, modern) }, story(modern)},
	} {
		t.Run(c.client.name, func(t *testing.T) {
			t.Parallel()
			r := startReplicas(t, c.server(t))
			seen := c.client.play(t, r.url, c.story)
			for i, s := range c.story {
				if err := s.want.check(seen[i]); err != nil {
					t.Errorf("%s %s: %v", s.Do, s.Name, err)
				}
			}
			if asked, answered := r.check(t, 0); asked == 0 || answered != asked && c.story[0].want.text == legacy {
				t.Errorf("%d questions, %d answers elsewhere", asked, answered)
			}
		})
	}
}

// TestTaskOnReplicas has a task begun, followed and asked for its result wherever the requests go.
func TestTaskOnReplicas(t *testing.T) {
	t.Parallel()
	r := startReplicas(t, referenceServer(t))
	var seen struct{ ID, Text, Error string }
	node(t, &seen, nil, "tasks.mjs", r.url)
	if seen.Error != "" || !strings.Contains(seen.Text, "**Clarification**: technical") {
		t.Errorf("result %q, error %q", seen.Text, seen.Error)
	}
	if asked, answered := r.check(t, 1); asked != 1 || answered != 1 { // the script asks about a task of nobody's
		t.Errorf("%d questions, %d answers elsewhere", asked, answered)
	}
}

// Replicas are two gateways behind one address.
type replicas struct {
	url      string
	gateways [2]*harness.Gateway

	mu     sync.Mutex
	next   int
	asking int // the one that carries the last call
}

func startReplicas(t *testing.T, upstream string) *replicas {
	t.Helper()
	key := filepath.Join(t.TempDir(), "handles.key")
	writeKeys(t, key, newKey(t))
	r := &replicas{}
	for i := range r.gateways {
		r.gateways[i] = startWithKeys(t, upstream, key)
	}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	r.url = s.URL + "/mcp"
	return r
}

func startWithKeys(t *testing.T, upstream, key string) *harness.Gateway {
	t.Helper()
	return harness.StartGateway(t, harness.Options{Upstream: upstream, Policy: "testdata/policy", Change: func(config map[string]any) {
		config["handles"] = map[string]any{"keyFile": key}
	}})
}

func newKey(t *testing.T) string {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return base64.StdEncoding.EncodeToString(key)
}

func writeKeys(t *testing.T, path string, keys ...string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(keys, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// pick is the gateway for a message.
func (r *replicas) pick(message []byte) *harness.Gateway {
	var m struct{ Method string }
	_ = json.Unmarshal(message, &m) // an empty one is no answer
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(message) > 0 && m.Method == "" {
		return r.gateways[1-r.asking]
	}
	r.next = 1 - r.next
	if m.Method == "tools/call" || m.Method == "tasks/result" {
		r.asking = r.next
	}
	return r.gateways[r.next]
}

// ServeHTTP passes one request on, and its answer back as it comes.
func (r *replicas) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	message, err := io.ReadAll(in.Body)
	if err != nil {
		return
	}
	out, err := http.NewRequestWithContext(in.Context(), in.Method, r.pick(message).URL, bytes.NewReader(message))
	if err != nil {
		panic(err)
	}
	out.Header = in.Header.Clone()
	resp, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	c := http.NewResponseController(w)
	for chunk := make([]byte, 4096); err == nil; {
		var n int
		_ = c.Flush()
		n, err = resp.Body.Read(chunk)
		_, _ = w.Write(chunk[:n])
	}
}

// check makes sure that both were of use, and that no more handles were unknown to them than so many. It
// returns how many questions of the server's they carried, and how many answers that came as messages of
// their own.
func (r *replicas) check(t *testing.T, unknown int) (asked, answered int) {
	t.Helper()
	for i, gw := range r.gateways {
		text, err := os.ReadFile(gw.Audit)
		if err != nil {
			t.Fatal(err)
		}
		records := 0
		for line := range bytes.Lines(text) {
			var record struct{ Phase, Kind, Outcome, Message string }
			if err := json.Unmarshal(line, &record); err != nil {
				t.Fatal(err)
			}
			records++
			question := record.Kind == "elicitation/create" || record.Kind == "sampling/createMessage"
			switch {
			case strings.Contains(record.Message, "unknown") || strings.Contains(record.Message, "nothing that was asked"):
				if unknown--; unknown < 0 {
					t.Errorf("replica %d: %s", i, line)
				}
			case question && record.Phase == "server_request" && record.Outcome == "allow":
				asked++
			case question && record.Phase == "request":
				answered++
			}
		}
		if records < 5 {
			t.Errorf("replica %d recorded %d decisions", i, records)
		}
	}
	return asked, answered
}

// TestRotation changes the keys under a gateway that runs, step by step.
func TestRotation(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "handles.key")
	first, second := newKey(t), newKey(t)
	writeKeys(t, path, first)
	gw := startWithKeys(t, newServer(t, legacy), path)
	sessions := map[string]string{}
	for _, step := range []struct {
		name  string
		keys  []string
		known []string // the sessions that live on, of those opened in the steps before
	}{
		{"first", []string{first}, nil},
		{"added", []string{first, second}, []string{"first"}},
		{"switched", []string{second, first}, []string{"first", "added"}},
		{"a mistake", []string{second, "not a key"}, []string{"first", "added", "switched"}},
		{"removed", []string{second}, []string{"switched", "a mistake"}},
	} {
		writeKeys(t, path, step.keys...)
		for opened, session := range sessions {
			want := http.StatusNotFound
			for _, known := range step.known {
				if known == opened {
					want = http.StatusOK
				}
			}
			if got, _ := legacyPost(t, gw.URL, session, `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`); got != want {
				t.Errorf("%s: the session of %q: %d, want %d", step.name, opened, got, want)
			}
		}
		_, sessions[step.name] = legacyPost(t, gw.URL, "", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
	}
}

// legacyPost sends one message and returns the status and the session.
func legacyPost(t *testing.T, url, session, text string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Mcp-Protocol-Version", legacy)
	if session != "" {
		r.Header.Set("Mcp-Session-Id", session)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Mcp-Session-Id")
}
