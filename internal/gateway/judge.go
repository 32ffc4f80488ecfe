package gateway

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"runtime"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// What a policy sees of a text is many times its size. So large texts are judged
// only as many at a time as there are processors, which lose nothing by it.
const large = 256 << 10

var judging = make(chan struct{}, runtime.GOMAXPROCS(0))

// admit waits until a text may be judged. done says that it was.
func admit(text string) (done func()) {
	if len(text) < large {
		return func() {}
	}
	judging <- struct{}{}
	return func() { <-judging }
}

// A refusal is an answer of the gateway's own, already recorded.
type refusal struct {
	*mcp.Error
	denied bool // by the policy, so that the deny style applies
}

// A part finds in a message an object that is judged like a message.
type part func(*mcp.Message) mcp.Value

func rootOf(m *mcp.Message) mcp.Value   { return m.Root }
func paramsOf(m *mcp.Message) mcp.Value { return m.Params }
func resultOf(m *mcp.Message) mcp.Value { return m.Result }

// A subject is a message to judge, or a part of one: what the policy is told of
// it, and the member of it that a patch applies to.
type subject struct {
	in     policy.Input
	msg    *mcp.Message
	at     part
	member string // arguments, params, result or error

	judged, hidden int    // items of a list, for its record
	patched        bool   // in is not what was judged first
	id             string // of the decision, once it is recorded
}

// judge asks the policy about a subject, and returns the subject as it may
// pass, changed if the policy patched it. Deciding and recording are one step:
// nothing passes without its record, and whatever goes wrong refuses.
func (e *exchange) judge(s subject) (subject, *refusal) {
	g := e.g
	if g.Mode == Off || e.snapshot == nil && !g.Configured {
		return s, nil
	}
	if e.snapshot == nil {
		return s, e.judgeWithoutPolicy(s)
	}
	passed, d := g.verdict(e.snapshot, &s)
	g.Metrics.observe(&s.in, d.Eval)
	text := passed.msg.Text // also where it is not what passes
	outcome, refused := g.enforce(&d)
	if g.Mode != Enforce {
		passed = &s
	}
	bad := e.record(passed, &d, outcome, refused)
	g.Candidate.offer(e.snapshot, &s, text, &d, passed.id)
	return *passed, bad
}

// enforce turns a decision into what becomes of the message in this mode.
func (g *Gateway) enforce(d *policy.Decision) (audit.Outcome, bool) {
	switch {
	case d.Err != nil:
		return audit.Error, g.Mode == Enforce && !g.OpenOnErr
	case d.Allow && !d.Changes():
		return audit.Allow, false
	case d.Allow && g.Mode == Enforce:
		return audit.Patch, false
	case d.Allow:
		return audit.WouldPatch, false
	case g.Mode == Permissive:
		return audit.WouldDeny, false
	}
	return audit.Deny, true
}

// judgeWithoutPolicy decides when a policy is wanted and none was ever loaded.
func (e *exchange) judgeWithoutPolicy(s subject) *refusal {
	d := policy.Decision{Err: policy.ErrNone}
	return e.record(&s, &d, audit.Error, e.g.Mode == Enforce && !e.g.OpenIfNone)
}

// reasonError is the reason of a denial for want of a decision.
const reasonError = "policy_error"

// record writes the record of a decision, and returns the refusal if the
// message is not to pass. What cannot be recorded does not pass either.
func (e *exchange) record(s *subject, d *policy.Decision, outcome audit.Outcome, refused bool) *refusal {
	g := e.g
	r := e.newRecord(&s.in)
	r.Outcome, r.Code, r.Reason, r.Eval = outcome, d.Code, d.Reason, d.Eval
	r.Judged, r.Hidden, r.Patched, r.Status = s.judged, s.hidden, s.patched, http.StatusOK
	s.id = r.DecisionID
	if d.Err != nil {
		r.Code, r.Reason, r.Message = policy.CodeDeny, reasonError, "policy error: "+d.Err.Error()
		if errors.Is(d.Err, policy.ErrNone) {
			r.Reason = "policy_missing"
		}
	}
	if outcome == audit.Deny {
		r.Message = "blocked by rego: " + d.Reason
	}
	if outcome == audit.WouldDeny {
		r.Message = "would be blocked by rego: " + d.Reason
	}
	if refused || outcome == audit.WouldDeny {
		r.Status = d.Status()
	}
	g.warn(r)
	if !e.write(r) && g.Mode == Enforce {
		return &refusal{Error: mcp.Refuse(http.StatusServiceUnavailable, "not recorded", "")}
	}
	if !refused {
		return nil
	}
	bad := &mcp.Error{Status: r.Status, Code: r.Status, Message: r.Code, ID: r.DecisionID}
	if g.ShowReason {
		bad.Reason = r.Reason
	}
	return &refusal{Error: bad, denied: true}
}

// write counts and writes a record, and reports whether that went well.
func (e *exchange) write(r *audit.Record) bool {
	g := e.g
	e.span.Decided(r, label(r.Input.Kind))
	g.Metrics.count(r)
	err := g.Audit.Write(r)
	if err != nil {
		g.Metrics.unrecorded()
		g.Log.Error("audit record lost", "error", err, "decision_id", r.DecisionID)
	}
	return err == nil
}

// warn tells the operator of what enforcement would do, and of policy errors.
func (g *Gateway) warn(r *audit.Record) {
	switch r.Outcome {
	case audit.WouldDeny, audit.WouldPatch:
		g.Log.Warn(string(r.Outcome), "kind", r.Input.Kind, "phase", r.Input.Phase, "server", r.Input.Server,
			"user", r.Input.User.ID, "target", target(r.Input), "code", r.Code, "reason", r.Reason, "decision_id", r.DecisionID)
	case audit.Error:
		g.Log.Error("policy error", "error", r.Message, "kind", r.Input.Kind, "phase", r.Input.Phase, "decision_id", r.DecisionID)
	default: // nothing out of the ordinary
	}
}

// target is what a message is about, for the log.
func target(in *policy.Input) string {
	switch {
	case in.Tool != nil:
		return in.Tool.Name
	case in.Prompt != nil:
		return in.Prompt.Name
	}
	return ""
}

func (e *exchange) newRecord(in *policy.Input) *audit.Record {
	r := &audit.Record{Time: time.Now(), DecisionID: rand.Text(), TraceID: e.span.TraceID(), Input: in, Mode: e.g.Mode, Shared: &e.shared}
	if e.snapshot != nil {
		r.Revision, r.SHA256 = e.snapshot.Revision, e.snapshot.SHA256
	}
	return r
}

// reject records a message that no policy saw: malformed, out of place, or
// never come. text is what can be told of it by size and digest.
func (e *exchange) reject(phase policy.Phase, bad *mcp.Error, text string) *refusal {
	in := e.base
	in.Phase = phase
	if in.Server == "" {
		in.Server, in.Kind, in.RequestIP = e.x.Server, e.msg.Method, e.x.RequestIP
		if e.x.Caller != nil {
			in.User = policy.User{ID: e.x.Caller.ID, Auth: e.x.Caller.Auth}
		}
	}
	r := e.newRecord(&in)
	r.Outcome, r.Status, r.Code, r.Message = audit.Reject, bad.Status, bad.Message, bad.Error()
	if text != "" {
		sum := sha256.Sum256([]byte(text))
		r.Size, r.Digest = len(text), hex.EncodeToString(sum[:])
	}
	e.write(r)
	bad.ID = r.DecisionID
	return &refusal{Error: bad}
}
