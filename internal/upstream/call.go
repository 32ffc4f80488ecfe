package upstream

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A call is a request under way in a session, or the wish to listen: the events of
// its answer.
type call struct {
	session *session
	ctx     context.Context
	method  string
	id      string    // on the wire; empty for the listener
	client  mcp.Value // the client's id of it
	token   mcp.Value // the client's progress token, if it wants to be told
	inbox   chan string
	over    chan struct{} // closed once nobody waits for it any more
	close   func()

	answered bool // the response is on its way to inbox; guarded by the session's lock
}

func newCall(ctx context.Context, c *session, m *mcp.Message, id string) *call {
	k := &call{
		session: c, ctx: ctx, method: m.Method, id: id, client: m.ID,
		token: m.Params.Get("_meta").Get("progressToken"),
		inbox: make(chan string, maxInbox), over: make(chan struct{}),
	}
	k.close = sync.OnceFunc(k.leave)
	return k
}

// Next implements mcp.Events.
func (k *call) Next() (mcp.Event, error) {
	var late <-chan time.Time
	if !k.session.of.Single {
		timer := time.NewTimer(idleTime)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case text, more := <-k.inbox:
		return event(text, more)
	case <-k.ctx.Done():
		return mcp.Event{}, k.ctx.Err()
	case <-late:
		return mcp.Event{}, context.DeadlineExceeded
	case <-k.over:
		return mcp.Event{}, mcp.ErrCancelled
	case <-k.session.over:
	}
	if k.isAnswered() { // and the answer is on its way here
		text, more := <-k.inbox
		return event(text, more)
	}
	select { // what came before the end
	case text, more := <-k.inbox:
		return event(text, more)
	default:
		bad := *k.session.bad // set before over is closed, and never again
		return mcp.Event{}, &bad
	}
}

func (k *call) isAnswered() bool {
	k.session.mu.Lock()
	defer k.session.mu.Unlock()
	return k.answered
}

func event(text string, more bool) (mcp.Event, error) {
	if !more {
		return mcp.Event{}, io.EOF
	}
	return mcp.Event{Data: text}, nil
}

// Close implements mcp.Events. The server is told of a request that nobody waits
// for any longer.
func (k *call) Close() error {
	k.close()
	return nil
}

func (k *call) leave() {
	c := k.session
	c.mu.Lock()
	defer c.mu.Unlock()
	switch waits := c.calls[k.id] == k && !k.answered; {
	case waits && k.method == "initialize": // which may not be cancelled
		if !c.isOpened() {
			go c.end(errEnded)
		}
	case waits:
		_ = c.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + k.id + `,"reason":"the client left"}}`)
	}
	k.drop()
}

// drop lets nothing more come. The session's lock is held.
func (k *call) drop() {
	k.session.done(k)
	select {
	case <-k.over:
	default:
		close(k.over)
	}
}

// deliver gives a message of the server's to who waits for it. It waits until there
// is room, and so does the server.
func (k *call) deliver(text string) {
	select {
	case k.inbox <- text:
		return
	default:
	}
	select {
	case k.inbox <- text:
	case <-k.over:
	case <-k.session.over:
	}
}

// answer gives the response, after which nothing comes, and which the end of the
// session does not take away. A session that was not opened after all ends.
func (k *call) answer(text string, failed bool) {
	select {
	case k.inbox <- text:
	case <-k.over:
	}
	close(k.inbox)
	if failed && (k.method == "initialize" || k.method == "server/discover") {
		go k.session.finish(errEnded, func(c *session) bool { return !c.isOpened() && !c.inUse() })
	}
}
