package bridge

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A question is what a legacy server asked of a modern client in the middle of a call. The call is held until
// the client brings the answer with its next request.
type question struct {
	*call
	state     string // by which the client names it
	principal string
	server    string // id of the server's request
	ask       string // the member of inputRequests
	late      *time.Timer
}

// waiting are the calls that are held.
type waiting struct {
	mu   sync.Mutex
	by   map[string]*question // by state
	over bool
}

// maxHeld bounds what is asked of one principal in all, in bytes.
const maxHeld = 8 << 20

// inputKey names the one thing that is asked at a time.
const inputKey = "input"

// asked is what the client is told when the server asks, or empty if the server is answered at once.
func (t *turn) asked(m *mcp.Message) string {
	if m.Method == "ping" {
		t.reply(resultText(m.ID.Text(), "{}"))
		return ""
	}
	if !t.mayAsk(m) {
		t.reply(errorText(m.ID.Text(), mcp.CodeNoMethod, "the client cannot be asked that", ""))
		return ""
	}
	params := with(m.Params, "_meta", "", "task", "", "elicitationId", "")
	q := &question{
		call: t.call, state: rand.Text(), principal: t.k.principal, server: m.ID.Text(),
		ask: `{"method":` + quote(m.Method) + `,"params":` + params + `}`,
	}
	if !t.hold(q) {
		t.reply(errorText(m.ID.Text(), codeInternal, "too many questions wait for an answer", ""))
		return ""
	}
	return q.text(t.id)
}

// text is the response by which the client is asked.
func (q *question) text(id string) string {
	return resultText(id, `{"resultType":"input_required","inputRequests":{"`+inputKey+`":`+q.ask+`},"requestState":"`+q.state+`"}`)
}

// mayAsk reports whether the client can be asked that, here.
func (t *turn) mayAsk(m *mcp.Message) bool {
	if !asking[t.method] || m.Params.Get("task").Exists() || !m.Params.IsObject() {
		return false
	}
	switch m.Method {
	case "sampling/createMessage":
		return t.features.Get("sampling").IsObject()
	case "elicitation/create":
		return mayElicit(t.features, m.Params)
	}
	return false
}

// mayElicit reports whether a client with those capabilities can be asked in that mode.
func mayElicit(features, params mcp.Value) bool {
	can := features.Get("elicitation")
	mode := params.Get("mode")
	if mode.String() == "url" {
		return can.Get("url").IsObject()
	}
	form := can.Get("form").IsObject() || can.IsObject() && !can.Get("url").Exists()
	return form && (!mode.Exists() || mode.String() == "form")
}

// hold ends the turn but not the call, which waits for the answer to a question.
func (t *turn) hold(q *question) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	held := &t.k.b.held
	if t.over || !held.add(q) {
		return false
	}
	t.over = t.detach() || !held.take(q) // or the client left, and the call ends with it
	return t.over
}

// reply answers the server's request.
func (c *call) reply(text string) bool { return c.k.tell(http.MethodPost, text) }

// add holds a question's call, if there is room.
func (w *waiting) add(q *question) bool {
	b := q.k.b
	w.mu.Lock()
	defer w.mu.Unlock()
	each, size := 0, len(q.ask)
	for _, other := range w.by {
		if other.principal == q.principal {
			each, size = each+1, size+len(other.ask)
		}
	}
	if w.over || len(w.by) >= b.limits.held || each >= b.limits.heldEach || each > 0 && size > maxHeld {
		return false
	}
	w.by[q.state] = q
	q.late = time.AfterFunc(b.limits.patience, func() {
		if w.take(q) {
			q.abandon()
		}
	})
	return true
}

// take reports whether the question still waited, and takes it.
func (w *waiting) take(q *question) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by[q.state] != q {
		return false
	}
	delete(w.by, q.state)
	q.late.Stop()
	return true
}

func (w *waiting) find(state string) *question {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.by[state]
}

func (w *waiting) close() {
	w.mu.Lock()
	w.over = true
	all := w.by
	w.by = map[string]*question{}
	w.mu.Unlock()
	for _, q := range all {
		q.late.Stop()
		q.abandon()
	}
}

// resume goes on with a call, given the client's answer. It must be the very call that was judged: the server
// got its arguments at the beginning, and gets no others now.
func (b *Bridge) resume(ctx context.Context, out *mcp.Outgoing, m *mcp.Message) (*mcp.Answer, *mcp.Error) {
	id := m.ID.Text()
	q := b.held.find(m.Params.Get("requestState").String())
	if q == nil || q.principal != out.Principal || q.digest != digestOf(m) {
		return invalidParams(id, "unknown request state"), nil
	}
	given := m.Params.Get("inputResponses").Get(inputKey)
	if !given.Exists() {
		return answered(q.text(id)), nil
	}
	if !given.IsObject() {
		return invalidParams(id, "an input response is not an object"), nil
	}
	if !b.held.take(q) {
		return invalidParams(id, "unknown request state"), nil
	}
	t := q.turn(ctx, m)
	if !q.reply(resultText(q.server, given.Text())) {
		_ = t.Close() // the call is cancelled
		return failed(http.StatusOK, id, codeInternal, "the server no longer waits for the answer"), nil
	}
	return &mcp.Answer{Events: t}, nil
}

// urlRequired has the client visit what a legacy server wants visited before the request is made again. The
// retry is a new call.
func (t *turn) urlRequired(m *mcp.Message) string {
	asks, n := "", 0
	for e := range m.Error.Get("data").Get("elicitations").Items() {
		if e.Get("mode").String() == "url" && e.Get("url").IsString() && n < maxSubscriptionItems {
			n++
			asks += fmt.Sprintf(`,"%s%d":{"method":"elicitation/create","params":%s}`, inputKey, n, with(e, "_meta", "", "task", "", "elicitationId", ""))
		}
	}
	switch {
	case asks == "" || !asking[t.method]:
		return errorText(t.id, codeInternal, "the server wants a URL to be visited", "")
	case !t.features.Get("elicitation").Get("url").IsObject():
		return errorText(t.id, codeMissingFeature, "the client cannot be asked to visit a URL", `{"requiredCapabilities":{"elicitation":{"url":{}}}}`)
	}
	return resultText(t.id, `{"resultType":"input_required","inputRequests":{`+asks[1:]+`}}`)
}
