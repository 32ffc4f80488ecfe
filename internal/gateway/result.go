package gateway

import (
	"net/http"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// judgeResponse judges a response, and all within it that is judged by itself:
// the items of a list, and what the server asks of the client.
func (e *exchange) judgeResponse(m *mcp.Message) (*mcp.Message, *refusal) {
	defer admit(m.Text)()
	if e.kind == "tools/list" {
		for tool := range m.Result.Get("tools").Items() {
			e.g.catalog.learn(e.x.Server, tool)
		}
	}
	s := subject{in: e.base, msg: m, at: rootOf}
	if e.kind == "tasks/result" { // of 2025-11-25: the very result of the call that began the task
		s.in.Kind = "tools/call"
	}
	var refused *refusal
	if e.snapshot != nil {
		if s.msg, refused = e.judgeParts(m, e.base, resultOf); refused != nil {
			return nil, refused
		}
		if s, refused = e.filter(s); refused != nil {
			return nil, refused
		}
	}
	s.in.Phase, s.in.Response, s.in.Error = policy.Response, s.msg.Result, s.msg.Error
	s.member = "result"
	if s.msg.Error.Exists() {
		s.member = "error"
	}
	s, refused = e.judge(s)
	if refused != nil {
		return nil, refused
	}
	if s.msg != m || e.g.Mode == Enforce && e.snapshot != nil && mcp.Cacheable(e.kind) && m.Result.Get("cacheScope").String() == "public" {
		return e.private(s.msg)
	}
	return m, nil
}

// judgeParts judges what a result, or a task in a notification, holds that is
// judged by itself: each thing that it asks of the client, as the server's
// request that it is, and the outcome of a task. One that may not pass takes
// the whole with it.
func (e *exchange) judgeParts(m *mcp.Message, in policy.Input, at part) (*mcp.Message, *refusal) {
	var names []string
	for name := range at(m).Get("inputRequests").Members() {
		names = append(names, name.String())
	}
	for _, name := range names {
		request := func(m *mcp.Message) mcp.Value { return at(m).Get("inputRequests").Get(name) }
		asked := request(m)
		s := subject{in: in, msg: m, at: request, member: "params"}
		s.in.Phase, s.in.Kind, s.in.Params = policy.ServerRequest, asked.Get("method").String(), asked.Get("params")
		s.in.Begin()
		s, refused := e.judge(s)
		if refused != nil {
			return nil, refused
		}
		m = s.msg
	}
	if isTask(e.kind) || begins(m) || m.IsNotification() {
		return e.judgeTask(m, in, at)
	}
	return m, nil
}

// lists are the methods that answer with a list: the member that holds it, and
// the method that uses an item of it.
var lists = map[string]struct{ member, use string }{
	"tools/list":               {"tools", "tools/call"},
	"resources/list":           {"resources", "resources/read"},
	"resources/templates/list": {"resourceTemplates", "resources/read"},
	"prompts/list":             {"prompts", "prompts/get"},
}

// filter leaves out the items of a list that the caller could never use. In
// permissive mode it only records which.
func (e *exchange) filter(s subject) (subject, *refusal) {
	list, ok := lists[e.kind]
	items := s.msg.Result.Get(list.member)
	if !ok || !items.Exists() {
		return s, nil
	}
	kept, all := make([]string, 0, 64), []listed(nil)
	for item := range items.Items() {
		s.judged++
		judged, refused := e.judgeItem(list.use, item)
		if e.g.Candidate != nil {
			all = append(all, judged)
		}
		if refused != nil {
			s.hidden++
			continue
		}
		kept = append(kept, item.Text())
	}
	e.g.Candidate.offerList(e.snapshot, &e.base, list.use, all)
	if e.g.Mode != Enforce || s.hidden == 0 && items.Kind() == '[' {
		return s, nil
	}
	text := items.Replace("[" + strings.Join(kept, ",") + "]")
	m, bad := mcp.ParseServer(text)
	if bad != nil {
		return s, e.reject(policy.List, mcp.Refuse(http.StatusBadGateway, "the server's answer is malformed", bad.Error()), text)
	}
	s.msg = m
	return s, nil
}

// A listed is an item of a list that was judged.
type listed struct {
	item  mcp.Value
	d     policy.Decision
	fresh bool   // not only remembered
	id    string // of its record, if it has one
}

// judgeItem judges an item of a list. A decision that is only remembered is
// not recorded once more.
func (e *exchange) judgeItem(use string, item mcp.Value) (listed, *refusal) {
	s := subject{in: e.base}
	identified := describeItem(&s.in, use, item)
	d, fresh := policy.Decision{Err: policy.ErrBadItem}, true
	if identified {
		d, fresh = e.snapshot.Visible(&s.in)
	}
	outcome, refused := e.g.enforce(&d)
	var bad *refusal
	switch {
	case fresh && !d.Allow:
		e.g.Metrics.observe(&s.in, d.Eval)
		bad = e.record(&s, &d, outcome, refused)
	case refused:
		bad = &refusal{denied: true}
	}
	return listed{item, d, fresh, s.id}, bad
}

// describeItem makes of an exchange's input that of an item of its list, and
// reports whether the item can be told from others.
func describeItem(in *policy.Input, use string, item mcp.Value) bool {
	in.Phase, in.Kind, in.Params = policy.List, use, mcp.Value{}
	name := item.Get("name").String()
	identified := name != ""
	switch use {
	case "tools/call":
		in.Tool = &policy.Tool{Name: name, Annotations: item.Get("annotations")}
	case "prompts/get":
		in.Prompt = &policy.Prompt{Name: name}
	default:
		uri, template := item.Get("uri"), false
		if !uri.Exists() {
			uri, template = item.Get("uriTemplate"), true
		}
		identified = uri.String() != ""
		in.Resource = policy.ParseResource(uri.String())
		in.Resource.Template = template
	}
	return identified && mcp.CheckNames(item) == nil
}

// private marks a result as meant for this caller alone: the policy changed it,
// or allowed it to this caller, and might not to the next.
func (e *exchange) private(m *mcp.Message) (*mcp.Message, *refusal) {
	if !mcp.Cacheable(e.kind) || !m.Result.Exists() {
		return m, nil
	}
	text := m.Result.With("cacheScope", `"private"`)
	marked, bad := mcp.ParseServer(text)
	if bad != nil {
		return nil, e.reject(policy.Response, mcp.Refuse(http.StatusBadGateway, "the server's answer is malformed", bad.Error()), text)
	}
	return marked, nil
}
