package gateway

import (
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// verdict is what a policy says of a subject, and the subject as it changes it:
// patched, and then redacted, so that what a patch brings in is redacted too.
func (g *Gateway) verdict(p *policy.Snapshot, s *subject) (*subject, policy.Decision) {
	d := decide(p, &s.in)
	if d.Allow && d.Patch != "" {
		s, d = g.patched(p, s, d)
	}
	if d.Allow && d.Redact != "" {
		return g.redacted(p, s, d)
	}
	return s, d
}

// patched applies the decision's patch. A patched request is judged once more;
// the patch of that second answer is not applied.
func (g *Gateway) patched(p *policy.Snapshot, s *subject, d policy.Decision) (*subject, policy.Decision) {
	next, err := g.patch(s, d.Patch)
	if err != nil {
		return s, policy.Decision{Err: policy.ErrBadPatch, Eval: d.Eval}
	}
	if s.in.Phase == policy.Request || s.in.Phase == policy.ServerRequest {
		again := decide(p, &next.in)
		again.Eval += d.Eval
		if !again.Allow {
			return next, again
		}
	}
	return next, d
}

// redacted takes out what the decision names. One that finds nothing changes
// nothing.
func (g *Gateway) redacted(p *policy.Snapshot, s *subject, d policy.Decision) (*subject, policy.Decision) {
	judged := s.in.Response
	if !judged.Exists() {
		judged = s.in.Error
	}
	text, err := p.Redact(judged, d.Redact)
	switch {
	case err != nil:
		return s, policy.Decision{Err: err, Eval: d.Eval}
	case text == "":
		d.Redact = ""
		return s, d
	}
	m, bad := mcp.ParseServer(text)
	if bad != nil {
		return s, policy.Decision{Err: policy.ErrBadRedact, Eval: d.Eval}
	}
	return g.anew(s, m), d
}

// patch returns the subject with the patch applied to its text, and all it
// says parsed anew from that text.
func (g *Gateway) patch(s *subject, patch string) (*subject, error) {
	parent, parse := s.at(s.msg), mcp.ParseServer
	if s.member == "arguments" {
		parent = s.msg.Params
	}
	if s.in.Phase == policy.Request {
		parse = mcp.ParseClient
	}
	old := "{}"
	if v := parent.Get(s.member); v.Exists() {
		old = v.Text()
	}
	text, err := policy.ApplyPatch(old, patch)
	if err != nil {
		return nil, err
	}
	m, bad := parse(parent.With(s.member, text))
	if bad != nil {
		return nil, bad
	}
	return g.anew(s, m), nil
}

// anew is the subject with the message that it now is.
func (g *Gateway) anew(s *subject, m *mcp.Message) *subject {
	next := *s
	next.msg, next.patched = m, true
	switch {
	case s.member == "result":
		next.in.Response = s.at(m).Get("result")
	case s.member == "error":
		next.in.Error = s.at(m).Get("error")
	case next.in.Phase == policy.Response: // a notification
		next.in.Response = s.at(m).Get("params")
	default:
		next.in.Params = s.at(m).Get("params")
		g.describeTarget(&next.in, m)
	}
	next.in.Begin()
	return &next
}
