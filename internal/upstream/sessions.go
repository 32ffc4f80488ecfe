package upstream

import (
	"context"
	"crypto/rand"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// Sessions is a server that is reached over channels: one for each session of the
// older revisions, and one for each principal of the newer, so that principals
// never meet in a process. A channel is opened on demand, and ended with its
// session, when it is idle, and when it is old.
//
// Its fields are set before first use; many goroutines may then use it at once.
type Sessions struct {
	// Open opens a channel for the principal of a message. It is not bound to the
	// exchange that the message is part of.
	Open func(ctx context.Context, out *mcp.Outgoing) (Channel, error)
	// Single: there is but one channel, all messages go over it, and nobody but the
	// client says how long it waits for an answer.
	Single bool
	// Slots holds one value for each open channel. Servers may share it.
	Slots chan struct{}
	// PerPrincipal is how many channels one principal may have open. One more takes the
	// place of the one that has been idle for longest. While more than so many others
	// of the principal's are too old, or about to end, it opens none.
	PerPrincipal int
	// Idle and Lifetime are how long a channel may be unused, and be used; 0: for ever.
	// What is under way at the end of its lifetime may take as long again.
	Idle, Lifetime time.Duration
	Log            *slog.Logger // names the server

	mu       sync.Mutex
	sessions map[string]*session // by id
	taken    map[*session]bool   // those that have a slot
	failures failures
	running  sync.WaitGroup
}

// Send implements gateway.Upstream. The message is written, after all that were
// sent before it, when Send returns. What belongs to a request, and its response in
// the end, are the events of an answer without a status. GET listens for what
// belongs to no request, and DELETE ends the session.
func (s *Sessions) Send(ctx context.Context, out *mcp.Outgoing) (*mcp.Answer, *mcp.Error) {
	a, bad := s.send(ctx, out)
	if bad != nil {
		bad = own(bad)
	}
	return a, bad
}

func (s *Sessions) send(ctx context.Context, out *mcp.Outgoing) (*mcp.Answer, *mcp.Error) {
	m := &mcp.Message{}
	if out.Verb == http.MethodPost {
		var bad *mcp.Error
		if m, bad = mcp.ParseClient(out.Text); bad != nil {
			return nil, bad
		}
	}
	c, a, bad := s.sendOnce(ctx, out, m)
	if bad != nil && c != nil && c.id != out.Header.Get(mcp.HeaderSession) && bad.Status == http.StatusNotFound {
		s.forget(c) // it ended just now, and the client knows nothing of it
		_, a, bad = s.sendOnce(ctx, out, m)
	}
	return a, bad
}

func (s *Sessions) sendOnce(ctx context.Context, out *mcp.Outgoing, m *mcp.Message) (c *session, a *mcp.Answer, bad *mcp.Error) {
	if c, bad = s.find(ctx, out, m); bad == nil {
		a, bad = c.take(ctx, out.Verb, m)
	}
	return c, a, bad
}

// take takes a message of the client's.
func (c *session) take(ctx context.Context, verb string, m *mcp.Message) (*mcp.Answer, *mcp.Error) {
	switch {
	case verb == http.MethodDelete:
		go c.end(errEnded)
		return &mcp.Answer{Status: http.StatusOK}, nil
	case verb == http.MethodGet:
		return c.listen(ctx)
	case m.IsRequest():
		return c.request(ctx, m)
	}
	return c.tell(m)
}

// Close ends all sessions, and waits until their channels are closed.
func (s *Sessions) Close() {
	for _, c := range s.all() {
		go c.end(errEnded)
	}
	s.running.Wait()
}

// CloseWrite lets servers know that nothing more will be sent, after what waits to be.
func (s *Sessions) CloseWrite() {
	for _, c := range s.all() {
		c.closeWrite()
	}
}

func (s *Sessions) all() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.taken))
}

var (
	errEnded = mcp.Refuse(http.StatusNotFound, "unknown session", "it was ended")
	errIdle  = mcp.Refuse(http.StatusNotFound, "unknown session", "it was idle")
	errOld   = mcp.Refuse(http.StatusNotFound, "unknown session", "it was old")
)

// The ids of sessions that nobody opened: a principal's own, which this precedes,
// and the only one. No session that was opened has such an id.
const (
	ownSession  = "\x00"
	onlySession = ""
)

// find is the session that a message belongs to. One that opens a session, or is a
// principal's first of the newer revisions, begins it.
func (s *Sessions) find(ctx context.Context, out *mcp.Outgoing, m *mcp.Message) (*session, *mcp.Error) {
	id := out.Header.Get(mcp.HeaderSession)
	begins := m.IsRequest()
	switch modern := out.Header.Get(mcp.HeaderVersion) >= mcp.Modern; {
	case s.Single:
		id, begins = onlySession, true
	case modern && out.Verb != http.MethodPost:
		return nil, mcp.Refuse(http.StatusMethodNotAllowed, "method not allowed", "this revision has no sessions")
	case modern:
		id = ownSession + out.Principal
	case id == "" && m.Method == "initialize":
		id = rand.Text()
	case id == "":
		return nil, mcp.Refuse(http.StatusBadRequest, "invalid request", "there is no session")
	default:
		begins = false
	}
	s.mu.Lock()
	c := s.sessions[id]
	s.mu.Unlock()
	if c != nil {
		return c, c.wait(ctx)
	}
	if !begins {
		return nil, mcp.Refuse(http.StatusNotFound, "unknown session", "its channel has ended, or never was")
	}
	c, mine, bad := s.reserve(id, out.Principal)
	if mine {
		s.running.Add(1)
		c.open(context.WithoutCancel(ctx), out)
	}
	if bad == nil {
		bad = c.wait(ctx)
	}
	return c, bad
}

// reserve returns the session of an id. It is the caller's to open unless another
// was first.
func (s *Sessions) reserve(id, principal string) (c *session, mine bool, bad *mcp.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.sessions[id]; c != nil {
		return c, false, nil
	}
	if wait := s.failures.wait(principal); wait > 0 {
		return nil, false, mcp.Refuse(http.StatusServiceUnavailable, "the server is down", "it ended time and again: the next start is in "+wait.String())
	}
	if !s.makeRoom(principal) {
		return nil, false, mcp.Refuse(http.StatusServiceUnavailable, "too many sessions", "this principal has as many as it may")
	}
	select {
	case s.Slots <- struct{}{}:
	default:
		return nil, false, mcp.Refuse(http.StatusServiceUnavailable, "too many sessions", "the gateway has as many as it may")
	}
	if s.sessions == nil {
		s.sessions, s.taken = map[string]*session{}, map[*session]bool{}
	}
	c = newSession(s, id, principal)
	s.sessions[id], s.taken[c] = c, true
	return c, true, nil
}

// makeRoom reports whether a principal may have one more session, for which it
// ends the one that has been idle for longest.
func (s *Sessions) makeRoom(principal string) bool {
	known, others := 0, 0
	var oldest *session
	var since time.Time
	for c := range s.taken {
		switch {
		case c.principal != principal:
			continue
		case s.sessions[c.id] != c:
			others++
			continue
		}
		known++
		if used, idle := c.idleSince(); idle && (oldest == nil || used.Before(since)) {
			oldest, since = c, used
		}
	}
	switch {
	case others > s.PerPrincipal: // processes that end slowly, mostly
		return false
	case known < s.PerPrincipal:
		return true
	case oldest == nil:
		return false
	}
	delete(s.sessions, oldest.id)
	go oldest.end(errIdle)
	return true
}

// forget makes a session unknown to messages to come. The only one there is, is over
// for them.
func (s *Sessions) forget(c *session) {
	if s.Single {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[c.id] == c {
		delete(s.sessions, c.id)
	}
}

// release gives back what reserve took.
func (s *Sessions) release(c *session) {
	s.mu.Lock()
	delete(s.taken, c)
	s.mu.Unlock()
	<-s.Slots
	s.running.Done()
}

// failed notes that a channel did not open, or ended by itself.
func (s *Sessions) failed(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures.add(c.principal, time.Since(c.since))
}
