package bridge

import (
	"context"
	"crypto/sha256"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// newestLegacy is the revision that is offered to legacy servers.
const newestLegacy = "2025-11-25"

// A session is kept with a legacy server for one client of one principal.
type session struct {
	b    *Bridge
	key  string
	open chan struct{} // closed when the session is open, or will not be

	// Set before open is closed.
	id, version string
	result      mcp.Value // of initialize
	refused     bool      // the server knows no initialize
	bad         *mcp.Error

	ids   atomic.Int64 // of requests in the session: no two clients share one
	level atomic.Int32 // how much the server logs
	hub   hub

	// Guarded by the sessions' mutex.
	principal, token string
	uses             int
	told             bool      // the server knows of its end
	last             time.Time // it was used
	idle             *time.Timer
}

// sessions are those kept with a server.
type sessions struct {
	b    *Bridge
	mu   sync.Mutex
	by   map[string]*session
	jobs jobs
	over bool
}

// jobs are what is done for nobody who waits.
type jobs struct {
	mu   sync.Mutex
	over bool
	wg   sync.WaitGroup
}

func (j *jobs) Go(do func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.over {
		j.wg.Go(do)
	}
}

// finish waits for those that have begun. No more begin.
func (j *jobs) finish() {
	j.mu.Lock()
	j.over = true
	j.mu.Unlock()
	j.wg.Wait()
}

// get returns the session of a modern client, which is opened if need be, in use until release.
func (s *sessions) get(ctx context.Context, out *mcp.Outgoing, m *mcp.Message) (*session, *mcp.Error) {
	meta := m.Params.Get("_meta")
	info, wants := meta.Get(metaClient), meta.Get(metaCapabilities)
	capabilities := with(mcp.Value{}, "elicitation", wants.Get("elicitation").Text(), "sampling", wants.Get("sampling").Text())
	name := unknownClient
	if info.Get("name").IsString() && info.Get("version").IsString() {
		name = info.Text()
	}
	sum := sha256.Sum256([]byte(capabilities + "\x00" + name))
	key := out.Principal + "\x00" + string(sum[:])

	s.mu.Lock()
	k := s.by[key]
	if k == nil {
		if s.over || !s.room(out.Principal) {
			s.mu.Unlock()
			return nil, mcp.Refuse(http.StatusServiceUnavailable, "too many sessions", "with a server of another era")
		}
		k = newSession(s.b, key, out)
		s.by[key] = k
		s.jobs.Go(func() { k.connect(context.WithoutCancel(ctx), out, capabilities, name) })
	}
	k.use(out)
	s.mu.Unlock()

	select {
	case <-k.open:
	case <-ctx.Done():
		s.release(k)
		return nil, mcp.Refuse(http.StatusGatewayTimeout, "the server is late", "it has not answered initialize")
	}
	if k.bad != nil || k.refused {
		s.release(k)
	}
	return k, k.bad
}

// newSession is a session to be connected, which is a use of it.
func newSession(b *Bridge, key string, out *mcp.Outgoing) *session {
	k := &session{b: b, key: key, open: make(chan struct{}), principal: out.Principal, token: out.Token, uses: 1}
	k.hub.k = k
	k.level.Store(silent)
	return k
}

// use says that the session is in use. The mutex is held.
func (k *session) use(out *mcp.Outgoing) {
	k.uses++
	k.token = out.Token
	if k.idle != nil {
		k.idle.Stop()
	}
}

// hold keeps a session that is in use in use once more.
func (s *sessions) hold(k *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k.uses++
}

// release says that a use of the session is over.
func (s *sessions) release(k *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.uses--; k.uses > 0 {
		return
	}
	if s.by[k.key] != k { // it was lost, or never was
		s.tellEnd(k)
		return
	}
	k.last = time.Now()
	k.idle = time.AfterFunc(s.b.limits.idle, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if k.uses == 0 {
			s.end(k)
		}
	})
}

// room makes room for one more session, and reports whether there is. The mutex is held.
func (s *sessions) room(principal string) bool {
	each := 0
	var oldest, oldestEach *session
	for _, k := range s.by {
		own := k.principal == principal
		if own {
			each++
		}
		if k.uses > 0 {
			continue
		}
		if oldest == nil || k.last.Before(oldest.last) {
			oldest = k
		}
		if own && (oldestEach == nil || k.last.Before(oldestEach.last)) {
			oldestEach = k
		}
	}
	if each >= s.b.limits.sessionsEach {
		oldest = oldestEach
	} else if len(s.by) < s.b.limits.sessions {
		return true
	}
	if oldest != nil {
		s.end(oldest)
	}
	return oldest != nil
}

// end forgets a session and tells the server. The mutex is held.
func (s *sessions) end(k *session) {
	if s.by[k.key] != k {
		return
	}
	delete(s.by, k.key)
	if k.idle != nil {
		k.idle.Stop()
	}
	s.tellEnd(k)
}

// tellEnd tells the server that nobody uses a session of its any more. The mutex is held.
func (s *sessions) tellEnd(k *session) {
	if k.id != "" && !k.told {
		k.told = true
		s.jobs.Go(func() { k.tell(http.MethodDelete, "") })
	}
}

// lost forgets a session that is of no use. isGone says that the server does not know it.
func (s *sessions) lost(k *session, isGone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k.told = k.told || isGone
	if s.by[k.key] == k {
		delete(s.by, k.key)
	}
	k.hub.end()
}

func (s *sessions) close() {
	s.mu.Lock()
	s.over = true
	for _, k := range s.by {
		select {
		case <-k.open:
			k.hub.end()
			s.end(k)
		default: // being opened still; it is forgotten then
		}
	}
	s.mu.Unlock()
	s.jobs.finish()
}
