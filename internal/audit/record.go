// Package audit writes decision records: one line of JSON for each decision
// and each rejected message, with secrets masked.
package audit

import (
	"strconv"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// An Outcome is what became of a message.
type Outcome string

// The outcomes. Reject is a message that never reached a policy; Error is one
// that was refused, or in permissive mode would be, since the policy failed.
const (
	Allow      Outcome = "allow"
	Deny       Outcome = "deny"
	Patch      Outcome = "patch"
	WouldDeny  Outcome = "would_deny"
	WouldPatch Outcome = "would_patch"
	Reject     Outcome = "reject"
	Error      Outcome = "error"
)

// A Record tells of one decision or one rejected message. Empty members are
// left out of the line.
type Record struct {
	Time       time.Time
	DecisionID string
	TraceID    string        // empty: it is not traced
	Input      *policy.Input // what was judged; of a rejected message, what is known of it
	Mode       string
	Outcome    Outcome
	Code       string
	Reason     string
	Message    string
	Status     int // of the answer: 403, 422, 429 for a denial, 200 if the message moved on
	Revision   string
	SHA256     string
	Eval       time.Duration
	Judged     int    // of a list: items judged
	Hidden     int    // of a list: items left out
	Size       int    // of a rejected message, in bytes
	Digest     string // of a rejected message: hex SHA-256
	Patched    bool   // Input is not what was judged first, but what a patch made of it
	Candidate  *Candidate
	Shared     *Shared // may be nil
}

// A Candidate is what another policy decided than the one in force. Its line
// stands beside that of the decision, and has the same id.
type Candidate struct {
	Change   string
	Revision string
	SHA256   string
	Outcome  Outcome
	Code     string
	Reason   string
	Eval     time.Duration
}

// append adds the record without its last brace, which comes with its link.
func (r *Record) append(b []byte, withInput bool) []byte {
	b = append(b, `{"ts":"`...)
	b = append(appendTime(b, r.Time.UTC()), '"')
	b = text(b, "decision_id", r.DecisionID)
	b = text(b, "trace_id", r.TraceID)
	if in := r.Input; in != nil {
		b = about(b, in)
	}
	b = text(b, "mode", r.Mode)
	b = text(b, "outcome", string(r.Outcome))
	b = text(b, "code", r.Code)
	b = text(b, "reason", r.Reason)
	b = text(b, "message", r.Message)
	b = number(b, "status", int64(r.Status))
	if r.Revision != "" {
		b = text(open(b, "bundle"), "revision", r.Revision)
		b = append(text(b, "sha256", r.SHA256), '}')
	}
	b = number(b, "eval_ns", int64(r.Eval))
	b = number(b, "items", int64(r.Judged))
	b = number(b, "hidden", int64(r.Hidden))
	b = number(b, "size", int64(r.Size))
	b = text(b, "body_sha256", r.Digest)
	if c := r.Candidate; c != nil {
		b = text(open(b, "candidate"), "change", c.Change)
		b = text(text(b, "revision", c.Revision), "sha256", c.SHA256)
		b = text(text(text(b, "outcome", string(c.Outcome)), "code", c.Code), "reason", c.Reason)
		return append(number(b, "eval_ns", int64(c.Eval)), '}')
	}
	if r.Patched {
		b = append(key(b, "patched"), "true"...)
	}
	if withInput && r.Input != nil && r.Outcome != Reject {
		b = appendInput(append(b, `,"input":`...), r.Input, r.Shared)
	}
	return b
}

// appendTime adds a time to the microsecond. Formatting RFC 3339 is what package
// time is fast at.
func appendTime(b []byte, t time.Time) []byte {
	b = t.AppendFormat(b, time.RFC3339)
	b[len(b)-1] = '.' // where Z was
	micros := t.Nanosecond() / 1000
	for unit := 100_000; unit > 0; unit /= 10 {
		b = append(b, byte('0'+micros/unit%10))
	}
	return append(b, 'Z')
}

// about adds who asked what of whom.
func about(b []byte, in *policy.Input) []byte {
	b = text(b, "phase", string(in.Phase))
	b = text(b, "kind", in.Kind)
	b = text(b, "server", in.Server)
	switch {
	case in.Tool != nil:
		b = text(b, "tool", in.Tool.Name)
	case in.Resource != nil:
		b = text(b, "resource", MaskURI(in.Resource.URI))
	case in.Prompt != nil:
		b = text(b, "prompt", in.Prompt.Name)
	}
	b = text(b, "user", in.User.ID)
	b = text(b, "auth", in.User.Auth)
	return text(b, "request_ip", in.RequestIP)
}

func text(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return appendString(key(b, name), value)
}

func number(b []byte, name string, value int64) []byte {
	if value == 0 {
		return b
	}
	return strconv.AppendInt(key(b, name), value, 10)
}

func value(b []byte, name string, v mcp.Value) []byte {
	if !v.Exists() {
		return b
	}
	return appendValue(key(b, name), v)
}

// open begins an object as a member.
func open(b []byte, name string) []byte { return append(key(b, name), '{') }

// key adds a member's name, which needs no escape.
func key(b []byte, name string) []byte {
	b = append(comma(b), '"')
	b = append(b, name...)
	return append(b, '"', ':')
}

// comma separates what follows from what is there, if that needs it.
func comma(b []byte) []byte {
	switch b[len(b)-1] {
	case '{', '[':
		return b
	}
	return append(b, ',')
}

// appendInput adds the input as the policy saw it, masked, and without what
// the server sent: results are for the caller alone.
func appendInput(b []byte, in *policy.Input, shared *Shared) []byte {
	b = append(b, `{"version":1`...)
	b = text(b, "phase", string(in.Phase))
	if in.Response.Exists() {
		b = append(key(b, "response"), masked...)
	}
	if in.Error.Exists() {
		b = append(key(b, "error"), masked...)
	}
	if in.Phase == policy.ServerRequest && in.Params.Exists() { // they are the server's
		b = append(key(b, "params"), masked...)
		theirs := *in
		theirs.Params = mcp.Value{}
		return append(appendCommon(b, &theirs), '}')
	}
	return append(shared.append(b, in), '}')
}

func appendCommon(b []byte, in *policy.Input) []byte {
	b = text(b, "kind", in.Kind)
	b = text(b, "server", in.Server)
	b = text(open(b, "user"), "id", in.User.ID)
	b = append(key(b, "roles"), '[')
	for _, role := range in.User.Roles {
		b = appendString(comma(b), role)
	}
	b = append(b, ']')
	b = text(b, "auth", in.User.Auth)
	if in.User.Claims != nil {
		b = append(key(b, "claims"), masked...)
	}
	b = append(b, '}')
	if in.Tool != nil {
		b = text(open(b, "tool"), "name", in.Tool.Name)
		b = value(b, "args", in.Tool.Args)
		b = append(appendHints(b, in.Tool.Annotations), '}')
	}
	if in.Resource != nil {
		b = text(open(b, "resource"), "uri", MaskURI(in.Resource.URI))
		if in.Resource.Template {
			b = append(key(b, "template"), "true"...)
		}
		b = append(b, '}')
	}
	if in.Prompt != nil {
		b = text(open(b, "prompt"), "name", in.Prompt.Name)
		b = append(value(b, "args", in.Prompt.Args), '}')
	}
	b = value(b, "params", in.Params)
	b = text(b, "request_ip", in.RequestIP)
	b = appendHeaders(key(b, "headers"), in.Headers)
	if in.ClientName != "" {
		b = text(open(b, "client"), "name", in.ClientName)
		b = append(text(b, "version", in.ClientVersion), '}')
	}
	b = text(b, "protocol_version", in.ProtocolVersion)
	return text(b, "transport", in.Transport)
}
