package bridge

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// tokenPrefix tells the session ids that the bridge gives to legacy clients of modern servers. Such an id holds
// all that a later request needs, so that any replica can serve it. The gateway seals it for its principal.
const tokenPrefix = "gatehouse-bridge."

// maxToken bounds what an id holds of its client: it travels in a header.
const maxToken = 2048

// newToken is the id of a new session.
func newToken(version string, initialize mcp.Value) string {
	info, features := initialize.Get("clientInfo"), initialize.Get("capabilities")
	name := unknownClient
	if info.Get("name").IsString() && info.Get("version").IsString() {
		name = info.Text()
	}
	if len(name) > maxToken/2 {
		name = with(mcp.Value{}, "name", quote(cut(info.Get("name").String())), "version", quote(cut(info.Get("version").String())))
	}
	capabilities := featuresOf(features)
	if len(capabilities) > maxToken/2 {
		capabilities = featuresOf(essential(features))
	}
	text := with(mcp.Value{}, "v", quote(version), "n", quote(rand.Text()), "i", name, "c", capabilities)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString([]byte(text))
}

// featuresOf are a legacy client's capabilities as a modern client states them.
func featuresOf(c mcp.Value) string {
	roots := ""
	if c.Get("roots").IsObject() {
		roots = "{}"
	}
	if !c.IsObject() {
		return "{}"
	}
	return with(c, "roots", roots, "tasks", "", "extensions", "")
}

// essential are the capabilities by which a server may ask the client, without more.
func essential(c mcp.Value) mcp.Value {
	var members []string
	for _, name := range []string{"roots", "sampling", "elicitation"} {
		feature := c.Get(name)
		if !feature.IsObject() {
			continue
		}
		var modes []string
		for _, mode := range []string{"context", "tools", "form", "url"} {
			if feature.Get(mode).IsObject() {
				modes = append(modes, mode, "{}")
			}
		}
		members = append(members, name, with(mcp.Value{}, modes...))
	}
	v, _ := mcp.ParseValue(with(mcp.Value{}, members...)) // it was made just now
	return v
}

func cut(s string) string { return strings.ToValidUTF8(s[:min(len(s), 128)], "") }

// A client is what is remembered of a legacy client's session beyond its id.
type client struct {
	token     string
	principal string
	version   string
	info      string
	features  mcp.Value

	mu      sync.Mutex
	level   string                        // that it wants logged
	uris    []string                      // that it subscribed to
	asked   map[string]chan *mcp.Message  // what it was asked, by id
	calls   map[string]context.CancelFunc // under way, by id
	stream  *watch
	expires *time.Timer
}

// clients are the sessions of legacy clients that were used of late.
type clients struct {
	b    *Bridge
	mu   sync.Mutex
	by   map[string]*client
	over bool
}

// find returns a session of a principal's by its id, or nil if the id is none.
func (s *clients) find(token, principal string) *client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.by[token]; c != nil {
		c.expires.Reset(s.b.limits.idle)
		return c
	}
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, tokenPrefix))
	if err != nil {
		return nil
	}
	v, err := mcp.ParseValue(string(text))
	if err != nil || !v.Get("c").IsObject() || !v.Get("i").IsObject() {
		return nil
	}
	c := &client{
		token: token, principal: principal, version: v.Get("v").String(), info: v.Get("i").Text(), features: v.Get("c"),
		asked: map[string]chan *mcp.Message{}, calls: map[string]context.CancelFunc{},
	}
	if s.over || len(s.by) >= s.b.limits.sessions {
		s.evict(principal)
	}
	s.by[token] = c
	c.expires = time.AfterFunc(s.b.limits.idle, func() { s.expire(c) })
	return c
}

// expire forgets a session that was idle, and looks at one that was not later.
func (s *clients) expire(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.by[c.token] != c:
	case c.busy():
		c.expires.Reset(s.b.limits.idle)
	default:
		delete(s.by, c.token)
	}
}

// evict forgets a session that nothing waits for, if it can one of the principal's that wants another. The mutex
// is held.
func (s *clients) evict(principal string) {
	var found *client
	for _, c := range s.by {
		if !c.busy() && (found == nil || c.principal == principal) {
			found = c
		}
	}
	if found != nil {
		found.expires.Stop()
		delete(s.by, found.token)
	}
}

func (s *clients) forget(c *client) {
	s.mu.Lock()
	c.expires.Stop()
	delete(s.by, c.token)
	s.mu.Unlock()
	c.end()
}

func (s *clients) close() {
	s.mu.Lock()
	s.over = true
	all := s.by
	s.by = map[string]*client{}
	s.mu.Unlock()
	for _, c := range all {
		c.expires.Stop()
		c.end()
	}
}

// busy reports whether something of the client's is under way.
func (c *client) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.calls) > 0 || c.stream != nil
}

// end ends all that is under way.
func (c *client) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cancel := range c.calls {
		cancel()
	}
	if c.stream != nil {
		c.stream.cancel()
	}
}

// enter notes a request that is under way, so that the client can cancel it, and returns what forgets it.
func (c *client) enter(id mcp.Value, cancel context.CancelFunc) (leave func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := mcp.IDKey(id)
	c.calls[key] = cancel
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.calls, key)
	}
}

// cancelCall ends a request that the client no longer waits for.
func (c *client) cancelCall(id mcp.Value) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cancel := c.calls[mcp.IDKey(id)]; cancel != nil {
		cancel()
	}
}

// mayBeAsked reports whether the client said that it can answer that.
func (c *client) mayBeAsked(method string, params mcp.Value) bool {
	switch method {
	case "sampling/createMessage":
		return c.features.Get("sampling").IsObject()
	case "elicitation/create":
		return mayElicit(c.features, params)
	case "roots/list":
		return c.features.Get("roots").IsObject()
	}
	return false
}

// expect gives a question to the client its id.
func (c *client) expect() (id string, answer chan *mcp.Message) {
	id, answer = rand.Text(), make(chan *mcp.Message, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[id] = answer
	return id, answer
}

func (c *client) unask(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.asked, id)
}

// answer gives a client's response to what waits for it, if anything does.
func (c *client) answer(m *mcp.Message) *mcp.Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	waits := c.asked[m.ID.String()]
	if waits == nil || !m.ID.IsString() {
		return &mcp.Answer{Status: http.StatusBadRequest}
	}
	delete(c.asked, m.ID.String())
	waits <- m
	return &mcp.Answer{Status: http.StatusAccepted}
}

// setLevel remembers what the client wants logged.
func (c *client) setLevel(m *mcp.Message) *mcp.Answer {
	level := m.Params.Get("level").String()
	if !slices.Contains(levels, level) {
		return failed(http.StatusOK, m.ID.Text(), mcp.CodeInvalidParams, "level is no log level")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.level = level
	return answered(resultText(m.ID.Text(), "{}"))
}

// wanted is the level that the client wants logged, as JSON, or empty.
func (c *client) wanted() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.level == "" {
		return ""
	}
	return quote(c.level)
}
