package bridge

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A hub shares the one stream on which a legacy server tells of changes among the listeners of its session.
type hub struct {
	k *session

	mu        sync.Mutex
	listeners map[*listener]bool
	stream    *stream // nil: nobody listens

	watching sync.Mutex // held while the server is told; it orders what it is told
	watched  map[string]int
}

// A stream is the hub's, while somebody listens.
type stream struct {
	cancel  context.CancelFunc
	users   int           // listeners, and those that will be
	open    chan struct{} // closed when the server has answered
	refused bool          // it has no such stream
}

// maxFailures is how often in a row the stream may end at once.
const maxFailures = 5

// open makes sure that a listener's stream is there, and reports whether the server has one.
func (h *hub) open(ctx context.Context, l *listener) bool {
	h.mu.Lock()
	if h.stream == nil {
		within, cancel := context.WithCancel(context.WithoutCancel(ctx))
		st := &stream{cancel: cancel, open: make(chan struct{})}
		h.stream = st
		h.k.b.kept.jobs.Go(func() { h.run(within, st) })
	}
	st := h.stream
	st.users++
	l.stream = st
	h.mu.Unlock()
	select {
	case <-st.open:
		return !st.refused
	case <-time.After(h.k.b.limits.settle): // some answer when there is something to tell
		return true
	case <-ctx.Done():
		return false
	}
}

// join has a listener get what is told from now on. The stream was opened for it.
func (h *hub) join(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners == nil {
		h.listeners = map[*listener]bool{}
	}
	h.listeners[l] = true
	if h.stream != l.stream { // it ended meanwhile
		l.end()
	}
}

// leave ends the stream with its last listener.
func (h *hub) leave(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.listeners, l)
	if h.stream == nil || h.stream != l.stream {
		return
	}
	if h.stream.users--; h.stream.users == 0 {
		h.stream.cancel()
		h.stream = nil
	}
}

// end ends all subscriptions.
func (h *hub) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		l.end()
	}
	if h.stream != nil {
		h.stream.cancel()
		h.stream = nil
	}
}

// spread gives a notification to those who asked for it.
func (h *hub) spread(m *mcp.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		if l.isFor(m) {
			l.offer(notificationText(m.Method, with(m.Params, "_meta", l.meta(m.Params.Get("_meta")))))
		}
	}
}

// run reads the stream, and opens it anew when the server ends it, as it may.
func (h *hub) run(ctx context.Context, st *stream) {
	defer st.cancel()
	opened := sync.OnceFunc(func() { close(st.open) })
	for failures, first := 0, true; failures < maxFailures && ctx.Err() == nil; failures++ {
		a, bad := h.k.b.inner.Send(ctx, h.k.own(http.MethodGet, ""))
		switch status := statusOf(a, bad); {
		case bad == nil && a.Events != nil:
			first = false
			opened()
			if h.read(a.Events) {
				failures = 0
			}
		case status == http.StatusNotFound:
			h.k.b.kept.lost(h.k, true)
			return
		case bad == nil && status != http.StatusConflict && first: // it has no such stream
			st.refused = true
			opened()
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(h.k.b.limits.again):
		}
	}
	h.mu.Lock()
	current := h.stream == st
	h.mu.Unlock()
	if current {
		h.end()
	}
}

func statusOf(a *mcp.Answer, bad *mcp.Error) int {
	if bad != nil {
		return bad.Status
	}
	return a.Status
}

// read reads a stream to its end, and reports whether it told anything.
func (h *hub) read(events mcp.Events) (told bool) {
	defer func() { _ = events.Close() }() // nothing is left to be read
	for {
		ev, err := events.Next()
		if err != nil {
			return told
		}
		told = true
		m, bad := mcp.ParseServer(ev.Data)
		switch {
		case bad != nil || m.IsResponse(): // nobody waits for it here
		case m.Method == "ping":
			h.k.tell(http.MethodPost, resultText(m.ID.Text(), "{}"))
		case m.IsRequest(): // it belongs to no call
			h.k.tell(http.MethodPost, errorText(m.ID.Text(), mcp.CodeNoMethod, "the client cannot be asked that here", ""))
		default:
			h.spread(m)
		}
	}
}

// watch has the server tell of a resource's changes, and reports whether it does, and whether it answers at all.
func (h *hub) watch(uri string) (ok, heard bool) {
	h.watching.Lock()
	defer h.watching.Unlock()
	if h.watched == nil {
		h.watched = map[string]int{}
	}
	if h.watched[uri] == 0 {
		m := h.k.ask("resources/subscribe", `{"uri":`+quote(uri)+`}`)
		if m == nil || m.Error.Exists() {
			return false, m != nil
		}
	}
	h.watched[uri]++
	return true, true
}

// unwatch takes back a watch.
func (h *hub) unwatch(uri string) {
	h.watching.Lock()
	defer h.watching.Unlock()
	if h.watched[uri]--; h.watched[uri] == 0 {
		delete(h.watched, uri)
		h.k.ask("resources/unsubscribe", `{"uri":`+quote(uri)+`}`)
	}
}
