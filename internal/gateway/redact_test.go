package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// redacting takes out the secrets of what a server sends, and patches some.
const redacting = `
default decision := {"allow": true}
decision := {"allow": true, "redact": ["AKIA"]} if { input.phase == "response"; not input.response.patch; not input.response.misfit }
decision := {"allow": true, "redact": ["AKIA"], "patch": {"patch": "brings AKIA1234"}} if input.response.patch
decision := {"allow": true, "redact": ["AKIA"], "patch": [{"op": "remove", "path": "/none"}]} if input.response.misfit`

func TestRedaction(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		result, want    string // what the server sends, and what the client gets of it
		outcome, reason string
		permissive      string // the outcome then
	}{
		"text":       {`{"content":[{"type":"text","text":"key AKIA1234\n"}]}`, `{"content":[{"type":"text","text":"key [redacted]\n"}]}`, "patch", "", "would_patch"},
		"structured": {`{"structuredContent":{"a":[ 1.0,{"b":"AKIA1234"}]}}`, `{"structuredContent":{"a":[ 1.0,{"b":"[redacted]"}]}}`, "patch", "", "would_patch"},
		"resource":   {`{"content":[{"type":"resource","resource":{"text":"AKIA1234"}}]}`, `{"content":[{"type":"resource","resource":{"text":"[redacted]"}}]}`, "patch", "", "would_patch"},
		"escaped":    {`{"a":"\u0041K\u0049A1234 é"}`, `{"a":"[redacted] é"}`, "patch", "", "would_patch"},
		"nothing":    {`{"a":"\u0041K\u0049A é\/"}`, `{"a":"\u0041K\u0049A é\/"}`, "allow", "", "allow"},
		"opaque":     {`{"nextCursor":"AKIA1234"}`, `{"nextCursor":"AKIA1234"}`, "allow", "", "allow"},
		"patched":    {`{"patch":"x"}`, `{"patch":"brings [redacted]"}`, "patch", "", "would_patch"},
		"misfit":     {`{"misfit":"AKIA1234"}`, "", "error", "policy_error", "error"},
		"name":       {`{"a":{"AKIA1234":1}}`, "", "error", "policy_error", "error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, redacting)
			b.answers(tc.result)
			c := b.post(toolCall("t", "{}"))
			if tc.want == "" && (c.status != 403 || strings.Contains(c.text, "AKIA")) || tc.want != "" && c.text != `{"jsonrpc":"2.0","id":7,"result":`+tc.want+`}` {
				t.Errorf("client got %d %s", c.status, c.text)
			}
			if r := b.last(); r["phase"] != "response" || r["outcome"] != tc.outcome || tc.reason != "" && r["reason"] != tc.reason {
				t.Errorf("record %v", r)
			}
			if strings.Contains(b.audit.String()+b.log.String(), "AKIA1234") {
				t.Errorf("told in %s or %s", b.audit, b.log)
			}

			b = newBench(t, redacting)
			b.Mode = Permissive
			b.answers(tc.result)
			if c := b.post(toolCall("t", "{}")); c.text != `{"jsonrpc":"2.0","id":7,"result":`+tc.result+`}` {
				t.Errorf("permissive: client got %s", c.text)
			}
			if r := b.last(); r["outcome"] != tc.permissive {
				t.Errorf("permissive: record %v", r)
			}
		})
	}
}

// Whatever a server sends is redacted.
func TestRedactionOfAnyAnswer(t *testing.T) {
	t.Parallel()
	b := newBench(t, redacting)
	b.server.answer = func(*mcp.Outgoing) *mcp.Answer {
		return stream(mcp.Event{Data: `{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"AKIA1234"}}`},
			mcp.Event{Data: `{"jsonrpc":"2.0","method":"notifications/progress"}`},
			mcp.Event{Data: `{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"AKIA1234","data":["AKIA1234"]}}`})
	}
	c := b.post(toolCall("t", "{}"))
	want := []string{
		`{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"[redacted]"}}`,
		`{"jsonrpc":"2.0","method":"notifications/progress"}`,
		`{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"[redacted]","data":["[redacted]"]}}`,
	}
	if strings.Join(c.events, "\n") != strings.Join(want, "\n") {
		t.Errorf("client got %q", c.events)
	}

	b.tasks(`{"taskId":"raw-1","status":"completed","result":{"nextCursor":"x","content":[{"text":"AKIA1234"}]}}`)
	id := find(t, `"taskId":"([^"]+)"`, b.post(toolCall("slow", "{}")).text)
	if c := b.post(aboutTask("tasks/get", id)); !strings.Contains(c.text, `"result":{"nextCursor":"x","content":[{"text":"[redacted]"}]}`) {
		t.Errorf("client got %s", c.text)
	}
	b.answers(`{"tools":[],"cacheScope":"public","_meta":{"a":"AKIA1234"}}`)
	if c := b.post(list("tools/list")); !strings.Contains(c.text, `"cacheScope":"private","_meta":{"a":"[redacted]"}`) {
		t.Errorf("client got %s", c.text)
	}
}

// A redaction that cannot be is a policy error, before anything happens.
func TestRedactionFailsClosed(t *testing.T) {
	t.Parallel()
	for name, rules := range map[string]string{
		"of a request":     `decision := {"allow": true, "redact": ["AKIA"]} if input.phase == "request"`,
		"of an answer":     `decision := {"allow": true, "redact": ["other"]} if input.phase == "response"`,
		"of another shape": `decision := {"allow": true, "redact": {"AKIA"}} if input.phase == "response"`,
	} {
		b := newBench(t, "default decision := {\"allow\": true}\n"+rules)
		b.answers(`{"content":[]}`)
		c := b.post(toolCall("t", "{}"))
		if r := b.last(); c.status != 403 || r["outcome"] != "error" || r["reason"] != "policy_error" {
			t.Errorf("%s: client got %d %s, record %v", name, c.status, c.text, r)
		}
		if sent := len(b.server.sent); (sent == 0) != (name == "of a request") {
			t.Errorf("%s: %d messages went upstream", name, sent)
		}
	}
}

// A candidate's redaction is what it makes of the text: by the keys alone, another
// pattern would look the same, and a patch that does as much another.
func TestCandidateRedaction(t *testing.T) {
	t.Parallel()
	const patch = `decision := {"allow": true, "patch": {"a": "[redacted]"}} if input.response.a == "AKIA1234"`
	const redact = `decision := {"allow": true, "redact": ["AKIA"]} if input.response.a`
	for name, c := range map[string]struct{ live, next, data, result, change string }{
		"the same":         {redact, redact, secrets, `{"a":"AKIA1234"}`, Unchanged},
		"as a patch":       {patch, redact, secrets, `{"a":"AKIA1234"}`, Unchanged},
		"nothing":          {"", redact, secrets, `{"a":"AKIA"}`, Unchanged},
		"something":        {"", redact, secrets, `{"a":"AKIA1234"}`, PatchedOtherwise},
		"less":             {redact, "", secrets, `{"a":"AKIA1234"}`, PatchedOtherwise},
		"another pattern":  {redact, redact, `{"secrets": {"AKIA": "AKIA1"}}`, `{"a":"AKIA1234"}`, PatchedOtherwise},
		"it has no such":   {redact, redact, `{}`, `{"a":"AKIA1234"}`, Failed},
		"it is in a name":  {"", redact, secrets, `{"a":"","AKIA1234":1}`, Failed},
		"a second of them": {redact, redact, `{"secrets": {"AKIA": "AKIA12?"}}`, `{"a":"AKIA12345"}`, PatchedOtherwise},
	} {
		for _, mode := range []string{Enforce, Permissive} {
			b := newTrial(t, "default decision := {\"allow\": true}\n"+c.live, "")
			b.Mode = mode
			if err := os.WriteFile(filepath.Join(b.dir, "data.json"), []byte(c.data), 0o600); err != nil {
				t.Fatal(err)
			}
			b.replace("default decision := {\"allow\": true}\n" + c.next)
			b.answers(c.result)
			b.post(toolCall("t", "{}"))
			b.settle()
			lines := b.differences()
			if c.change == Unchanged && len(lines) != 0 || c.change != Unchanged && (len(lines) != 1 || lines[0]["change"] != c.change) {
				t.Errorf("%s, %s: %v", name, mode, lines)
			}
		}
	}
}
