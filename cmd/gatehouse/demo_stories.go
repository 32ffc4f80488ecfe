package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A story is some calls at one gateway and what must come of them.
type story struct {
	title string
	at    *stage
	steps []step
}

// A step is one tool call. What it wants is looked for as a part of the text.
type step struct {
	before func(context.Context) error // what happens first; may be nil
	note   string                      // tells of it
	tool   string
	args   map[string]any
	status int    // of the HTTP answer
	answer string // in the answer
	record string // in a decision record
	log    string // in the operational log
}

// stories are the five stories of the product.
func stories(enforcing, permissive *stage, bundle string) []story {
	paused := "package mcp\n\ndeny contains {\"reason\": \"maintenance\"} if input.tool.name == \"echo\"\n"
	reload := func(extra string) func(context.Context) error {
		return func(ctx context.Context) error { return enforcing.reload(ctx, bundle, extra) }
	}
	return []story{
		{"A tool that the caller's role may not use", enforcing, []step{{
			tool: "database.backup", args: map[string]any{}, status: 403,
			answer: "policy_deny", record: "blocked by rego: role_mismatch",
		}}},
		{"An argument out of bounds", enforcing, []step{{
			tool: "temp.convert", args: map[string]any{"temp": -500}, status: 422,
			answer: "validation_failed", record: `"outcome":"deny"`,
		}, {
			tool: "temp.convert", args: map[string]any{"temp": 21}, status: 200,
			answer: "69.8", record: `"outcome":"allow"`,
		}}},
		{"A result with terminal escapes and a secret", enforcing, []step{{
			tool: "alert.read", args: map[string]any{}, status: 200,
			answer: `"text":"ALERT disk`, record: `"outcome":"patch"`,
		}, {
			tool: "secret.read", args: map[string]any{}, status: 200,
			answer: "then call Bob", record: `"outcome":"patch"`,
		}}},
		{"A new bundle, without a restart", enforcing, []step{{
			tool: "echo", args: map[string]any{"text": "hello"}, status: 200,
			answer: "hello", record: `"outcome":"allow"`,
		}, {
			before: reload(paused), note: "the bundle is replaced, and the gateway gets a SIGHUP",
			tool: "echo", args: map[string]any{"text": "hello"}, status: 403,
			answer: "maintenance", record: "blocked by rego: maintenance",
		}, {
			before: reload(""), note: "and back again",
			tool: "echo", args: map[string]any{"text": "hello"}, status: 200,
			answer: "hello", record: `"outcome":"allow"`,
		}}},
		{"Permissive mode: nothing is stopped, all is told", permissive, []step{{
			tool: "database.backup", args: map[string]any{}, status: 200,
			answer: "backup written", record: `"outcome":"would_deny"`, log: `"level":"WARN","msg":"would_deny"`,
		}}},
	}
}

// tellAll tells the stories one after the other.
func tellAll(ctx context.Context, out *printer, all []story) error {
	failed := 0
	for n, s := range all {
		out.story(n+1, s.title)
		if err := s.tell(ctx, out); err != nil {
			out.failure(err)
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d stories failed", failed, len(all))
	}
	return nil
}

// tell plays the steps with a real MCP client.
func (s *story) tell(ctx context.Context, out *printer) error {
	wire := &wire{}
	client := mcp.NewClient(&mcp.Implementation{Name: "demo-client", Version: version}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: s.at.url, HTTPClient: &http.Client{Transport: wire}, MaxRetries: -1,
	}, nil)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = session.Close() }()
	for _, step := range s.steps {
		if step.before != nil {
			out.note(step.note)
			if err := step.before(ctx); err != nil {
				return err
			}
		}
		if err := s.play(ctx, out, session, wire, step); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) play(ctx context.Context, out *printer, session *mcp.ClientSession, wire *wire, want step) error {
	_, recorded := s.at.records.since(0)
	_, logged := s.at.logged.since(0)
	_, err := session.CallTool(ctx, &mcp.CallToolParams{Name: want.tool, Arguments: want.args})
	status, answer := wire.last()
	records, _ := s.at.records.since(recorded)
	log, _ := s.at.logged.since(logged)
	out.call(want, records, status, answer)
	if (err == nil) != (want.status == http.StatusOK) {
		return fmt.Errorf("the client saw: %w", cmpError(err))
	}
	for _, part := range []struct{ what, text, want string }{
		{"status", fmt.Sprint(status), fmt.Sprint(want.status)},
		{"answer", answer, want.answer},
		{"decision records", strings.Join(records, ""), want.record},
		{"log", strings.Join(log, ""), want.log},
	} {
		if !strings.Contains(part.text, part.want) {
			return fmt.Errorf("%s without %q: %s", part.what, part.want, part.text)
		}
	}
	return nil
}

func cmpError(err error) error {
	if err == nil {
		return errors.New("success")
	}
	return err
}

// A wire sends what the client sends, as alice, and remembers the last answer
// to a POST.
type wire struct {
	mu     sync.Mutex
	status int
	answer string
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+demoKey)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || r.Method != http.MethodPost {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status, w.answer = resp.StatusCode, string(body)
	return resp, nil
}

func (w *wire) last() (int, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status, w.answer
}

// decision is what the demo shows of a decision record.
type decision struct {
	Phase   string `json:"phase"`
	Outcome string `json:"outcome"`
	Code    string `json:"code"`
	Reason  string `json:"reason"`
	EvalNS  int64  `json:"eval_ns"`
}

func parseDecision(line string) (d decision) {
	_ = json.Unmarshal([]byte(line), &d) // a line that is none shows as empty
	return d
}
