package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// write sends what waits for the server, until nothing more will.
func (c *session) write(ch Channel) {
	for {
		select {
		case text, more := <-c.outbox:
			if !more {
				if half, ok := ch.(interface{ CloseWrite() error }); ok {
					_ = half.CloseWrite() // its end is seen by the reader
				}
				return
			}
			c.mu.Lock()
			c.queued -= len(text)
			c.mu.Unlock()
			if err := ch.Write(text); err != nil {
				c.broke(err)
				return
			}
		case <-c.over:
			return
		}
	}
}

// read carries what the server says to whom it concerns.
func (c *session) read(ch Channel) {
	for {
		text, err := ch.Read()
		switch {
		case errors.Is(err, mcp.ErrTooLong):
			c.unreadable(mcp.Refuse(http.StatusBadGateway, "the server's answer is too long", ""))
		case err != nil:
			c.broke(err)
			return
		default:
			c.route(text)
		}
	}
}

// broke ends a session whose channel has ended by itself.
func (c *session) broke(err error) {
	cause := "it ended"
	if !errors.Is(err, io.EOF) {
		cause = err.Error()
	}
	c.mu.Lock()
	unexpected := c.bad == nil
	c.mu.Unlock()
	if unexpected {
		c.of.failed(c)
		c.of.Log.Warn("server ended", "cause", cause, "after", time.Since(c.since).Round(time.Millisecond).String())
	}
	c.end(mcp.Refuse(http.StatusBadGateway, "the server ended", cause))
}

func (c *session) closeWrite() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.shut {
		c.shut = true
		close(c.outbox)
	}
}

// send puts a message in line for the server. The lock is held.
func (c *session) send(text string) *mcp.Error {
	switch {
	case c.bad != nil:
		return c.bad
	case c.shut:
		return errEnded
	}
	if c.queued+len(text) <= maxQueued || c.queued == 0 {
		select {
		case c.outbox <- text:
			c.queued += len(text)
			return nil
		default:
		}
	}
	return mcp.Refuse(http.StatusServiceUnavailable, "the server is busy", "it does not read")
}

// request sends a request. What comes of it is the answer's events.
func (c *session) request(ctx context.Context, m *mcp.Message) (*mcp.Answer, *mcp.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	k := newCall(ctx, c, m, strconv.FormatUint(c.last, 10))
	edits := []mcp.Edit{{At: m.ID, New: k.id}}
	if k.token.Exists() {
		edits = append(edits, mcp.Edit{At: k.token, New: k.id})
	}
	if bad := c.send(m.Root.Splice(edits)); bad != nil {
		return nil, bad
	}
	c.calls[k.id] = k
	c.busy()
	a := &mcp.Answer{Events: k}
	if m.Method == "initialize" {
		a.Session = c.id
	}
	return a, nil
}

// tell sends what has no answer. A request that is cancelled, the server knows by
// another id; one that nobody made, or several did, is not cancelled.
func (c *session) tell(m *mcp.Message) (*mcp.Answer, *mcp.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, taken := m.Text, &mcp.Answer{Status: http.StatusAccepted}
	if m.Method == "notifications/cancelled" {
		id := m.Params.Get("requestId")
		k := c.requested(id)
		if k == nil {
			return taken, nil
		}
		text = id.Replace(k.id)
		defer k.drop()
	}
	if bad := c.send(text); bad != nil {
		return nil, bad
	}
	return taken, nil
}

// requested is the one request under way that a client knows by that id.
func (c *session) requested(id mcp.Value) (found *call) {
	for _, k := range c.calls {
		if !k.answered && mcp.SameID(k.client, id) {
			if found != nil {
				return nil
			}
			found = k
		}
	}
	return found
}

// listen gives what belongs to no request, from what waits for a listener on.
func (c *session) listen(ctx context.Context) (*mcp.Answer, *mcp.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.bad != nil:
		return nil, c.bad
	case c.listener != nil:
		return nil, mcp.Refuse(http.StatusConflict, "conflict", "the session has a listener")
	}
	c.listener = newCall(ctx, c, &mcp.Message{}, "")
	for _, text := range c.backlog {
		c.listener.inbox.put(text)
	}
	c.backlog, c.kept = nil, 0
	c.busy()
	return &mcp.Answer{Status: http.StatusOK, Events: c.listener}, nil
}
