// Package bridge lets clients of one era of the protocol use servers that speak only the other: revision
// 2026-07-28 ("modern"), where each request stands alone, and those before it ("legacy"), which open sessions
// with initialize. What both ends speak passes as it is.
//
// The gateway above judges every message in the client's own era. What the bridge sends to a server is made
// of messages that were judged, and says nothing that they do not.
package bridge

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// An Upstream is one MCP server, as the gateway has it.
type Upstream interface {
	Send(ctx context.Context, out *mcp.Outgoing) (*mcp.Answer, *mcp.Error)
}

// A Bridge is an Upstream around one that may speak another era than its clients do.
type Bridge struct {
	inner  Upstream
	limits limits

	// A server on a channel is asked for its era before it gets its first modern message: some that are of
	// the other era would carry it out.
	probe   bool
	probed  atomic.Bool
	refuses atomic.Int32 // the era whose messages the server was seen to refuse

	closing context.Context
	cancel  context.CancelFunc

	kept    sessions // with legacy servers
	held    waiting  // calls whose clients were asked something
	clients clients  // legacy ones of a modern server
}

// Eras that a server may refuse.
const (
	none int32 = iota
	modern
	legacy
)

// limits bound what is remembered of others.
type limits struct {
	sessions, sessionsEach int           // kept with a server: of all principals, and of each
	idle                   time.Duration // after which one is ended
	held, heldEach         int           // calls that wait for their client
	patience               time.Duration // with a client that was asked something
	probe                  time.Duration // with a server that is asked for its era
	open                   time.Duration // with a server that is to open a session
	control                time.Duration // with a server that is told something
	again                  time.Duration // until a stream is opened anew
	settle                 time.Duration // until a stream counts as open that says nothing yet
}

var standard = limits{
	sessions: 4096, sessionsEach: 16, idle: 30 * time.Minute,
	held: 1024, heldEach: 32, patience: 10 * time.Minute,
	probe: 5 * time.Second, open: 2 * time.Minute, control: 10 * time.Second, again: time.Second, settle: 250 * time.Millisecond,
}

// New returns a bridge around a server. channel says that it is reached over a channel, not over HTTP.
func New(inner Upstream, channel bool) *Bridge { return newBridge(inner, channel, standard) }

func newBridge(inner Upstream, channel bool, l limits) *Bridge {
	b := &Bridge{inner: inner, limits: l, probe: channel}
	b.closing, b.cancel = context.WithCancel(context.Background())
	b.kept = sessions{b: b, by: map[string]*session{}}
	b.held = waiting{by: map[string]*question{}}
	b.clients = clients{by: map[string]*client{}, b: b}
	return b
}

// Close ends the sessions that are kept with the server, and the calls that wait for their client.
func (b *Bridge) Close() {
	b.cancel()
	b.held.close()
	b.clients.close()
	b.kept.close()
}

// Send implements gateway.Upstream.
func (b *Bridge) Send(ctx context.Context, out *mcp.Outgoing) (*mcp.Answer, *mcp.Error) {
	if out.Header.Get(mcp.HeaderVersion) >= mcp.Modern {
		return b.fromModern(ctx, out)
	}
	return b.fromLegacy(ctx, out)
}

// fromModern sends a modern client's message as it is, unless the server is known to refuse such, or does.
// One that it refused was not carried out.
func (b *Bridge) fromModern(ctx context.Context, out *mcp.Outgoing) (*mcp.Answer, *mcp.Error) {
	var refusal *mcp.Answer
	if b.refuses.Load() != modern && !b.isLegacy(ctx, out) {
		a, bad := b.inner.Send(ctx, out)
		method := out.Header.Get(mcp.HeaderMethod)
		if bad != nil || !refusesModern(method, a) {
			return a, bad
		}
		if method != "server/discover" { // a modern server may refuse a message for what it is
			if !b.turnsOutLegacy(ctx, out) {
				return a, nil
			}
		}
		refusal = a
	}
	a, met, bad := b.toLegacy(ctx, out)
	switch {
	case met:
		if refusal != nil {
			refusal.Close()
		}
		return a, bad
	case refusal != nil:
		return refusal, nil
	case bad != nil:
		return nil, bad
	}
	b.refuses.Store(none) // it changed
	return b.inner.Send(ctx, out)
}

// turnsOutLegacy asks a server that refused a message whether it refuses all of the newer era.
func (b *Bridge) turnsOutLegacy(ctx context.Context, out *mcp.Outgoing) bool {
	_, err := b.discover(ctx, out, unknownClient, "{}")
	return err != nil && err.legacy
}

// isLegacy asks a server on a channel, once, whether it is of the older era.
func (b *Bridge) isLegacy(ctx context.Context, out *mcp.Outgoing) bool {
	if !b.probe || b.probed.Load() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, b.limits.probe)
	defer cancel()
	_, err := b.discover(ctx, out, unknownClient, "{}")
	if err == nil || err.modern {
		b.probed.Store(true)
		return false
	}
	return true
}

// fromLegacy sends a legacy client's message as it is, unless it belongs to a session of the bridge's own or
// would open one.
func (b *Bridge) fromLegacy(ctx context.Context, out *mcp.Outgoing) (*mcp.Answer, *mcp.Error) {
	session := out.Header.Get(mcp.HeaderSession)
	switch {
	case strings.HasPrefix(session, tokenPrefix):
		return b.toModern(ctx, out, session)
	case session != "":
		a, bad := b.inner.Send(ctx, out)
		if bad == nil && out.Verb == http.MethodPost && refusesLegacy(a) {
			a.Close() // to the client: its session is over, and it may open another
			a = &mcp.Answer{Status: http.StatusNotFound}
		}
		return a, bad
	case out.Verb != http.MethodPost || !strings.Contains(out.Text, `"initialize"`):
		return b.inner.Send(ctx, out)
	}
	m, bad := mcp.ParseClient(out.Text)
	if bad != nil || m.Method != "initialize" {
		return b.inner.Send(ctx, out)
	}
	return b.initialize(ctx, out, m)
}
