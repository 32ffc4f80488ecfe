package gateway

import (
	"net/http"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// A task is what a server's task is to the client.
type task struct {
	sealed string // the id that the client knows
	tool   string // that began it
}

// isTask reports whether a method is about a task of the server's.
func isTask(method string) bool { return strings.HasPrefix(method, "tasks/") }

// reveal puts the server's own handles in the place of those that the client
// brings back: task ids and request states. One that this principal was not
// given is unknown.
func (e *exchange) reveal() *mcp.Error {
	var edits []mcp.Edit
	known := true
	reveal := func(kind string, v mcp.Value) string {
		handle, ok := e.g.Handles.open(kind, v.String(), e.x.Server, e.x.Caller)
		known = known && ok
		tool, id, found := strings.Cut(handle, "\x00")
		if kind == taskHandle && found {
			e.know(id, task{v.String(), tool})
			handle = id
		}
		edits = append(edits, mcp.Edit{At: v, New: string(mcp.AppendString(nil, handle))})
		return tool
	}
	p := e.msg.Params
	if isTask(e.msg.Method) {
		e.tool = reveal(taskHandle, p.Get("taskId"))
		known = known && e.tool != ""
	}
	if e.msg.Method == "subscriptions/listen" {
		for id := range p.Get("notifications").Get("taskIds").Items() {
			reveal(taskHandle, id)
		}
	}
	if id := e.msg.RelatedTask(); id.Exists() {
		reveal(taskHandle, id)
	}
	if state := p.Get("requestState"); state.Exists() {
		reveal(stateHandle, state)
	}
	switch {
	case !known:
		return mcp.Unknown("unknown task or request state")
	case len(edits) == 0:
		return nil
	}
	m, bad := mcp.ParseClient(e.msg.Root.Splice(edits))
	if bad == nil {
		e.remirror(m)
		e.msg = m
	}
	return bad
}

func (e *exchange) know(id string, t task) {
	if e.tasks == nil {
		e.tasks = map[string]task{}
	}
	e.tasks[id] = t
}

// conceal seals the handles in a message of the server's. One of a task that
// the client did not ask about has no place in an exchange about tasks.
func (e *exchange) conceal(m *mcp.Message) (*mcp.Message, *mcp.Error) {
	var edits []mcp.Edit
	conceal := func(v mcp.Value, sealed string) {
		edits = append(edits, mcp.Edit{At: v, New: string(mcp.AppendString(nil, sealed))})
	}
	for _, id := range e.taskIDs(m) {
		t, ok := e.tasks[id.String()]
		if !ok && !id.mayBegin {
			return nil, mcp.Refuse(http.StatusBadGateway, "the server's answer is malformed", "a task that was not asked about")
		}
		if !ok {
			if e.msg.Method == "tools/call" {
				t.tool = e.base.Tool.Name
			}
			t.sealed = e.g.Handles.seal(taskHandle, t.tool+"\x00"+id.String(), e.x.Server, e.x.Caller)
			e.know(id.String(), t)
		}
		conceal(id.Value, t.sealed)
	}
	if m.Method == "notifications/cancelled" && !e.modern() {
		id := m.Params.Get("requestId")
		sealed, bad := e.cancelled(id)
		if bad != nil {
			return nil, bad
		}
		conceal(id, sealed)
	}
	if state := m.Result.Get("requestState"); state.IsString() {
		conceal(state, e.g.Handles.seal(stateHandle, state.String(), e.x.Server, e.x.Caller))
	}
	if len(edits) == 0 {
		return m, nil
	}
	return mcp.ParseServer(m.Root.Splice(edits))
}

// A taskID is the id of a server's task in a message of the server's.
type taskID struct {
	mcp.Value
	mayBegin bool // the client need not have heard of it
}

func (e *exchange) taskIDs(m *mcp.Message) (ids []taskID) {
	add := func(v mcp.Value, mayBegin bool) {
		if v.IsString() {
			ids = append(ids, taskID{v, mayBegin})
		}
	}
	add(m.RelatedTask(), true)
	switch {
	case isTask(e.msg.Method) && m.IsResponse():
		add(m.Result.Get("taskId"), false)
	case e.msg.Method == "tools/call" && m.IsResponse():
		add(m.Result.Get("task").Get("taskId"), true) // of 2025-11-25
		if begins(m) {
			add(m.Result.Get("taskId"), true)
		}
	case isTaskNotification(m.Method):
		add(m.Params.Get("taskId"), false)
	case m.Method == "notifications/subscriptions/acknowledged":
		for id := range m.Params.Get("notifications").Get("taskIds").Items() {
			add(id, false)
		}
	}
	return ids
}

// begins reports whether a result is a task in place of what was asked for.
func begins(m *mcp.Message) bool { return m.Result.Get("resultType").String() == "task" }

func isTaskNotification(method string) bool {
	return method == "notifications/tasks" || strings.HasPrefix(method, "notifications/tasks/")
}

// toolOf is the tool that began a task of this exchange, by the client's id of it.
func (e *exchange) toolOf(sealed mcp.Value) string {
	for _, t := range e.tasks {
		if t.sealed == sealed.String() {
			return t.tool
		}
	}
	return ""
}

// judgeTask judges the outcome of a task as that of the call that began it.
func (e *exchange) judgeTask(m *mcp.Message, in policy.Input, at part) (*mcp.Message, *refusal) {
	in.Kind, in.Phase = "tools/call", policy.Response
	for _, member := range []string{"result", "error"} {
		outcome := at(m).Get(member)
		if !outcome.Exists() {
			continue
		}
		s := subject{in: in, msg: m, at: at, member: member}
		if member == "result" {
			s.in.Response = outcome
		} else {
			s.in.Error = outcome
		}
		s, refused := e.judge(s)
		if refused != nil {
			return nil, refused
		}
		m = s.msg
	}
	return m, nil
}
