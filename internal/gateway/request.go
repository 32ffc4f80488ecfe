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
	s := subject{in: e.base, msg: e.msg, member: "params"}
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
	if refused == nil {
		refused = e.judgeConnect(s)
	}
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

// twins are the methods by which clients of the two eras connect.
var twins = map[string]string{"initialize": "server/discover", "server/discover": "initialize"}

// judgeConnect lets a client connect in neither era or in both: one that is
// denied server/discover would go on to try initialize.
func (e *exchange) judgeConnect(s subject) *refusal {
	twin := twins[e.kind]
	if twin == "" || e.snapshot == nil {
		return nil
	}
	s.in.Kind = twin
	if d := e.snapshot.Decide(&s.in); !d.Allow {
		outcome, refused := e.g.enforce(&d)
		return e.record(&s, &d, outcome, refused)
	}
	return nil
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
