package gateway

import (
	"context"
	"net/http"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
	"github.com/gatehouse-mcp/gatehouse/internal/trace"
)

// An exchange is the state of one message on its way, used by one goroutine.
type exchange struct {
	g     *Gateway
	x     *Exchange
	reply Reply

	upstream Upstream
	msg      *mcp.Message      // what will be sent; without any member for GET and DELETE
	session  string            // the server's own session id, or empty
	tasks    map[string]task   // the tasks that the exchange is about, by the server's own ids
	tool     string            // that began the task that is asked about, or empty
	kind     string            // the method that the message asks for, or that it answers
	base     policy.Input      // what the policy is told in every phase
	snapshot *policy.Snapshot  // nil if nothing is judged
	shared   audit.Shared      // of all its records
	begun    bool              // a stream to the client has begun
	span     *trace.Span       // nil if nothing is traced
	asked    map[string]string // by the server's ids: what the client knows its request by
}

// receive parses the message and finds out what it is about.
func (e *exchange) receive() *refusal {
	g, x := e.g, e.x
	e.msg = &mcp.Message{}
	var bad *mcp.Error
	if x.Verb == http.MethodPost {
		if e.msg, bad = mcp.ParseClient(x.Text); bad == nil {
			if x.Transport == OverStdio {
				mcp.Mirror(x.Header, e.msg)
			}
			bad = mcp.CheckHeaders(x.Header, e.msg)
		}
	}
	if bad == nil {
		bad = x.Refused
	}
	if bad == nil {
		bad = e.findServer()
	}
	if bad == nil {
		bad = e.findKind()
	}
	if bad == nil {
		bad = e.reveal()
	}
	e.traced()
	if bad != nil {
		return e.reject(policy.Request, bad, x.Text)
	}
	if g.Mode != Off {
		e.snapshot = g.Policy.Pin()
	}
	e.describe()
	return nil
}

func (e *exchange) findServer() *mcp.Error {
	var ok bool
	if e.upstream, ok = e.g.Upstreams[e.x.Server]; !ok {
		return mcp.Refuse(http.StatusNotFound, "unknown server", "")
	}
	sealed := e.x.Header.Get(mcp.HeaderSession)
	if sealed == "" || e.modern() {
		return nil
	}
	if e.session, ok = e.g.Handles.open(sessionHandle, sealed, e.x.Server, e.x.Caller); !ok {
		return mcp.Refuse(http.StatusNotFound, "unknown session", "")
	}
	return nil
}

// findKind tells what the message is about. A client's response must answer a
// request that the server made to this principal.
func (e *exchange) findKind() *mcp.Error {
	e.kind = e.msg.Method
	if e.x.Verb != http.MethodPost {
		return nil
	}
	if e.msg.IsResponse() {
		return e.answered()
	}
	if e.msg.Method == "tasks/list" {
		return mcp.NoMethod("nobody can tell whose tasks they are")
	}
	if e.msg.Method == "tools/call" && e.modern() {
		tool := e.g.catalog.find(e.x.Server, e.msg.Target())
		if e.x.Transport == OverStdio {
			mcp.MirrorParams(e.x.Header, e.msg.Params.Get("arguments"), tool.params)
			return nil
		}
		return mcp.CheckParams(e.x.Header, e.msg.Params.Get("arguments"), tool.params)
	}
	return nil
}

// version is the protocol revision of the message, as far as it is told.
func (e *exchange) version() string {
	if v := e.x.Header.Get(mcp.HeaderVersion); v != "" {
		return v
	}
	if e.msg.Method == "initialize" {
		return e.msg.Params.Get("protocolVersion").String()
	}
	return ""
}

// modern reports whether the message is of the stateless era.
func (e *exchange) modern() bool { return e.x.Header.Get(mcp.HeaderVersion) >= mcp.Modern }

// describe prepares what the policy is told in every phase of the exchange.
func (e *exchange) describe() {
	x, m := e.x, e.msg
	e.base = policy.Input{
		Kind: e.kind, Server: x.Server, Params: m.Params, RequestIP: x.RequestIP,
		ProtocolVersion: e.version(), Transport: x.Transport,
		User: policy.User{ID: x.Caller.ID, Roles: x.Caller.Roles, Auth: x.Caller.Auth, Claims: x.Caller.Claims},
	}
	if x.Transport != OverStdio { // they would only say again what the message says
		e.base.Headers = x.Header
	}
	client := m.Params.Get("_meta").Get("io.modelcontextprotocol/clientInfo")
	if m.Method == "initialize" {
		client = m.Params.Get("clientInfo")
	}
	e.base.ClientName, e.base.ClientVersion = client.Get("name").String(), client.Get("version").String()
	e.g.describeTarget(&e.base, m)
	if e.tool != "" {
		e.base.Tool = e.g.tool(x.Server, e.tool)
	}
	e.base.Begin()
}

// describeTarget fills in the tool, resource or prompt that a message is about.
func (g *Gateway) describeTarget(in *policy.Input, m *mcp.Message) {
	switch m.Method {
	case "tools/call":
		in.Tool = g.tool(in.Server, m.Params.Get("name").String())
		in.Tool.Args = m.Params.Get("arguments")
	case "prompts/get":
		in.Prompt = &policy.Prompt{Name: m.Params.Get("name").String(), Args: m.Params.Get("arguments")}
	case "resources/read", "resources/subscribe", "resources/unsubscribe", "notifications/resources/updated":
		if uri := m.Params.Get("uri"); uri.Exists() {
			in.Resource = policy.ParseResource(uri.String())
		}
	case "completion/complete":
		ref := m.Params.Get("ref")
		if uri := ref.Get("uri"); uri.Exists() {
			in.Resource = policy.ParseResource(uri.String())
		} else {
			in.Prompt = &policy.Prompt{Name: ref.Get("name").String()}
		}
	}
}

// tool describes a server's tool, apart from its arguments.
func (g *Gateway) tool(server, name string) *policy.Tool {
	return &policy.Tool{Name: name, Annotations: g.catalog.find(server, name).annotations}
}

// send sends the message as it was judged. Of the client's headers only those
// of the protocol and of tracing go with it.
func (e *exchange) send(ctx context.Context) (*mcp.Answer, *refusal) {
	h := http.Header{}
	for name, values := range e.x.Header {
		if forwarded[name] || e.modern() && strings.HasPrefix(name, mcp.HeaderParam) {
			h[name] = values
		}
	}
	if e.msg.Method == "tools/call" && !e.modern() { // for a server of the other era
		mcp.MirrorParams(h, e.msg.Params.Get("arguments"), e.g.catalog.find(e.x.Server, e.msg.Target()).params)
	}
	if e.session != "" {
		h.Set(mcp.HeaderSession, e.session)
	}
	text := e.span.Sending(h, e.msg)
	answer, bad := e.upstream.Send(ctx, e.outgoing(e.x.Verb, h, text))
	switch {
	case bad == nil:
		return answer, nil
	case ctx.Err() != nil:
		return nil, e.reject(policy.Response, errLeft(), "")
	}
	e.g.Log.Error("upstream failed", "server", e.x.Server, "status", bad.Status, "error", bad.Cause)
	return nil, e.reject(policy.Response, bad, "")
}

// untilParting bounds an exchange that would never end: one of a client that only
// listens, and can do so elsewhere.
func (e *exchange) untilParting(ctx context.Context) (bounded context.Context, done func()) {
	if e.g.Parting == nil || e.x.Verb != http.MethodGet && e.msg.Method != "subscriptions/listen" {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(e.g.Parting, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// outgoing is what goes to the server on behalf of the caller.
func (e *exchange) outgoing(verb string, h http.Header, text string) *mcp.Outgoing {
	return &mcp.Outgoing{Verb: verb, Header: h, Text: text, Principal: e.x.Caller.Key(), Token: string(e.x.Caller.Token)}
}

var forwarded = map[string]bool{
	"Accept": true, "Accept-Language": true, "User-Agent": true,
	"Traceparent": true, "Tracestate": true, "Baggage": true,
	mcp.HeaderVersion: true, mcp.HeaderMethod: true, mcp.HeaderName: true,
}
