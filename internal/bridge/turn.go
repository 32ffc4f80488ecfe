package bridge

import (
	"context"
	"net/http"
	"slices"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A turn is the part of a call that one request of the client waits for: up to its end, or until the server
// asks the client. To the gateway it is the stream of that request.
type turn struct {
	*call
	id       string // of the client's request
	token    mcp.Value
	level    int32
	features mcp.Value // the client's capabilities
	detach   func() bool

	mu   sync.Mutex
	over bool // the call ended, or is held for the next turn
}

// turn is the turn of a request that begins or resumes the call. When ctx ends, so does the call.
func (c *call) turn(ctx context.Context, m *mcp.Message) *turn {
	meta := m.Params.Get("_meta")
	return &turn{
		call: c, id: m.ID.Text(), token: meta.Get("progressToken"), level: levelOf(meta.Get(metaLevel)),
		features: meta.Get(metaCapabilities), detach: context.AfterFunc(ctx, c.cancel),
	}
}

func (t *turn) leave() { t.detach() }

// Next implements mcp.Events.
func (t *turn) Next() (mcp.Event, error) {
	for {
		ev, err := t.events.Next()
		if err != nil {
			return ev, err
		}
		if ev.Data == "" {
			return mcp.Event{}, nil
		}
		m, bad := mcp.ParseServer(ev.Data)
		var text string
		switch {
		case bad != nil || ev.Name != "" && ev.Name != "message": // for the gateway to refuse, and to record
			return ev, nil
		case m.IsResponse():
			text = t.response(m)
			t.finish()
		case m.IsRequest():
			text = t.asked(m)
		default:
			text = t.told(m)
		}
		if text != "" {
			return mcp.Event{Data: text}, nil
		}
	}
}

// Close implements mcp.Events. It cancels a call that the client did not wait for.
func (t *turn) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.over = true
		t.detach()
		t.abandon()
	}
	return nil
}

// finish ends the turn with the call.
func (t *turn) finish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.over = true
		t.detach()
		t.end()
	}
}

// translated is a whole answer in the client's era.
func (t *turn) translated(a *mcp.Answer) *mcp.Answer {
	m, bad := mcp.ParseServer(a.Text)
	if bad != nil || !m.IsResponse() || isGone(a, nil, t.call.id) {
		return a // the gateway refuses what is no response
	}
	text := t.response(m)
	status := a.Status
	if status == http.StatusOK && codeOf(m) == mcp.CodeNoMethod {
		status = http.StatusNotFound
	}
	return &mcp.Answer{Status: status, Retry: a.Retry, Text: text}
}

// response is the server's response in the client's era.
func (t *turn) response(m *mcp.Message) string {
	if m.ID.Text() != t.call.id && (m.ID.Exists() || !m.Error.Exists()) {
		return errorText(t.id, codeInternal, "the server answered another request", "")
	}
	if m.Result.Exists() {
		return resultText(t.id, t.k.complete(m.Result.Text(), mcp.Cacheable(t.method)))
	}
	switch codeOf(m) {
	case codeMissingResource:
		return `{"jsonrpc":"2.0","id":` + t.id + `,"error":` + with(m.Error, "code", "-32602") + `}`
	case codeURLRequired:
		return t.urlRequired(m)
	}
	return `{"jsonrpc":"2.0","id":` + t.id + `,"error":` + m.Error.Text() + `}`
}

// told is a server's notification as it may reach the client on this stream, or empty.
func (t *turn) told(m *mcp.Message) string {
	switch m.Method {
	case "notifications/progress":
		token := m.Params.Get("progressToken")
		if !t.token.Exists() || !mcp.SameID(token, t.sent) {
			return ""
		}
		return notificationText(m.Method, with(m.Params, "progressToken", t.token.Text()))
	case "notifications/message":
		if levelOf(m.Params.Get("level")) < t.level || t.level == silent {
			return ""
		}
		return m.Text
	case "notifications/cancelled", "notifications/elicitation/complete":
		return ""
	}
	if listened[m.Method] != "" || m.Method == updated {
		t.k.hub.spread(m)
		return ""
	}
	return m.Text
}

// levels are those of the log, from the least urgent.
var levels = []string{"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}

// silent is the level of a client that wants no log.
const silent int32 = 8

func levelOf(v mcp.Value) int32 {
	if i := slices.Index(levels, v.String()); i >= 0 {
		return int32(i)
	}
	return silent
}

// raise has the server log what a request wants to see, if it does not yet. What others did not ask for is
// kept from them.
func (k *session) raise(m *mcp.Message) {
	level := levelOf(m.Params.Get("_meta").Get(metaLevel))
	for old := k.level.Load(); level < old && k.has("logging"); old = k.level.Load() {
		if k.level.CompareAndSwap(old, level) {
			k.ask("logging/setLevel", `{"level":"`+levels[level]+`"}`)
			return
		}
	}
}
