package bridge

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

const (
	maxRounds = 16 // in which a modern server asks in the course of one call
	maxAsks   = 64 // in one round

	maxAnswers = 4 << 20 // bytes of a client's answers in one round
)

// A roundTrip is a legacy client's request at a modern server, with all that the server asks on the way. To
// the gateway it is the stream of the request.
type roundTrip struct {
	b      *Bridge
	c      *client
	out    *mcp.Outgoing
	msg    *mcp.Message
	ctx    context.Context
	cancel context.CancelCauseFunc
	leave  func()

	id     string     // of the request as it stands at the server
	events mcp.Events // of its answer; nil: it was asked, and the request is to be made again
	rounds int
	done   bool

	asks    []ask // that the client has yet to be asked
	answers []string
	state   string
	heard   chan *mcp.Message // what is awaited of the client
	heardID string
	once    sync.Once
}

// An ask is one thing that a server asks.
type ask struct {
	name    string
	request mcp.Value
}

// forward sends a legacy client's request to a modern server.
func (b *Bridge) forward(ctx context.Context, out *mcp.Outgoing, c *client, m *mcp.Message) (*mcp.Answer, *mcp.Error) {
	ctx, cancel := context.WithCancelCause(ctx)
	r := &roundTrip{b: b, c: c, out: out, msg: m, ctx: ctx, cancel: cancel, id: m.ID.Text()}
	r.leave = c.enter(m.ID, func() { cancel(mcp.ErrCancelled) })
	a, bad := r.send()
	switch {
	case bad != nil && r.isCancelled():
		r.done = true
		return &mcp.Answer{Events: r}, nil
	case bad != nil:
		_ = r.Close()
		return nil, bad
	case a.Events != nil:
		r.events = a.Events
		return &mcp.Answer{Status: a.Status, Events: r}, nil
	case refusesModern(m.Method, a) && b.turnsOutLegacy(ctx, out):
		b.refuses.Store(none) // the client may open another session, at the server as it is now
		_ = r.Close()
		return &mcp.Answer{Status: http.StatusNotFound}, nil
	}
	answer, bad := mcp.ParseServer(a.Text)
	if bad != nil || !answer.IsResponse() {
		_ = r.Close()
		return a, nil
	}
	if text := r.response(answer); text != "" {
		_ = r.Close()
		return answered(text), nil
	}
	return &mcp.Answer{Status: http.StatusOK, Events: r}, nil
}

// send sends the request as it stands, with more params.
func (r *roundTrip) send(more ...string) (*mcp.Answer, *mcp.Error) {
	old, _ := mcp.ParseValue(plainMeta(r.msg.Params.Get("_meta"))) // absent if there is none
	meta := with(old, metaVersion, quote(mcp.Modern), metaClient, r.c.info, metaCapabilities, r.c.features.Text(), metaLevel, r.c.wanted())
	members := append([]string{"_meta", meta, "task", "", "inputResponses", "", "requestState", ""}, more...)
	text := requestText(r.id, r.msg.Method, with(r.msg.Params, members...))
	return r.b.inner.Send(r.ctx, modernOut(r.out, r.msg.Method, r.msg.Target(), text))
}

// Next implements mcp.Events.
func (r *roundTrip) Next() (mcp.Event, error) {
	for !r.done {
		text := ""
		switch {
		case r.heard != nil:
			text = r.hear()
		case len(r.asks) > 0:
			text = r.ask()
		case r.events == nil:
			text = r.again()
		default:
			ev, err := r.events.Next()
			if err != nil && r.isCancelled() {
				err = mcp.ErrCancelled
			}
			if err != nil || ev.Data == "" {
				return mcp.Event{}, err
			}
			m, bad := mcp.ParseServer(ev.Data)
			switch {
			case bad != nil || ev.Name != "" && ev.Name != "message" || m.IsRequest(): // for the gateway to refuse
				m = nil
			case m.IsResponse():
				text = r.response(m)
			default:
				text = m.Text
			}
			if m == nil {
				return ev, nil
			}
		}
		if text != "" {
			return mcp.Event{Data: text}, nil
		}
	}
	if r.isCancelled() {
		return mcp.Event{}, mcp.ErrCancelled
	}
	return mcp.Event{}, io.EOF
}

// isCancelled reports whether the client said that it no longer waits.
func (r *roundTrip) isCancelled() bool { return errors.Is(context.Cause(r.ctx), mcp.ErrCancelled) }

// Close implements mcp.Events. It cancels a request that was not answered.
func (r *roundTrip) Close() error {
	r.once.Do(func() {
		r.cancel(nil)
		r.leave()
		r.c.unask(r.heardID)
		if r.events != nil {
			_ = r.events.Close() // nothing is left to be read
		}
	})
	return nil
}

// response is a server's response as the client gets it, or empty if the client is to be asked first.
func (r *roundTrip) response(m *mcp.Message) string {
	if m.ID.Text() != r.id && (m.ID.Exists() || !m.Error.Exists()) {
		return r.fail("the server answered another request")
	}
	switch kind := m.Result.Get("resultType").String(); {
	case m.Error.Exists():
		r.done = true
		return `{"jsonrpc":"2.0","id":` + r.msg.ID.Text() + `,"error":` + m.Error.Text() + `}`
	case kind == "" || kind == "complete":
		r.done = true
		return resultText(r.msg.ID.Text(), toLegacyResult(r.msg.Method, m.Result))
	case kind != "input_required" || !asking[r.msg.Method]:
		return r.fail("the server answered with a result of another kind")
	}
	if r.rounds++; r.rounds > maxRounds {
		return r.fail("the server asks too often")
	}
	for name, request := range m.Result.Get("inputRequests").Members() {
		r.asks = append(r.asks, ask{name.String(), request})
	}
	if len(r.asks) > maxAsks {
		return r.fail("the server asks too much")
	}
	if r.events != nil {
		_ = r.events.Close() // it ends with the response
	}
	r.events, r.answers, r.state = nil, nil, ""
	if state := m.Result.Get("requestState"); state.IsString() {
		r.state = state.Text()
	}
	return ""
}

// fail ends the request with an error of the bridge's.
func (r *roundTrip) fail(message string) string {
	r.done = true
	return errorText(r.msg.ID.Text(), codeInternal, message, "")
}

// ask is the next request to the client.
func (r *roundTrip) ask() string {
	next := r.asks[0]
	r.asks = r.asks[1:]
	method, params := next.request.Get("method").String(), next.request.Get("params")
	if !r.c.mayBeAsked(method, params) {
		return r.fail("the server asks what the client cannot answer")
	}
	text := with(params)
	if params.Get("mode").String() == "url" {
		text = with(params, "elicitationId", quote(rand.Text()))
	}
	r.heardID, r.heard = r.c.expect()
	r.answers = append(r.answers, quote(next.name)+":")
	return requestText(quote(r.heardID), method, text)
}

// hear waits for the client's answer. It is empty unless the request is over by it.
func (r *roundTrip) hear() string {
	defer r.c.unask(r.heardID)
	late := time.NewTimer(r.b.limits.patience)
	defer late.Stop()
	select {
	case m := <-r.heard:
		r.heard = nil
		if m.Error.Exists() {
			r.done = true
			return `{"jsonrpc":"2.0","id":` + r.msg.ID.Text() + `,"error":` + m.Error.Text() + `}`
		}
		r.answers[len(r.answers)-1] += m.Result.Text()
		if sizeOf(r.answers) > maxAnswers {
			return r.fail("the client answers too much")
		}
		return ""
	case <-late.C:
		return r.fail("the client did not answer")
	case <-r.ctx.Done():
		r.done = true
		return ""
	}
}

// again makes the request once more, as one of its own, with what the client answered.
func (r *roundTrip) again() string {
	var more []string
	if len(r.answers) > 0 {
		more = append(more, "inputResponses", "{"+strings.Join(r.answers, ",")+"}")
	}
	r.id = quote(rand.Text())
	a, bad := r.send(append(more, "requestState", r.state)...)
	switch {
	case r.ctx.Err() != nil:
		r.done = true
		return ""
	case bad != nil:
		return r.fail(bad.Message)
	case a.Events != nil:
		r.events = a.Events
		return ""
	}
	m, bad := mcp.ParseServer(a.Text)
	if bad != nil || !m.IsResponse() {
		return r.fail("the server's answer is malformed")
	}
	return r.response(m)
}

// toLegacyResult is a result without what clients of the older revisions do not know or would stumble over.
func toLegacyResult(method string, result mcp.Value) string {
	drop := []string{"resultType", "", "ttlMs", "", "cacheScope", ""}
	switch method {
	case "tools/call":
		if s := result.Get("structuredContent"); s.Exists() && !s.IsObject() {
			drop = append(drop, "structuredContent", "")
		}
	case "tools/list":
		if tools := result.Get("tools"); tools.Kind() == '[' {
			drop = append(drop, "tools", toLegacyTools(tools))
		}
	}
	return with(result, drop...)
}

// toLegacyTools leaves out the schemas of results that are no objects.
func toLegacyTools(tools mcp.Value) string {
	var texts []string
	for tool := range tools.Items() {
		text := tool.Text()
		if s := tool.Get("outputSchema"); s.Exists() && s.Get("type").String() != "object" {
			text = with(tool, "outputSchema", "")
		}
		texts = append(texts, text)
	}
	return "[" + strings.Join(texts, ",") + "]"
}
