package bridge

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// updated tells of a changed resource.
const updated = "notifications/resources/updated"

// listened are the notifications of changed lists: what a filter and a capability call each.
var listened = map[string]string{
	"notifications/tools/list_changed":     "tools",
	"notifications/prompts/list_changed":   "prompts",
	"notifications/resources/list_changed": "resources",
}

// A listener is a modern client's subscriptions/listen at a legacy server: to the gateway, its stream.
type listener struct {
	k      *session
	id     string
	ctx    context.Context
	wants  map[string]bool // methods
	uris   []string        // that the server was asked to watch
	stream *stream         // of the hub, when the listener came

	mu     sync.Mutex
	unread []string
	over   bool // after those
	more   chan struct{}
	left   sync.Once
}

const (
	maxListened = 256 // resources of one listener
	maxUnread   = 256 // events

	maxUnreadSize = 1 << 20 // bytes of them
	signOfLife    = 30 * time.Second
)

// listen serves subscriptions/listen: what a legacy server tells on its one stream goes to the listeners that
// asked for it.
func (k *session) listen(ctx context.Context, m *mcp.Message) (*mcp.Answer, *mcp.Error) {
	filter := m.Params.Get("notifications")
	var uris []string
	for uri := range filter.Get("resourceSubscriptions").Items() {
		if !slices.Contains(uris, uri.String()) {
			uris = append(uris, uri.String())
		}
		if len(uris) > maxListened {
			return invalidParams(m.ID.Text(), "too many resources in one subscription"), nil
		}
	}
	l := &listener{k: k, id: m.ID.Text(), ctx: ctx, wants: map[string]bool{}, more: make(chan struct{}, 1)}
	k.b.kept.hold(k)
	var honoured []string
	if k.hub.open(ctx, l) {
		honoured = l.subscribe(filter, uris)
	}
	l.offer(notificationText("notifications/subscriptions/acknowledged",
		`{"_meta":`+l.meta(mcp.Value{})+`,"notifications":`+with(mcp.Value{}, honoured...)+`}`))
	k.hub.join(l)
	return &mcp.Answer{Status: http.StatusOK, Events: l}, nil
}

// subscribe subscribes to what the server has of a filter, and returns the members of the filter that it is.
func (l *listener) subscribe(filter mcp.Value, uris []string) (honoured []string) {
	for _, method := range []string{"notifications/tools/list_changed", "notifications/prompts/list_changed", "notifications/resources/list_changed"} {
		kind := listened[method]
		if filter.Get(kind+"ListChanged").Kind() == 't' && l.k.has(kind, "listChanged") {
			l.wants[method] = true
			honoured = append(honoured, kind+"ListChanged", "true")
		}
	}
	if !l.k.has("resources", "subscribe") {
		return honoured
	}
	var watched []string
	for _, uri := range uris {
		ok, heard := l.k.hub.watch(uri)
		if ok {
			l.uris = append(l.uris, uri)
			watched = append(watched, quote(uri))
		}
		if !heard || l.ctx.Err() != nil {
			break
		}
	}
	if len(watched) > 0 {
		honoured = append(honoured, "resourceSubscriptions", "["+strings.Join(watched, ",")+"]")
	}
	return honoured
}

// meta is the _meta of a message of this subscription.
func (l *listener) meta(meta mcp.Value) string { return with(meta, metaSubscription, l.id) }

// isFor reports whether the listener asked for a notification: of a resource, also for those above it.
func (l *listener) isFor(m *mcp.Message) bool {
	if m.Method != updated {
		return l.wants[m.Method]
	}
	changed := m.Params.Get("uri").String()
	return slices.ContainsFunc(l.uris, func(uri string) bool {
		return changed == uri || strings.HasPrefix(changed, strings.TrimSuffix(uri, "/")+"/")
	})
}

// offer adds an event, unless the same is unread still. A listener that reads none of too many is ended.
func (l *listener) offer(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || slices.Contains(l.unread, text) {
		return
	}
	l.over = len(l.unread) == maxUnread || len(l.unread) > 0 && sizeOf(l.unread)+len(text) > maxUnreadSize
	if !l.over {
		l.unread = append(l.unread, text)
	}
	l.wake()
}

// end ends the subscription as a server does that will tell no more.
func (l *listener) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.wake()
}

func (l *listener) wake() {
	select {
	case l.more <- struct{}{}:
	default:
	}
}

// Next implements mcp.Events.
func (l *listener) Next() (mcp.Event, error) {
	life := time.NewTimer(signOfLife)
	defer life.Stop()
	for {
		if text, ok := l.take(); ok {
			return mcp.Event{Data: text}, nil
		}
		select {
		case <-l.more:
		case <-life.C:
			return mcp.Event{}, nil
		case <-l.ctx.Done():
			return mcp.Event{}, io.EOF
		}
	}
}

func (l *listener) take() (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unread) > 0 {
		text := l.unread[0]
		l.unread = l.unread[1:]
		return text, true
	}
	return resultText(l.id, `{"resultType":"complete","_meta":`+l.meta(mcp.Value{})+`}`), l.over
}

// Close implements mcp.Events.
func (l *listener) Close() error {
	l.left.Do(func() {
		k := l.k
		k.hub.leave(l)
		k.b.kept.jobs.Go(func() {
			for _, uri := range l.uris {
				k.hub.unwatch(uri)
			}
			k.b.kept.release(k)
		})
	})
	return nil
}
