package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// relay carries the server's answer back to the client.
func (e *exchange) relay(ctx context.Context, a *mcp.Answer) {
	head := &mcp.Answer{Status: a.Status, Retry: a.Retry}
	if a.Session != "" && a.Session != e.session && !e.modern() { // some servers repeat it; sealed anew it would look like another
		head.Session = e.g.Handles.seal(sessionHandle, a.Session, e.x.Server, e.x.Caller)
		e.session = a.Session // of what the server asks in this very stream
	}
	switch {
	case a.Events != nil && (a.Status == http.StatusOK || a.Status == 0):
		e.stream(ctx, head, a.Events)
	case e.msg.IsRequest():
		e.respond(head, a.Text)
	default:
		e.acknowledge(head)
	}
}

// acknowledge answers what has no response: a notification, a client's answer,
// the wish to listen or to end the session.
func (e *exchange) acknowledge(head *mcp.Answer) {
	switch {
	case head.Status >= 300, head.Status == http.StatusOK && e.x.Verb == http.MethodGet:
		e.refuse(e.reject(policy.Response, upstreamAnswered(head.Status), ""))
	case e.x.Verb == http.MethodPost:
		e.answer(&mcp.Answer{Status: http.StatusAccepted, Session: head.Session})
	default:
		e.answer(head)
	}
}

// upstreamAnswered is what the client gets when the server answered with a
// status and no message. What would concern the gateway's own credentials, or
// lead the client elsewhere, is not passed on.
func upstreamAnswered(status int) *mcp.Error {
	cause := http.StatusText(status)
	if status < 400 || status == http.StatusUnauthorized || status == http.StatusProxyAuthRequired {
		status = http.StatusBadGateway
	}
	return mcp.Refuse(status, "the server gave no answer", "it answered "+cause)
}

// respond answers a request with the one message that the server gave.
func (e *exchange) respond(head *mcp.Answer, text string) {
	if head.Status != http.StatusOK && upstreamAnswered(head.Status).Status != head.Status {
		e.refuse(e.reject(policy.Response, upstreamAnswered(head.Status), text))
		return
	}
	m, bad := mcp.ParseServer(text)
	switch {
	case head.Status != http.StatusOK && (bad != nil || !m.Error.Exists()):
		bad = upstreamAnswered(head.Status)
	case bad != nil:
		bad = mcp.Refuse(http.StatusBadGateway, "the server's answer is malformed", bad.Error())
	default:
		m, bad = e.matches(m)
	}
	if bad != nil {
		e.refuse(e.reject(policy.Response, bad, text))
		return
	}
	passed, refused := e.judgeResponse(m)
	if refused != nil {
		e.refuse(refused)
		return
	}
	e.span.Answered(passed)
	head.Text = passed.Text
	e.answer(head)
}

// matches makes sure that a message is the response to the request. An error
// that the server gave without an id is given this one.
func (e *exchange) matches(m *mcp.Message) (*mcp.Message, *mcp.Error) {
	if m.IsResponse() && m.Error.Exists() && !m.ID.Exists() {
		return mcp.ParseServer(m.Root.With("id", e.msg.ID.Text()))
	}
	if !m.IsResponse() || !mcp.SameID(m.ID, e.msg.ID) {
		return nil, mcp.Refuse(http.StatusBadGateway, "the server's answer is malformed", "it answers another request")
	}
	e.span.Received(m)
	return e.conceal(m)
}

// stream carries events as they come, up to the response to the request.
func (e *exchange) stream(ctx context.Context, head *mcp.Answer, events mcp.Events) {
	if e.x.Verb == http.MethodGet && e.event(head, mcp.Event{}) != nil {
		return
	}
	for {
		ev, err := events.Next()
		if err != nil {
			e.ended(ctx, head, err)
			return
		}
		if ev.Data == "" {
			if e.event(head, mcp.Event{Retry: ev.Retry}) != nil {
				e.left()
				return
			}
			continue
		}
		if done := e.carry(ctx, head, ev); done {
			return
		}
	}
}

// ended answers a request whose stream ended without the response.
func (e *exchange) ended(ctx context.Context, head *mcp.Answer, err error) {
	if ctx.Err() != nil {
		e.left()
		return
	}
	if !e.msg.IsRequest() {
		return
	}
	bad := mcp.Refuse(http.StatusBadGateway, "the server gave no answer", "the stream broke")
	var known *mcp.Error
	switch {
	case errors.As(err, &known):
		bad = known
	case errors.Is(err, io.EOF):
		bad.Cause = "the stream ended"
	case errors.Is(err, context.DeadlineExceeded):
		bad.Status, bad.Code, bad.Cause = http.StatusGatewayTimeout, http.StatusGatewayTimeout, "the stream stalled"
	case errors.Is(err, mcp.ErrCancelled):
		e.span.Refused(e.reject(policy.Response, errLeft(), "").Error)
		_ = e.event(head, mcp.Event{}) // nothing more than an end: the client asked for no answer
		return
	}
	e.refuse(e.reject(policy.Response, bad, ""))
}

// carry judges one message of a stream and sends it on if it may pass. It
// reports whether the stream is over. What has no place here is dropped.
func (e *exchange) carry(ctx context.Context, head *mcp.Answer, ev mcp.Event) (done bool) {
	m, bad := mcp.ParseServer(ev.Data)
	if bad == nil && ev.Name != "" && ev.Name != "message" {
		bad = mcp.Refuse(http.StatusBadGateway, "unknown event", "")
	}
	if bad == nil && m.IsResponse() {
		if m, bad = e.matches(m); bad == nil {
			return e.finish(head, m)
		}
	}
	if bad == nil && m.IsRequest() && e.modern() {
		bad = mcp.Refuse(http.StatusBadGateway, "a request from the server", "this revision has none")
	}
	if bad == nil {
		m, bad = e.conceal(m)
	}
	if bad != nil {
		e.reject(policy.Response, bad, ev.Data)
		return false
	}
	var refused *refusal
	if m.IsRequest() {
		m, refused = e.judgeAsked(ctx, m)
	} else {
		m, refused = e.judgeNotification(m)
	}
	if refused != nil || e.event(head, mcp.Event{Data: m.Text}) == nil {
		return false
	}
	e.left()
	return true
}

// left records that the client did not wait for the response to its request. To
// leave is how it ends a subscription.
func (e *exchange) left() {
	if e.msg.IsRequest() && e.msg.Method != "subscriptions/listen" {
		e.span.Refused(e.reject(policy.Response, errLeft(), "").Error)
	}
}

// errLeft is what records say of a client that did not wait for its answer.
func errLeft() *mcp.Error { return mcp.Refuse(499, "the client left", "") }

// finish ends the stream with the response.
func (e *exchange) finish(head *mcp.Answer, m *mcp.Message) bool {
	passed, refused := e.judgeResponse(m)
	if refused != nil {
		e.refuse(refused)
		return true
	}
	e.span.Answered(passed)
	status := head.Status
	if status == 0 {
		status = e.statusOf(passed)
	}
	if status != http.StatusOK {
		e.answer(&mcp.Answer{Status: status, Session: head.Session, Text: passed.Text})
		return true
	}
	_ = e.event(head, mcp.Event{Data: passed.Text}) // a client that has left needs no answer
	return true
}

// statusOf is the HTTP status that a response has from a server that speaks HTTP.
func (e *exchange) statusOf(m *mcp.Message) int {
	if e.modern() {
		switch m.Error.Get("code").Text() {
		case "-32601":
			return http.StatusNotFound
		case "-32602", "-32020", "-32021", "-32022":
			return http.StatusBadRequest
		}
	}
	return http.StatusOK
}

// judgeNotification judges what the server tells without being asked. To the
// policy its params are what a result is.
func (e *exchange) judgeNotification(m *mcp.Message) (*mcp.Message, *refusal) {
	s := subject{in: e.base, msg: m, at: rootOf, member: "params"}
	s.in.Phase, s.in.Kind = policy.Response, m.Method
	switch {
	case m.Method == "notifications/resources/updated":
		s.in.Resource = policy.ParseResource(m.Params.Get("uri").String())
	case isTaskNotification(m.Method):
		s.in.Tool = e.g.tool(e.x.Server, e.toolOf(m.Params.Get("taskId")))
		var refused *refusal
		if s.msg, refused = e.judgeParts(m, s.in, paramsOf); refused != nil {
			return nil, refused
		}
	}
	s.in.Response = s.msg.Params
	s, refused := e.judge(s)
	return s.msg, refused
}

// judgeAsked judges a server's request to the client. One that passes may be
// answered by this principal; one that does not is answered here.
func (e *exchange) judgeAsked(ctx context.Context, m *mcp.Message) (*mcp.Message, *refusal) {
	s := subject{in: e.base, msg: m, at: rootOf, member: "params"}
	s.in.Phase, s.in.Kind, s.in.Params = policy.ServerRequest, m.Method, m.Params
	s.in.Begin()
	if isTask(m.Method) || m.Params.Get("task").Exists() {
		refused := e.reject(policy.ServerRequest, mcp.NoMethod("tasks of the client's"), m.Text)
		e.tellServer(ctx, refused.Body(m.ID.Text()))
		return nil, refused
	}
	s, refused := e.judge(s)
	if refused == nil {
		var bad *mcp.Error
		if s.msg, bad = e.ask(s.msg); bad == nil {
			return s.msg, nil
		}
		refused = e.reject(policy.ServerRequest, bad, m.Text)
	}
	e.tellServer(ctx, refused.Body(m.ID.Text()))
	return nil, refused
}

// tellServer answers a server's request in the client's place.
func (e *exchange) tellServer(ctx context.Context, text string) {
	h := http.Header{}
	if v := e.x.Header.Get(mcp.HeaderVersion); v != "" {
		h.Set(mcp.HeaderVersion, v)
	}
	if e.session != "" {
		h.Set(mcp.HeaderSession, e.session)
	}
	a, bad := e.upstream.Send(ctx, e.outgoing(http.MethodPost, h, text))
	if bad != nil {
		e.g.Log.Error("upstream failed", "server", e.x.Server, "error", bad.Cause)
		return
	}
	a.Close()
}
