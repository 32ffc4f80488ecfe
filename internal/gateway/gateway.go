// Package gateway is the path of a message: received from a client, judged,
// sent to a server, and back, judged again. It enforces what the policy
// decides and records it.
package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
	"github.com/gatehouse-mcp/gatehouse/internal/trace"
)

// An Upstream is one MCP server.
type Upstream interface {
	// Send sends a message and returns the head of the answer. An error tells
	// by its Status whether the server was down (502) or late (504). When ctx
	// ends, so does the exchange with the server.
	Send(ctx context.Context, out *mcp.Outgoing) (*mcp.Answer, *mcp.Error)
}

// Policy gives the snapshot that an exchange is judged by.
type Policy interface {
	// Pin returns nil if no bundle was ever loaded.
	Pin() *policy.Snapshot
}

// Modes of enforcement.
const (
	Off        = "off"
	Permissive = "permissive"
	Enforce    = "enforce"
)

// Transports of a client.
const (
	OverHTTP  = "http"
	OverStdio = "stdio" // messages alone: no headers and no statuses
)

// Deny styles.
const (
	StyleAuto       = "auto"
	StyleHTTP       = "http"
	StyleJSONRPC    = "jsonrpc"
	StyleToolResult = "toolResult"
)

// A Gateway carries messages. Its fields are set before first use.
type Gateway struct {
	Upstreams  map[string]Upstream // by server name
	Policy     Policy
	Configured bool   // a bundle is configured, be it loaded or not
	Mode       string // Off, Permissive or Enforce
	OpenIfNone bool   // pass everything while no bundle was ever loaded
	OpenOnErr  bool   // pass what the policy failed to judge
	Style      string // how a denial looks
	ShowReason bool   // tell the client the policy's reason
	Audit      *audit.Log
	Log        *slog.Logger
	Metrics    *Metrics
	Handles    *Handles
	Candidate  *Candidate    // judged beside the policy in force; may be nil
	Tracer     *trace.Tracer // nil: nothing is traced
	// Parting, where set, lets go of clients that merely listen when it is done.
	Parting context.Context

	catalog catalog
}

// An Exchange is one message from a client, with what its transport knows.
type Exchange struct {
	Server    string
	Caller    *identity.Caller
	RequestIP string
	Transport string      // OverHTTP or OverStdio
	Verb      string      // POST, GET or DELETE
	Header    http.Header // over stdio, the revision that initialize agreed upon
	Text      string      // the message, of a POST
	// Refused, where set, is why the message may not be carried, whatever it is.
	Refused *mcp.Error
}

// A Reply is the client's end of an exchange. Either one Answer or any number
// of events goes out by it.
type Reply interface {
	// Answer gives the whole answer. An empty text is an empty body. session
	// and retry become headers unless they are empty.
	Answer(a *mcp.Answer) error
	// Event sends an event and begins the stream if it has not begun. An event
	// without data is a sign of life.
	Event(a *mcp.Answer, ev mcp.Event) error
}

// Serve carries one message of a client, and all that the server answers.
func (g *Gateway) Serve(ctx context.Context, x *Exchange, reply Reply) {
	if relay := g.Send(ctx, x, reply); relay != nil {
		relay()
	}
}

// Send is the first half of Serve: when it returns, the message is with the
// server, and relay, which must be called, carries back what that answers. It
// is nil if the message got no further; then it has been answered.
func (g *Gateway) Send(ctx context.Context, x *Exchange, reply Reply) (relay func()) {
	e := &exchange{g: g, x: x, reply: reply, span: g.Tracer.Start()}
	defer e.recovered()
	refused := e.accept()
	if refused != nil {
		e.refuse(refused)
		return nil
	}
	ctx, done := e.untilParting(ctx)
	answer, refused := e.send(ctx)
	if refused != nil {
		done()
		e.refuse(refused)
		return nil
	}
	return func() {
		defer e.span.End()
		defer e.recovered()
		defer done()
		defer answer.Close()
		e.relay(ctx, answer)
	}
}

// recovered refuses a message that made the gateway panic, so that a decision is
// never absent. The panic's own text may quote the message.
func (e *exchange) recovered() {
	p := recover()
	if p == nil {
		return
	}
	e.g.Log.Error("panic", "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
	e.refuse(e.reject(policy.Request, mcp.Refuse(http.StatusInternalServerError, "internal error", "a panic"), e.x.Text))
}

// accept receives the message and judges it.
func (e *exchange) accept() *refusal {
	defer admit(e.x.Text)()
	if refused := e.receive(); refused != nil {
		return refused
	}
	return e.judgeMessage()
}

// Reject records a message that was refused before it could be received, and
// answers it.
func (g *Gateway) Reject(x *Exchange, bad *mcp.Error, reply Reply) {
	e := &exchange{g: g, x: x, reply: reply, msg: &mcp.Message{}}
	e.refuse(e.reject(policy.Request, bad, x.Text))
}
