package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// A verdict is a decision about a document, and what comes of it.
type verdict struct {
	policy.Decision
	snapshot *policy.Snapshot
	document mcp.Value
	after    *patched // nil if nothing is changed
	steps    *steps   // nil without --explain
}

// patched is what a patch and a redaction make of a message.
type patched struct {
	member string // that they are for
	text   string // as it then is
	err    error  // why they do not apply
	again  *policy.Decision
}

// allowed reports whether the message would pass.
func (v *verdict) allowed() bool {
	return v.Allow && (v.after == nil || v.after.again == nil || v.after.again.Allow)
}

// consequences applies patch and redaction as the gateway does. A message that is
// still to be acted on is judged once more.
func (v *verdict) consequences() {
	if !v.Changes() {
		return
	}
	path := patchTarget(v.document)
	v.after = &patched{member: path[0]}
	old := v.document.Get(path[0])
	if len(path) > 1 {
		v.after.member += "." + path[1]
		old = old.Get(path[1])
	}
	text := "{}"
	if old.Exists() {
		text = old.Text()
	}
	if v.after.text, v.after.err = v.changed(text); v.after.err != nil {
		return
	}
	if phase := policy.Phase(v.document.Get("phase").String()); phase != policy.Response {
		document, err := with(v.document, v.after.text, path)
		if v.after.err = err; err != nil {
			return
		}
		again := v.snapshot.DecideDocument(document)
		v.after.again, v.after.err = &again, again.Err
	}
}

// changed is a value, patched and then redacted.
func (v *verdict) changed(text string) (string, error) {
	if v.Patch != "" {
		patched, err := policy.ApplyPatch(text, v.Patch)
		if err != nil {
			return "", fmt.Errorf("%w: %w", policy.ErrBadPatch, err)
		}
		text = patched
	}
	if v.Redact == "" {
		return text, nil
	}
	value, err := mcp.ParseValue(text)
	if err != nil {
		return "", err
	}
	redacted, err := v.snapshot.Redact(value, v.Redact)
	return cmp.Or(redacted, text), err
}

// patchTarget is where in a document the value is that a patch is for.
func patchTarget(document mcp.Value) []string {
	named := map[string]string{"tools/call": "tool", "prompts/get": "prompt"}[document.Get("kind").String()]
	request := document.Get("phase").String() == string(policy.Request)
	switch {
	case document.Get("response").Exists():
		return []string{"response"}
	case document.Get("error").Exists():
		return []string{"error"}
	case request && named != "" && document.Get(named).IsObject():
		return []string{named, "args"}
	}
	return []string{"params"}
}

// with is a document with another value at a path. The arguments of a tool or
// prompt are those in params, too.
func with(document mcp.Value, text string, path []string) (mcp.Value, error) {
	if len(path) == 1 {
		return mcp.ParseValue(document.With(path[0], text))
	}
	changed, err := mcp.ParseValue(document.Get(path[0]).With(path[1], text))
	if err == nil && changed.Get("params").IsObject() {
		changed, err = mcp.ParseValue(changed.Get("params").With("arguments", text))
	}
	return changed, err
}

func (v *verdict) print(out io.Writer) error {
	fmt.Fprintln(out, told(&v.Decision))
	fmt.Fprintf(out, "in %v, by %s\n", v.Eval.Round(time.Microsecond), v.snapshot.Revision)
	if v.after != nil {
		fmt.Fprintln(out)
		if v.Patch != "" {
			fmt.Fprintf(out, "patch\n  %s", v.Patch)
		}
		if v.Redact != "" {
			fmt.Fprintf(out, "redact\n  %s\n", v.Redact)
		}
		switch {
		case v.after.err != nil && v.after.again == nil:
			fmt.Fprintf(out, "policy error: %v\n", v.after.err)
		default:
			fmt.Fprintf(out, "%s after it\n  %s\n", v.after.member, v.after.text)
		}
		if v.after.again != nil {
			fmt.Fprintf(out, "judged once more\n  %s\n", told(v.after.again))
		}
	}
	if v.steps == nil {
		return nil
	}
	fmt.Fprintln(out)
	return v.steps.print(out)
}

// told says a decision in one line.
func told(d *policy.Decision) string {
	switch {
	case d.Err != nil:
		return "policy error: " + d.Err.Error()
	case d.Allow && d.Patch != "" && d.Redact != "":
		return "allow, patched and redacted"
	case d.Allow && d.Patch != "":
		return "allow, patched"
	case d.Changes():
		return "allow, redacted"
	case d.Allow:
		return "allow"
	case d.Reason == "":
		return fmt.Sprintf("deny (%s)", d.Code)
	}
	return fmt.Sprintf("deny %s (%s)", d.Reason, d.Code)
}

// A decisionView is a decision as JSON.
type decisionView struct {
	Allow  bool            `json:"allow"`
	Reason string          `json:"reason,omitempty"`
	Code   string          `json:"code,omitempty"`
	Patch  json.RawMessage `json:"patch,omitempty"`
	Redact json.RawMessage `json:"redact,omitempty"`
	Error  string          `json:"error,omitempty"`
}

func viewOf(d *policy.Decision) *decisionView {
	if d == nil {
		return nil
	}
	v := &decisionView{Allow: d.Allow, Reason: d.Reason, Code: d.Code, Patch: json.RawMessage(d.Patch), Redact: json.RawMessage(d.Redact)}
	if d.Err != nil {
		v.Error = d.Err.Error()
	}
	return v
}

func (v *verdict) json(out io.Writer) error {
	view := struct {
		Decision *decisionView   `json:"decision"`
		Patched  any             `json:"patched,omitempty"`
		Again    *decisionView   `json:"again,omitempty"`
		Eval     int64           `json:"eval_ns"`
		Revision string          `json:"revision"`
		SHA256   string          `json:"sha256"`
		Input    json.RawMessage `json:"input"`
		Rules    []*ruleTrace    `json:"rules,omitempty"`
	}{
		Decision: viewOf(&v.Decision), Eval: int64(v.Eval), Revision: v.snapshot.Revision, SHA256: v.snapshot.SHA256,
		Input: json.RawMessage(v.document.Text()),
	}
	if a := v.after; a != nil {
		view.Again = viewOf(a.again)
		if a.err == nil || a.again != nil {
			view.Patched = map[string]any{"member": a.member, "value": json.RawMessage(a.text)}
		} else {
			view.Decision.Error = a.err.Error()
		}
	}
	if v.steps != nil {
		view.Rules = v.steps.all
	}
	return printJSON(out, view)
}
