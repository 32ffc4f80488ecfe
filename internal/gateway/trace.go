package gateway

import "github.com/gatehouse-mcp/gatehouse/internal/trace"

// traced begins the span of the message, as far as it was understood.
func (e *exchange) traced() {
	if e.span == nil {
		return
	}
	x, m := e.x, e.msg
	about := &trace.Message{Verb: x.Verb, Version: e.version(), Transport: "tcp", Client: x.RequestIP}
	method := m.Method
	if e.kind != "" { // that of what a response answers
		method = e.kind
	}
	if method != "" {
		about.Method = label(method)
	}
	if x.Transport == OverStdio {
		about.Transport = "pipe"
	}
	if e.upstream != nil {
		about.Server = x.Server
	}
	if m.IsRequest() {
		about.ID = m.ID
	}
	switch m.Method {
	case "tools/call":
		about.Tool = m.Target()
		about.Known = e.g.catalog.knows(x.Server, about.Tool)
	case "prompts/get":
		about.Prompt = m.Target()
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		about.Resource = m.Params.Get("uri").String()
	}
	e.span.Begin(about, x.Header, m.Params.Get("_meta"))
}
