package upstream

import (
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

const metaSubscription = "io.modelcontextprotocol/subscriptionId"

// route carries one message of the server's to whom it concerns.
func (c *session) route(text string) {
	m, bad := mcp.ParseServer(text)
	switch {
	case bad != nil && strings.HasPrefix(strings.TrimSpace(text), "{"):
		c.unreadable(malformed(bad.Error()))
	case bad != nil: // a line that was meant for people
		c.of.Log.Warn("the server wrote what is no message", "bytes", len(text))
	case m.IsResponse():
		c.respond(m)
	case !c.carry(m) && m.IsRequest():
		c.mu.Lock()
		defer c.mu.Unlock()
		_ = c.send(errNobody.Body(m.ID.Text())) // a server that does not read need not know
	}
}

// errNobody is what the server is told when nobody can be asked.
var errNobody = &mcp.Error{Code: codeInternal, Message: "nobody can tell which request this belongs to"}

const codeInternal = -32603

// unreadable fails all requests under way: nobody can tell whose answer it was.
func (c *session) unreadable(bad *mcp.Error) {
	c.mu.Lock()
	calls := slices.Collect(maps.Values(c.calls))
	for _, k := range calls {
		k.fail(bad)
	}
	c.mu.Unlock()
	c.of.Log.Warn("the server's message cannot be read", "cause", bad.Error(), "requests", len(calls))
	for _, k := range calls {
		c.unopened(k)
	}
}

// fail ends a request, or the wish to listen, in place of the server.
func (c *session) fail(k *call, bad *mcp.Error) {
	c.of.Log.Warn("a request was given up", "cause", bad.Error())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls[k.id] == k {
		k.cancel(bad.Message)
	}
	k.fail(bad)
}

// fail lets nothing more come than what has come, and why. The session's lock is held.
func (k *call) fail(bad *mcp.Error) {
	k.answered = true
	k.session.done(k)
	k.inbox.close(own(bad))
}

// unopened ends a session that was not opened after all, by a request that failed.
func (c *session) unopened(k *call) {
	if k.method == "initialize" || k.method == "server/discover" {
		go c.finish(errEnded, func(c *session) bool { return !c.isOpened() && !c.inUse() })
	}
}

// isShared reports whether another than this call waits for the server, and not the
// client alone who says how long.
func (c *session) isShared(k *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	others := len(c.calls)
	if c.calls[k.id] == k {
		others--
	}
	return others > 0 && !c.of.Single
}

// respond gives a response to who waits for it, under the client's own id. One that
// nobody waits for is late. An error without an id is that of the only request.
func (c *session) respond(m *mcp.Message) {
	c.mu.Lock()
	k := c.calls[m.ID.Text()]
	if !m.ID.Exists() {
		k = c.only()
	}
	if k == nil || k.answered {
		c.mu.Unlock()
		return
	}
	k.answered = true
	c.opened = c.opened || m.Result.Exists()
	c.done(k)
	c.mu.Unlock()
	text := m.Text
	if m.ID.Exists() {
		edits := []mcp.Edit{{At: m.ID, New: k.client.Text()}}
		if id := m.Result.Get("_meta").Get(metaSubscription); id.Text() == k.id || id.String() == k.id {
			edits = append(edits, mcp.Edit{At: id, New: k.client.Text()})
		}
		text = m.Root.Splice(edits)
	}
	k.answer(m, text)
}

// named is the request under way that an id on the wire names, in whatever type.
func (c *session) named(id mcp.Value) *call {
	if id.IsString() {
		return c.calls[id.String()]
	}
	return c.calls[id.Text()]
}

// only is the one request under way that the server may tell or ask something for.
func (c *session) only() (only *call) {
	for _, k := range c.calls {
		if k.answered || k.method == "subscriptions/listen" {
			continue
		}
		if only != nil {
			return nil
		}
		only = k
	}
	return only
}

// carry gives a request or notification of the server's to who it is for, and
// reports whether it is for anybody.
func (c *session) carry(m *mcp.Message) bool {
	c.mu.Lock()
	mentions := c.mentions(m)
	k := c.addressee(m, mentions)
	if k == nil {
		defer c.mu.Unlock()
		return len(mentions) == 0 && c.keep(m)
	}
	if m.IsRequest() && len(m.ID.Text()) <= maxID {
		if len(c.asked) == maxAsked {
			clear(c.asked)
		}
		c.asked[mcp.IDKey(m.ID)] = k
	}
	c.mu.Unlock()
	text := m.Text
	if len(mentions) > 0 {
		var edits []mcp.Edit
		for _, at := range mentions {
			edits = append(edits, mcp.Edit{At: at.id, New: at.client(k).Text()})
		}
		text = m.Root.Splice(edits)
	}
	k.deliver(text)
	return true
}

// A mention is where a message names a request under way, and what its client calls it there.
type mention struct {
	id     mcp.Value
	client func(*call) mcp.Value
}

func (k *call) ownID() mcp.Value    { return k.client }
func (k *call) ownToken() mcp.Value { return k.token }

// mentions are all that a message has. The lock is held.
func (c *session) mentions(m *mcp.Message) (all []mention) {
	if id := m.Params.Get("_meta").Get(metaSubscription); id.Exists() {
		all = append(all, mention{id, (*call).ownID})
	}
	switch m.Method {
	case "notifications/progress":
		all = append(all, mention{m.Params.Get("progressToken"), (*call).ownToken})
	case "notifications/cancelled":
		if id := m.Params.Get("requestId"); c.asked[mcp.IDKey(id)] == nil {
			all = append(all, mention{id, (*call).ownID})
		}
	}
	return all
}

// addressee is who a message is for: the one request that all its mentions name. What
// names none is for the only request under way if the server may say or ask it on behalf
// of one, and else for who listens. The lock is held.
func (c *session) addressee(m *mcp.Message, mentions []mention) (k *call) {
	for i, at := range mentions {
		named := c.named(at.id)
		if named == nil || i > 0 && named != k || !at.client(named).Exists() {
			return nil
		}
		k = named
	}
	switch {
	case k != nil:
		return k
	case m.Method == "notifications/cancelled":
		if k = c.asked[mcp.IDKey(m.Params.Get("requestId"))]; k.answered {
			return nil
		}
		return k
	case m.Method == "notifications/message" || m.IsRequest():
		k = c.only()
	}
	if k == nil {
		k = c.listener
	}
	return k
}

// keep keeps a message for who listens next, and reports whether anybody may. Nobody
// ever listens to a principal's own session. A request is not kept while others are
// under way, since it may be part of one of them. The lock is held.
func (c *session) keep(m *mcp.Message) bool {
	size := len(m.Text) + overhead
	if strings.HasPrefix(c.id, ownSession) || c.kept+size > maxKept || m.IsRequest() && len(c.calls) > 0 {
		return false
	}
	c.backlog, c.kept = append(c.backlog, m.Text), c.kept+size
	return true
}
