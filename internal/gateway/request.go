package gateway

import (
	"net/http"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// judgeMessage judges what the client sent. What is sent upstream afterwards
// is e.msg, and nothing else.
func (e *exchange) judgeMessage() *refusal {
	if e.x.Verb != http.MethodPost {
		return nil // no message: the principal and its session were checked
	}
	s := subject{in: e.base, msg: e.msg, at: rootOf, member: "params"}
	s.in.Phase = policy.Request
	switch {
	case e.msg.Method == "tools/call" || e.msg.Method == "prompts/get":
		s.member = "arguments"
	case e.msg.Result.Exists():
		s.in.Response, s.member = e.msg.Result, "result"
	case e.msg.Error.Exists():
		s.in.Error, s.member = e.msg.Error, "error"
	}
	passed, refused := e.judge(s)
	if refused != nil && e.msg.Method == "notifications/initialized" {
		return nil // every client takes its denial for a failure to connect
	}
	if refused == nil && passed.msg != e.msg {
		e.remirror(passed.msg)
		e.msg, e.base = passed.msg, passed.in
	}
	if len(e.msg.Text) >= large {
		e.base.Begin() // what was built of it need not wait for the answer
	}
	return refused
}

// decide asks the policy about a message, and about what else it comes to. That can only be allowed or denied.
func decide(p *policy.Snapshot, in *policy.Input) policy.Decision {
	d := p.Decide(in)
	for implied := range in.Implied() {
		if !d.Allow {
			return d
		}
		other := p.Decide(implied)
		d.Eval += other.Eval
		if other.Allow && other.Patch != "" && implied.Kind == "resources/subscribe" {
			other = policy.Decision{Err: policy.ErrBadPatch}
		}
		if !other.Allow {
			other.Eval = d.Eval
			return other
		}
	}
	return d
}

// remirror makes the headers say again what the body says, after a patch.
func (e *exchange) remirror(m *mcp.Message) {
	h := e.x.Header.Clone()
	if m.Target() != e.msg.Target() && h.Get(mcp.HeaderName) != "" {
		h.Set(mcp.HeaderName, mcp.EncodeHeader(m.Target()))
	}
	if m.Method == "tools/call" {
		tool := e.g.catalog.find(e.x.Server, m.Target())
		mcp.MirrorParams(h, m.Params.Get("arguments"), tool.params)
	}
	e.x.Header = h
}
