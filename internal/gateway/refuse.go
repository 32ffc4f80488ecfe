package gateway

import (
	"net/http"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// refuse tells the client why its message got no further, or why the server's
// answer did not come back. A denied notification is dropped in silence, since
// nothing may answer it.
func (e *exchange) refuse(r *refusal) {
	e.span.Refused(r.Error)
	stdio := e.x.Transport == OverStdio
	if e.msg.IsNotification() && (r.denied || stdio) || stdio && e.msg.Answers() {
		e.answer(&mcp.Answer{Status: http.StatusAccepted})
		return
	}
	id := ""
	switch {
	case e.msg.IsRequest(): // that of a response is the server's, and may be one of the client's own as well
		id = e.msg.ID.Text()
	case stdio:
		id = "null" // as JSON-RPC has it; over HTTP the exchange tells what is answered
	}
	a := &mcp.Answer{Status: r.Status, Text: r.Body(id)}
	// To a client with a session, 404 says that the session is gone.
	if r.denied || r.Status == http.StatusNotFound && r.Code != http.StatusNotFound {
		switch e.style() {
		case StyleJSONRPC:
			a.Status = http.StatusOK
		case StyleToolResult:
			a.Status, a.Text = http.StatusOK, r.ToolResult(id)
		}
	}
	e.answer(a)
}

// style is how a denial of this message looks. Clients of the older revisions
// take an HTTP error for the end of their session.
func (e *exchange) style() string {
	switch e.g.Style {
	case StyleToolResult:
		if e.msg.Method == "tools/call" {
			return StyleToolResult
		}
	case StyleHTTP, StyleJSONRPC:
		return e.g.Style
	}
	version := e.x.Header.Get(mcp.HeaderVersion)
	if version != "" && version < mcp.Modern || version == "" && e.x.Header.Get(mcp.HeaderSession) != "" {
		return StyleJSONRPC
	}
	return StyleHTTP
}

// answer gives the client the one answer it waits for: in the stream, if that
// has begun.
func (e *exchange) answer(a *mcp.Answer) {
	if !e.begun {
		_ = e.reply.Answer(a) // a client that has left needs no answer
		return
	}
	if a.Text != "" {
		_ = e.event(a, mcp.Event{Data: a.Text})
	}
}

// event sends an event in a stream that is begun if need be. Where the server has no
// stream of its own, the gateway tells when to reconnect to one that breaks.
func (e *exchange) event(a *mcp.Answer, ev mcp.Event) error {
	if !e.begun && a.Status == 0 && !e.modern() {
		if err := e.reply.Event(a, mcp.Event{Retry: reconnect}); err != nil {
			return err
		}
	}
	e.begun = true
	return e.reply.Event(a, ev)
}

// reconnect is when clients should, in milliseconds.
const reconnect = "1000"
