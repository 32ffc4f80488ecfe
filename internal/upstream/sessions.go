package upstream

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
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
	// PerPrincipal is how many channels one principal may have open. One more takes
	// the place of the one that has been idle for longest.
	PerPrincipal int
	// Idle and Lifetime are how long a channel may be unused, and be used; 0: for ever.
	Idle, Lifetime time.Duration
	Log            *slog.Logger // names the server

	mu       sync.Mutex
	sessions map[string]*session // by id
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
		mine := *bad // that of a session may be many messages'
		bad = &mine
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
	c, bad := s.find(ctx, out, m)
	switch {
	case bad != nil:
		return nil, bad
	case out.Verb == http.MethodDelete:
		go c.end(errEnded)
		return &mcp.Answer{Status: http.StatusOK}, nil
	case out.Verb == http.MethodGet:
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
	var all []*session
	for _, c := range s.sessions {
		all = append(all, c)
	}
	return all
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
		s.sessions = map[string]*session{}
	}
	c = newSession(s, id, principal)
	s.sessions[id] = c
	return c, true, nil
}

// makeRoom reports whether a principal may have one more session, for which it
// ends the one that has been idle for longest.
func (s *Sessions) makeRoom(principal string) bool {
	n := 0
	var oldest *session
	var since time.Time
	for _, c := range s.sessions {
		if c.principal != principal {
			continue
		}
		n++
		if used, idle := c.idleSince(); idle && (oldest == nil || used.Before(since)) {
			oldest, since = c, used
		}
	}
	if n < s.PerPrincipal {
		return true
	}
	if oldest == nil {
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

// failed notes that a channel did not open, or ended by itself.
func (s *Sessions) failed(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures.add(c.principal, time.Since(c.since))
}

// failures hold off starts that would fail again, for each principal.
type failures map[string]hold

type hold struct {
	n     int
	until time.Time
}

const (
	shortLife   = 10 * time.Second // a channel that ended by itself within it failed to start
	firstWait   = time.Second      // after the second failure in a row; then twice as long each
	longestWait = 30 * time.Second
	maxFailures = 4096 // principals that are held off at once
)

// wait is for how long no channel is to be opened.
func (f *failures) wait(principal string) time.Duration {
	return time.Until((*f)[principal].until).Round(time.Millisecond)
}

// add notes the end of a channel that lived for so long.
func (f *failures) add(principal string, lived time.Duration) {
	if lived >= shortLife {
		delete(*f, principal)
		return
	}
	if *f == nil || len(*f) >= maxFailures {
		*f = failures{}
	}
	n := (*f)[principal].n
	wait := time.Duration(0)
	if n > 0 {
		wait = min(longestWait, firstWait<<min(n-1, 10))
	}
	(*f)[principal] = hold{n + 1, time.Now().Add(wait)}
}
