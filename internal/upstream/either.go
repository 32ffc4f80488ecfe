package upstream

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// An Either is a server of which the URL is known, and not whether it speaks
// Streamable HTTP or HTTP+SSE there. It is found out as the specification has it:
// by an initialize that Streamable HTTP refuses, and a stream that then begins with
// an endpoint. What was found stays so. Nothing that may have been executed is sent
// again.
type Either struct {
	HTTP     *HTTP
	Sessions *Sessions // over channels that HTTP.OpenSSE opens

	found atomic.Int32
}

// What an Either has found.
const (
	foundNothing int32 = iota
	foundHTTP
	foundSSE
)

// Send implements gateway.Upstream.
func (e *Either) Send(ctx context.Context, out *mcp.Outgoing) (*mcp.Answer, *mcp.Error) {
	if e.found.Load() == foundSSE {
		return e.Sessions.Send(ctx, out)
	}
	a, bad := e.HTTP.Send(ctx, out)
	switch {
	case bad != nil || e.found.Load() == foundHTTP:
	case out.Verb == http.MethodPost && a.Status == http.StatusOK && (a.Text != "" || a.Events != nil):
		e.found.CompareAndSwap(foundNothing, foundHTTP)
	case refused(out, a) && e.isSSE(ctx, out):
		return e.Sessions.Send(ctx, out)
	}
	return a, bad
}

// refused reports whether an initialize met somebody who does not speak Streamable
// HTTP, and so did not execute it. One who does would say why in JSON-RPC.
func refused(out *mcp.Outgoing, a *mcp.Answer) bool {
	if a.Status != http.StatusBadRequest && a.Status != http.StatusNotFound && a.Status != http.StatusMethodNotAllowed {
		return false
	}
	if m, bad := mcp.ParseServer(a.Text); bad == nil && m.IsResponse() {
		return false
	}
	m, bad := mcp.ParseClient(out.Text)
	return bad == nil && m.IsRequest() && m.Method == "initialize"
}

// isSSE finds out whether the server speaks HTTP+SSE.
func (e *Either) isSSE(ctx context.Context, out *mcp.Outgoing) bool {
	if e.found.Load() == foundSSE {
		return true
	}
	c, err := e.HTTP.OpenSSE(ctx, out)
	if err != nil {
		return false
	}
	_ = c.Close()
	e.found.Store(foundSSE)
	return true
}
