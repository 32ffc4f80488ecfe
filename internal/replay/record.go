package replay

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// A record is one line of a decision log, as far as it can be judged again.
type record struct {
	id      string
	time    time.Time
	old     verdict
	in      policy.Input
	unknown policy.Unknown
	patched bool // the input is the one after the patch
}

// Why a line is not judged.
const (
	skipRejected   = "rejected"   // no policy saw the message
	skipNoInput    = "no_input"   // the log was written with audit.input: none
	skipCandidate  = "candidate"  // it tells of a candidate, beside the record of the decision
	skipUnreadable = "unreadable" // torn, or not a record
)

// parseRecord reads a line, or says why it is skipped.
func parseRecord(line string) (r *record, skip string) {
	v, err := mcp.ParseValue(line)
	input := v.Get("input")
	switch {
	case err != nil || !v.Get("ts").IsString():
		return nil, skipUnreadable
	case v.Get("candidate").Exists():
		return nil, skipCandidate
	case v.Get("outcome").String() == "reject":
		return nil, skipRejected
	case !input.IsObject():
		return nil, skipNoInput
	}
	r = &record{id: v.Get("decision_id").String()}
	if r.time, err = time.Parse(time.RFC3339Nano, v.Get("ts").String()); err != nil {
		return nil, skipUnreadable
	}
	if r.old, err = recorded(v); err != nil {
		return nil, skipUnreadable
	}
	phase := policy.Phase(input.Get("phase").String())
	r.patched = v.Get("outcome").String() == "patch" && phase != policy.Response || v.Get("patched").Kind() == 't'
	r.readInput(input, phase)
	return r, ""
}

// recorded is the verdict that a record tells of.
func recorded(v mcp.Value) (verdict, error) {
	o := verdict{}
	switch v.Get("outcome").String() {
	case "allow":
		o.class = allowed
	case "patch", "would_patch":
		o.class, o.patched = allowed, true
	case "deny", "would_deny":
		o.class, o.reason = denied, v.Get("reason").String()
	case "error":
		o.class, o.reason = failed, v.Get("reason").String()
	default:
		return o, errors.New("unknown outcome")
	}
	return o, nil
}

// mark stands in records for what is masked, be it a whole text or a part.
const mark = "***"

// readInput reads the judged input, and notes what the record leaves out of it.
func (r *record) readInput(v mcp.Value, phase policy.Phase) {
	r.in = policy.Input{
		Phase: phase, Kind: r.text(v, "kind"), Server: r.text(v, "server"),
		Params: v.Get("params"), Response: v.Get("response"), Error: v.Get("error"),
		RequestIP: r.text(v, "request_ip"), ProtocolVersion: r.text(v, "protocol_version"), Transport: r.text(v, "transport"),
	}
	for _, member := range []string{"params", "response", "error"} {
		r.mask(v.Get(member), member)
	}
	if r.in.Response.Exists() || r.in.Error.Exists() || phase == policy.ServerRequest {
		r.unknown.Add("scan")
	}
	client := v.Get("client")
	r.in.ClientName, r.in.ClientVersion = r.text(client, "name", "client"), r.text(client, "version", "client")
	r.readUser(v.Get("user"))
	r.readHeaders(v.Get("headers"))
	r.readTarget(v)
	if args := r.unknown.Below("tool").Below("args"); !args.Empty() {
		r.unknown.Add("bounds")
	}
}

func (r *record) readUser(user mcp.Value) {
	r.in.User = policy.User{ID: r.text(user, "id", "user"), Auth: r.text(user, "auth", "user")}
	r.mask(user.Get("roles"), "user", "roles")
	for role := range user.Get("roles").Items() {
		r.in.User.Roles = append(r.in.User.Roles, role.String())
	}
	if user.Get("claims").Exists() {
		r.unknown.Add("user", "claims")
	}
}

func (r *record) readHeaders(headers mcp.Value) {
	r.in.Headers = http.Header{}
	for name, value := range headers.Members() {
		r.mask(value, "headers", name.String())
		r.in.Headers[name.String()] = []string{value.String()}
	}
}

func (r *record) readTarget(v mcp.Value) {
	if tool := v.Get("tool"); tool.Exists() {
		r.in.Tool = &policy.Tool{
			Name: r.text(tool, "name", "tool"), Args: r.argumentsOf(tool), Annotations: tool.Get("annotations"),
		}
		r.mask(r.in.Tool.Args, "tool", "args")
		r.mask(r.in.Tool.Annotations, "tool", "annotations")
	}
	if prompt := v.Get("prompt"); prompt.Exists() {
		r.in.Prompt = &policy.Prompt{Name: r.text(prompt, "name", "prompt"), Args: r.argumentsOf(prompt)}
		r.mask(r.in.Prompt.Args, "prompt", "args")
	}
	if resource := v.Get("resource"); resource.Exists() {
		uri := resource.Get("uri").String()
		r.in.Resource = policy.ParseResource(uri)
		r.in.Resource.Template = resource.Get("template").Kind() == 't'
		if hides(uri) { // of such a URI no part is certain
			for _, part := range []string{
				"uri", "valid", "scheme", "host", "port", "path", "path_segments", "query", "fragment",
			} {
				r.unknown.Add("resource", part)
			}
		}
	}
}

// argumentsOf are the arguments of a tool or prompt: the ones in params, if
// those say the same, so that they are built but once.
func (r *record) argumentsOf(target mcp.Value) mcp.Value {
	args := target.Get("args")
	if same := r.in.Params.Get("arguments"); same.Exists() && same.Text() == args.Text() {
		return same
	}
	return args
}

// text is a member that is a text; path leads to the object that it is in.
func (r *record) text(v mcp.Value, name string, path ...string) string {
	m := v.Get(name)
	r.mask(m, append(path, name)...)
	return m.String()
}

// mask notes what is masked in a value.
func (r *record) mask(v mcp.Value, path ...string) {
	switch v.Kind() {
	case '{':
		for name, m := range v.Members() {
			r.mask(m, append(path[:len(path):len(path)], name.String())...)
		}
	case '[':
		i := 0
		for item := range v.Items() {
			r.mask(item, append(path[:len(path):len(path)], strconv.Itoa(i))...)
			i++
		}
	case '"':
		if hides(v.String()) {
			r.unknown.Add(path...)
		}
	default: // shown as it is
	}
}

// hides reports whether a recorded text may not be the original one: it is
// masked, or held bytes that a record cannot hold.
func hides(s string) bool {
	return strings.Contains(s, mark) || strings.ContainsRune(s, utf8.RuneError)
}
