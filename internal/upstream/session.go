package upstream

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A session is one channel and what travels over it. To the server, a request's id
// and its progress token are one number that the session counts, whatever the
// clients call them: so clients that share a channel never meet.
type session struct {
	of            *Sessions
	id, principal string
	since         time.Time
	ready         chan struct{} // closed once the channel is open, or the session over
	over          chan struct{} // closed once it is
	outbox        chan string
	joined        chan struct{} // has a value when another request is under way

	mu       sync.Mutex
	channel  Channel
	bad      *mcp.Error       // why it is over
	calls    map[string]*call // requests under way, by their ids on the wire
	last     uint64           // such id
	listener *call            // for what belongs to no request
	backlog  []string         // of that, while nobody listens
	kept     int              // bytes of it
	asked    map[string]*call // where the server's requests went, by their ids
	queued   int              // bytes in outbox
	used     time.Time        // when the last request ended
	idle     *time.Timer
	old      *time.Timer
	shut     bool // nothing more is to be sent
	opened   bool // a request has had a result
	retired  bool // it ends with the requests under way
}

// Bounds on what waits in a session.
const (
	maxOutbox = 256      // messages for the server
	maxQueued = 16 << 20 // bytes of them
	maxKept   = 1 << 20  // bytes that nobody listens for
	maxAsked  = 1024     // the server's requests that it can still cancel
	maxID     = 1024     // bytes of their ids
)

func newSession(s *Sessions, id, principal string) *session {
	return &session{
		of: s, id: id, principal: principal, since: time.Now(), used: time.Now(),
		ready: make(chan struct{}), over: make(chan struct{}), outbox: make(chan string, maxOutbox), joined: make(chan struct{}, 1),
		calls: map[string]*call{}, asked: map[string]*call{},
	}
}

// open opens the channel, which then carries messages until the session is over.
func (c *session) open(ctx context.Context, out *mcp.Outgoing) {
	defer close(c.ready)
	ch, err := c.of.Open(ctx, out)
	if err != nil {
		c.of.Log.Error("server not reached", "error", err)
		c.of.failed(c)
		bad, known := errors.AsType[*mcp.Error](err)
		if !known {
			bad = mcp.Refuse(http.StatusBadGateway, "the server is down", err.Error())
		}
		c.end(bad)
		c.of.release(c)
		return
	}
	c.mu.Lock()
	if c.bad != nil {
		c.mu.Unlock()
		_ = ch.Close()
		c.of.release(c)
		return
	}
	defer c.mu.Unlock()
	c.channel = ch
	if c.of.Idle > 0 {
		c.idle = time.AfterFunc(c.of.Idle, func() { c.finish(errIdle, func(c *session) bool { return !c.inUse() }) })
	}
	if c.of.Lifetime > 0 {
		c.old = time.AfterFunc(c.of.Lifetime, c.retire)
	}
	c.of.running.Go(func() { c.write(ch) })
	c.of.running.Go(func() { c.read(ch) })
}

// wait waits until the channel is open.
func (c *session) wait(ctx context.Context) *mcp.Error {
	select {
	case <-c.ready:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.bad
	case <-ctx.Done():
		return failure("the server is down", ctx.Err())
	}
}

// end ends the session for that reason, unless it has already ended, and waits
// until its channel is closed.
func (c *session) end(bad *mcp.Error) { c.finish(bad, func(*session) bool { return true }) }

// inUse reports whether anybody waits for something. The lock is held.
func (c *session) inUse() bool { return len(c.calls) > 0 || c.listener != nil }

// busy notes that something more is waited for. The lock is held.
func (c *session) busy() {
	nudge(c.joined)
	if c.idle != nil {
		c.idle.Stop()
	}
}

// own is an error for one reader, who adds to it: that of a session may be many's.
func own(bad *mcp.Error) *mcp.Error {
	mine := *bad
	return &mine
}

// isOpened reports whether the server has taken the session for one. The lock is held.
func (c *session) isOpened() bool { return c.opened || c.of.Single }

// finish is end, where a condition still holds.
func (c *session) finish(bad *mcp.Error, holds func(*session) bool) {
	c.mu.Lock()
	if c.bad != nil || !holds(c) {
		c.mu.Unlock()
		return
	}
	c.bad = bad
	for _, timer := range []*time.Timer{c.idle, c.old} {
		if timer != nil {
			timer.Stop()
		}
	}
	close(c.over)
	for _, k := range c.calls {
		k.inbox.close(own(bad))
	}
	if c.listener != nil {
		c.listener.inbox.close(own(bad))
	}
	ch := c.channel
	c.mu.Unlock()
	c.of.forget(c)
	if ch != nil {
		_ = ch.Close()
		c.of.release(c)
	}
}

// retire lets a session end with the requests that are under way, at last when it is
// twice as old.
func (c *session) retire() {
	c.of.forget(c)
	c.mu.Lock()
	busy := len(c.calls) > 0 && !c.retired
	c.retired = true
	if busy && c.bad == nil {
		c.old.Reset(c.of.Lifetime)
	}
	c.mu.Unlock()
	if !busy {
		c.end(errOld)
	}
}

// idleSince tells since when the session was not used, if it is not in use.
func (c *session) idleSince() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used, !c.inUse() && c.bad == nil
}

// done takes a request, or the listener, off the session. The lock is held.
func (c *session) done(k *call) {
	if c.listener == k {
		c.listener = nil
	}
	delete(c.calls, k.id)
	c.used = time.Now()
	switch {
	case c.inUse() || c.bad != nil:
	case c.retired:
		go c.end(errOld)
	case c.idle != nil:
		c.idle.Reset(c.of.Idle)
	}
}
