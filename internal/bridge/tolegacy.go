package bridge

import (
	"context"
	"net/http"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// toLegacy has a legacy server serve a modern client's message. met is false if the server turns out to be
// no such server; nothing was done then.
func (b *Bridge) toLegacy(ctx context.Context, out *mcp.Outgoing) (a *mcp.Answer, met bool, bad *mcp.Error) {
	if out.Verb != http.MethodPost {
		return &mcp.Answer{Status: http.StatusMethodNotAllowed}, true, nil
	}
	m, bad := mcp.ParseClient(out.Text)
	if bad != nil {
		return nil, true, bad
	}
	if a := unfit(m); a != nil {
		return a, true, nil
	}
	k, bad := b.kept.get(ctx, out, m)
	if bad != nil || k.refused {
		return nil, false, bad
	}
	defer b.kept.release(k)
	b.refuses.Store(modern)
	a, bad = b.serve(ctx, k, out, m)
	return a, true, bad
}

// unfit answers what is not a message of the modern era.
func unfit(m *mcp.Message) *mcp.Answer {
	id := m.ID.Text()
	switch {
	case m.Method == "notifications/cancelled": // over HTTP, to leave is to cancel
		return &mcp.Answer{Status: http.StatusAccepted}
	case !m.IsRequest():
		return &mcp.Answer{Status: http.StatusBadRequest}
	case m.Version() != mcp.Modern:
		data := `{"supported":["` + mcp.Modern + `"],"requested":` + quote(m.Version()) + `}`
		return &mcp.Answer{Status: http.StatusBadRequest, Text: errorText(id, codeWrongVersion, "unsupported protocol version", data)}
	case !m.Params.Get("_meta").Get(metaCapabilities).IsObject():
		return invalidParams(id, "_meta lacks the client's capabilities")
	case legacyOnly[m.Method] || strings.HasPrefix(m.Method, "tasks/"):
		return noMethod(id)
	}
	return nil
}

// legacyOnly are the methods that modern servers do not have.
var legacyOnly = map[string]bool{
	"initialize": true, "ping": true, "logging/setLevel": true,
	"resources/subscribe": true, "resources/unsubscribe": true,
}

// asking are the methods during which a server may ask the client.
var asking = map[string]bool{"tools/call": true, "prompts/get": true, "resources/read": true}

// serve answers a modern client's request.
func (b *Bridge) serve(ctx context.Context, k *session, out *mcp.Outgoing, m *mcp.Message) (*mcp.Answer, *mcp.Error) {
	switch {
	case m.Method == "server/discover":
		return answered(resultText(m.ID.Text(), k.discovered())), nil
	case m.Method == "subscriptions/listen":
		return k.listen(ctx, m)
	case m.Params.Get("requestState").Exists():
		return b.resume(ctx, out, m)
	}
	k.raise(m)
	for again := false; ; again = true {
		c := &call{k: k, id: k.newID(), method: m.Method, sent: m.Params.Get("_meta").Get("progressToken")}
		a, bad := c.begin(ctx, out, m)
		if again || k.id == "" || !isGone(a, bad, c.id) {
			return a, bad
		}
		b.kept.lost(k, bad != nil || a.Status == http.StatusNotFound)
		next, bad := b.kept.get(ctx, out, m)
		if bad != nil {
			return nil, bad
		}
		if next.refused {
			b.refuses.Store(none)
			return b.inner.Send(ctx, out)
		}
		defer b.kept.release(next)
		k = next
	}
}

// A call is a request at a legacy server, on behalf of the modern client whose turn it is to wait.
type call struct {
	k      *session
	id     string // of the request at the server
	method string
	digest digest
	sent   mcp.Value // the progress token that the server knows
	cancel context.CancelFunc
	events mcp.Events
}

// begin sends the request. The exchange with the server may outlive the client's: ctx ends it only as long as
// the client waits.
func (c *call) begin(ctx context.Context, out *mcp.Outgoing, m *mcp.Message) (*mcp.Answer, *mcp.Error) {
	within, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.cancel = cancel
	t := c.turn(ctx, m)
	params := with(m.Params, "_meta", plainMeta(m.Params.Get("_meta")), "task", "", "inputResponses", "", "requestState", "")
	a, bad := c.k.b.inner.Send(within, c.k.outgoing(out, http.MethodPost, requestText(c.id, m.Method, params)))
	switch {
	case bad != nil:
		if ctx.Err() != nil {
			c.tellCancelled()
		}
	case a.Events != nil:
		if asking[m.Method] {
			c.digest = digestOf(m)
		}
		c.events = a.Events
		c.k.b.kept.hold(c.k)
		return &mcp.Answer{Events: t}, nil
	case a.Text != "":
		a = t.translated(a)
	}
	t.leave()
	cancel()
	return a, bad
}

// tellCancelled tells the server that nobody waits for the response. Over HTTP, legacy servers do not take it
// for that when a client leaves.
func (c *call) tellCancelled() {
	k := c.k
	k.b.kept.jobs.Go(func() {
		k.tell(http.MethodPost, notificationText("notifications/cancelled", `{"requestId":`+c.id+`}`))
	})
}

// abandon ends a call that has not ended by itself.
func (c *call) abandon() {
	c.tellCancelled()
	c.end()
}

// end gives back what the call holds.
func (c *call) end() {
	_ = c.events.Close() // nothing is left to be read
	c.cancel()
	c.k.b.kept.release(c.k)
}
