package bridge

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A watch is the stream on which a legacy client hears of changes at a modern server: subscriptions/listen,
// sent anew when what the client subscribed to changes.
type watch struct {
	b      *Bridge
	c      *client
	out    *mcp.Outgoing
	ctx    context.Context
	cancel context.CancelFunc

	changed chan struct{}
	told    chan told
	current int                // which listen is the last
	end     context.CancelFunc // of it
}

// A told is an event of one of the listens.
type told struct {
	of  int
	ev  mcp.Event
	err error
}

// Bounds on the resources of one session.
const (
	maxSubscribed     = 1024
	maxSubscribedSize = 128 << 10 // bytes of their URIs
)

// stream opens the stream of a session. There is one: a client that opens another has lost the first.
func (b *Bridge) stream(ctx context.Context, out *mcp.Outgoing, c *client) (*mcp.Answer, *mcp.Error) {
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{b: b, c: c, out: out, ctx: ctx, cancel: cancel, changed: make(chan struct{}, 1), told: make(chan told)}
	c.mu.Lock()
	if c.stream != nil {
		c.stream.cancel()
	}
	c.stream = w
	c.mu.Unlock()
	if a, bad := w.listen(); a != nil || bad != nil {
		_ = w.Close()
		return a, bad
	}
	return &mcp.Answer{Status: http.StatusOK, Events: w}, nil
}

// listen listens for what the client is subscribed to now. An answer says why not.
func (w *watch) listen() (*mcp.Answer, *mcp.Error) {
	within, end := context.WithCancel(w.ctx)
	id := quote("gatehouse-listen")
	filter := []string{"toolsListChanged", "true", "promptsListChanged", "true", "resourcesListChanged", "true"}
	meta := with(mcp.Value{}, metaVersion, quote(mcp.Modern), metaClient, w.c.info, metaCapabilities, w.c.features.Text())
	params := with(mcp.Value{}, "notifications", with(mcp.Value{}, append(filter, "resourceSubscriptions", w.c.subscribed())...), "_meta", meta)
	a, bad := w.b.inner.Send(within, modernOut(w.out, "subscriptions/listen", "", requestText(id, "subscriptions/listen", params)))
	if bad != nil || a.Events == nil {
		end()
		return &mcp.Answer{Status: http.StatusMethodNotAllowed}, bad
	}
	w.current++
	if w.end != nil {
		w.end()
	}
	w.end = end
	go w.read(within, a.Events, w.current)
	return nil, nil
}

// read hands the events of one listen over.
func (w *watch) read(ctx context.Context, events mcp.Events, of int) {
	stop := context.AfterFunc(ctx, func() { _ = events.Close() })
	defer stop()
	defer func() { _ = events.Close() }() // nothing is left to be read
	for {
		ev, err := events.Next()
		select {
		case w.told <- told{of, ev, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// Next implements mcp.Events.
func (w *watch) Next() (mcp.Event, error) {
	for {
		select {
		case t := <-w.told:
			if t.err != nil && t.of == w.current {
				return mcp.Event{}, t.err
			}
			if t.err != nil {
				continue
			}
			ev, over := plainEvent(t.ev)
			if over && t.of == w.current {
				return mcp.Event{}, io.EOF
			}
			if ev.Data != "" || t.ev.Data == "" {
				return ev, nil
			}
		case <-w.changed:
			if a, bad := w.listen(); a != nil || bad != nil {
				return mcp.Event{}, io.EOF
			}
		case <-w.ctx.Done():
			return mcp.Event{}, io.EOF
		}
	}
}

// plainEvent is an event of a subscription as one of the older revisions, or empty; over is that of its end.
func plainEvent(ev mcp.Event) (plain mcp.Event, over bool) {
	if ev.Data == "" {
		return mcp.Event{}, false
	}
	m, bad := mcp.ParseServer(ev.Data)
	switch {
	case bad != nil: // for the gateway to refuse
		return ev, false
	case m.IsResponse():
		return mcp.Event{}, true
	case !m.IsNotification() || listened[m.Method] == "" && m.Method != updated:
		return mcp.Event{}, false
	}
	meta := plainMeta(m.Params.Get("_meta"))
	return mcp.Event{Data: notificationText(m.Method, with(m.Params, "_meta", meta))}, false
}

// Close implements mcp.Events.
func (w *watch) Close() error {
	w.cancel()
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	if w.c.stream == w {
		w.c.stream = nil
	}
	return nil
}

// subscribe takes a change of what the client is subscribed to.
func (c *client) subscribe(m *mcp.Message) *mcp.Answer {
	uri := m.Params.Get("uri").String()
	if uri == "" {
		return failed(http.StatusOK, m.ID.Text(), mcp.CodeInvalidParams, "uri is not a URI")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.Index(c.uris, uri)
	switch {
	case m.Method == "resources/subscribe" && at < 0 && (len(c.uris) == maxSubscribed || sizeOf(c.uris)+len(uri) > maxSubscribedSize):
		return failed(http.StatusOK, m.ID.Text(), codeInternal, "too many subscriptions")
	case m.Method == "resources/subscribe" && at < 0:
		c.uris = append(c.uris, uri)
	case m.Method == "resources/unsubscribe" && at >= 0:
		c.uris = slices.Delete(c.uris, at, at+1)
	}
	if c.stream != nil {
		select {
		case c.stream.changed <- struct{}{}:
		default:
		}
	}
	return answered(resultText(m.ID.Text(), "{}"))
}

// subscribed are the resources that the client is subscribed to, as JSON, or empty.
func (c *client) subscribed() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var uris []string
	for _, uri := range c.uris {
		uris = append(uris, quote(uri))
	}
	if len(uris) == 0 {
		return ""
	}
	return "[" + strings.Join(uris, ",") + "]"
}
