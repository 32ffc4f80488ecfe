package bridge

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strconv"
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
		k = &session{b: s.b, key: key, open: make(chan struct{}), principal: out.Principal}
		k.hub.k = k
		k.level.Store(silent)
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
	if k.uses--; k.uses > 0 || s.by[k.key] != k {
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
	if k.id == "" {
		return
	}
	s.jobs.Go(func() { k.tell(http.MethodDelete, "") })
}

// lost forgets a session that the server does not know, or never opened.
func (s *sessions) lost(k *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
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

// connect opens the session.
func (k *session) connect(ctx context.Context, out *mcp.Outgoing, capabilities, name string) {
	defer func() {
		if k.bad != nil || k.refused {
			k.b.kept.lost(k)
		}
		close(k.open)
	}()
	ctx, cancel := context.WithTimeout(ctx, k.b.limits.open)
	defer cancel()
	defer context.AfterFunc(k.b.closing, cancel)()
	id := k.newID()
	params := `{"protocolVersion":"` + newestLegacy + `","capabilities":` + capabilities + `,"clientInfo":` + name + `}`
	a, bad := k.b.inner.Send(ctx, k.outgoing(out, http.MethodPost, requestText(id, "initialize", params)))
	if bad != nil {
		k.bad = bad
		return
	}
	if k.refused = refusesInitialize(a); k.refused {
		a.Close()
		return
	}
	if k.bad = opened(a); k.bad != nil {
		a.Close()
		return
	}
	m := response(a, id)
	if m == nil || !isInitialized(m.Result) {
		k.bad = mcp.Refuse(http.StatusBadGateway, "the server's answer is malformed", "to initialize")
		return
	}
	k.id, k.version, k.result = a.Session, m.Result.Get("protocolVersion").String(), m.Result
	k.tell(http.MethodPost, notificationText("notifications/initialized", "{}"))
}

// opened is why an answer to initialize is none.
func opened(a *mcp.Answer) *mcp.Error {
	switch a.Status {
	case http.StatusOK, statusNone:
		return nil
	case http.StatusForbidden, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return mcp.Refuse(a.Status, "the server gave no answer", "to initialize")
	}
	return mcp.Refuse(http.StatusBadGateway, "the server gave no answer", "it answered initialize with "+strconv.Itoa(a.Status))
}

func isInitialized(result mcp.Value) bool {
	version := result.Get("protocolVersion").String()
	return version != "" && version < mcp.Modern && result.Get("capabilities").IsObject()
}

func (k *session) newID() string { return strconv.FormatInt(k.ids.Add(1), 10) }

// outgoing is what is sent in the session on behalf of its principal.
func (k *session) outgoing(out *mcp.Outgoing, verb, text string) *mcp.Outgoing {
	h := http.Header{}
	for _, name := range []string{"User-Agent", "Accept-Language", "Traceparent", "Tracestate", "Baggage"} {
		if v, ok := out.Header[name]; ok {
			h[name] = v
		}
	}
	h.Set("Accept", "application/json, text/event-stream")
	if verb == http.MethodGet {
		h.Set("Accept", "text/event-stream")
	}
	if k.version != "" {
		h.Set(mcp.HeaderVersion, k.version)
	}
	if k.id != "" {
		h.Set(mcp.HeaderSession, k.id)
	}
	return &mcp.Outgoing{Verb: verb, Header: h, Text: text, Principal: out.Principal, Token: out.Token}
}

// own is outgoing for what no message of the client's caused at once.
func (k *session) own(verb, text string) *mcp.Outgoing {
	k.b.kept.mu.Lock()
	defer k.b.kept.mu.Unlock()
	return k.outgoing(&mcp.Outgoing{Principal: k.principal, Token: k.token}, verb, text)
}

// tell sends what nobody waits for, and reports whether the server took it.
func (k *session) tell(verb, text string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), k.b.limits.control)
	defer cancel()
	a, bad := k.b.inner.Send(ctx, k.own(verb, text))
	if bad != nil {
		return false
	}
	a.Close()
	return a.Status < 300
}

// ask sends a request of the bridge's own and returns the response, or nil.
func (k *session) ask(method, params string) *mcp.Message {
	ctx, cancel := context.WithTimeout(context.Background(), k.b.limits.control)
	defer cancel()
	id := k.newID()
	a, bad := k.b.inner.Send(ctx, k.own(http.MethodPost, requestText(id, method, params)))
	if bad != nil {
		return nil
	}
	return response(a, id)
}

// has reports whether the server has a capability.
func (k *session) has(path ...string) bool {
	v := k.result.Get("capabilities")
	for _, name := range path {
		v = v.Get(name)
	}
	return v.IsObject() || v.Kind() == 't'
}

// discovered is the result of server/discover that initialize's amounts to.
func (k *session) discovered() string {
	capabilities := with(k.result.Get("capabilities"), "tasks", "")
	return k.complete(with(mcp.Value{},
		"supportedVersions", `["`+mcp.Modern+`"]`,
		"capabilities", capabilities,
		"instructions", k.result.Get("instructions").Text()), true)
}

// complete makes a result one that modern clients take for whole.
func (k *session) complete(result string, cacheable bool) string {
	v, err := mcp.ParseValue(result)
	if err != nil {
		panic(fmt.Sprintf("a result made of parsed ones: %v", err))
	}
	members := []string{"resultType", `"complete"`}
	if cacheable {
		members = append(members, "ttlMs", "0", "cacheScope", `"private"`)
	}
	if info := k.result.Get("serverInfo"); info.IsObject() {
		meta := v.Get("_meta")
		if meta.IsObject() || !meta.Exists() {
			members = append(members, "_meta", with(meta, metaServer, info.Text()))
		}
	}
	return with(v, members...)
}

// cacheable are the methods whose results say for how long they hold.
var cacheable = map[string]bool{
	"server/discover": true, "tools/list": true, "resources/list": true,
	"resources/templates/list": true, "resources/read": true, "prompts/list": true,
}

// isGone reports whether the server does not know the session of a message, which it then did not take.
func isGone(a *mcp.Answer, bad *mcp.Error, id string) bool {
	if bad != nil {
		return bad.Status == http.StatusNotFound
	}
	if a.Status != http.StatusNotFound && a.Status != http.StatusBadRequest {
		return false
	}
	m, malformed := mcp.ParseServer(a.Text)
	return malformed != nil || m.ID.Text() != id
}
