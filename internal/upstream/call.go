package upstream

import (
	"context"
	"io"
	"net/http"
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
	inbox   *inbox
	close   func()

	answered bool // nothing more may come but what is on its way; guarded by the session's lock
}

func newCall(ctx context.Context, c *session, m *mcp.Message, id string) *call {
	k := &call{
		session: c, ctx: ctx, method: m.Method, id: id, client: m.ID,
		token: m.Params.Get("_meta").Get("progressToken"), inbox: newInbox(),
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
	for {
		if text, end := k.inbox.take(); text != "" || end != nil {
			return mcp.Event{Data: text}, end
		}
		select {
		case <-k.inbox.more:
		case <-k.ctx.Done():
			return mcp.Event{}, k.ctx.Err()
		case <-late:
			return mcp.Event{}, context.DeadlineExceeded
		}
	}
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
		k.cancel("the client left")
	}
	k.drop()
}

// cancel tells the server. The session's lock is held.
func (k *call) cancel(reason string) {
	_ = k.session.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + k.id + `,"reason":"` + reason + `"}}`)
}

// drop lets nothing more come. The session's lock is held.
func (k *call) drop() {
	k.session.done(k)
	k.inbox.drop(mcp.ErrCancelled)
}

// errSlow is what becomes of a call whose client does not read what it is told, where
// others wait for the server.
var errSlow = mcp.Refuse(http.StatusServiceUnavailable, "too many messages", "the client does not read them")

// deliver gives a message of the server's to who waits for it. While nobody else does,
// the server waits with it until there is room. Nobody holds up others: where there
// are any, the call fails.
func (k *call) deliver(text string) {
	c := k.session
	for !k.inbox.put(text) {
		if c.isShared(k) {
			c.fail(k, errSlow)
			return
		}
		select {
		case <-k.inbox.room:
		case <-c.joined:
		}
	}
}

// answer gives the response, after which nothing comes, and which the end of the
// session does not take away.
func (k *call) answer(m *mcp.Message, text string) {
	k.inbox.close(io.EOF, text)
	if m.Error.Exists() {
		k.session.unopened(k)
	}
}
