package gateway

import (
	"net/http"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// To the client, the id of a server's request is a handle that holds the method,
// the session and the server's own id. So its answer can be told for what it is
// wherever it arrives, and nothing else can be answered.

// Bounds on the requests of one stream whose handles are remembered, so that the
// server can cancel them.
const (
	maxAsked   = 1024
	maxAskedID = 1 << 10 // bytes of an id, which the handle holds
)

// ask gives a server's request the id that the client will know it by.
func (e *exchange) ask(m *mcp.Message) (*mcp.Message, *mcp.Error) {
	if len(m.ID.Text()) > maxAskedID {
		return nil, mcp.Refuse(http.StatusBadGateway, "a request from the server", "its id is too long")
	}
	sealed := e.g.Handles.seal(askedHandle, m.Method+"\x00"+e.session+"\x00"+m.ID.Text(), e.x.Server, e.x.Caller)
	if len(e.asked) == maxAsked {
		clear(e.asked)
	}
	if e.asked == nil {
		e.asked = map[string]string{}
	}
	e.asked[mcp.IDKey(m.ID)] = sealed
	return mcp.ParseServer(m.Root.With("id", string(mcp.AppendString(nil, sealed))))
}

// answered makes a client's answer one to the server's own id, if the server asked
// this principal in this session.
func (e *exchange) answered() *mcp.Error {
	request, ok := e.g.Handles.open(askedHandle, e.msg.ID.String(), e.x.Server, e.x.Caller)
	method, rest, _ := strings.Cut(request, "\x00")
	session, id, _ := strings.Cut(rest, "\x00")
	if !ok || !e.msg.ID.IsString() || session != e.session {
		return mcp.Refuse(http.StatusBadRequest, "invalid request", "a response to nothing that was asked")
	}
	m, bad := mcp.ParseClient(e.msg.Root.With("id", id))
	if bad == nil {
		e.kind, e.msg = method, m
	}
	return bad
}

// cancelled gives a server's word that it no longer waits for an answer the id
// that the client knows.
func (e *exchange) cancelled(id mcp.Value) (string, *mcp.Error) {
	sealed, ok := e.asked[mcp.IDKey(id)]
	if !ok {
		return "", mcp.Refuse(http.StatusBadGateway, "a notification from the server", "it cancels what was not asked here")
	}
	return sealed, nil
}
