package gateway

import (
	"sync"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// pending are the requests that servers have made to clients and that wait for
// the client's answer. Only these may be answered, and only once.
type pending struct {
	mu    sync.Mutex
	asked map[pendingKey]string // the method
}

// A pendingKey is a request of a server's to one principal in one session.
type pendingKey struct{ server, principal, session, id string }

// maxPending bounds the requests that wait at any one time.
const maxPending = 1 << 16

func (p *pending) add(k pendingKey, method string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked == nil {
		p.asked = map[pendingKey]string{}
	}
	if len(p.asked) >= maxPending || p.asked[k] != "" {
		return false
	}
	p.asked[k] = method
	return true
}

func (p *pending) take(k pendingKey) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	method, ok := p.asked[k]
	delete(p.asked, k)
	return method, ok
}

func (e *exchange) pendingKey(id mcp.Value) pendingKey {
	text := id.Text()
	if id.IsString() {
		text = `"` + id.String() // one form for each string, however it is escaped
	}
	return pendingKey{e.x.Server, e.x.Caller.Key(), e.session, text}
}
