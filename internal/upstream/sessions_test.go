package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A line is a channel whose server is the test.
type line struct {
	sent, said chan string
	once       sync.Once
	over       chan struct{}
	broken     chan error
}

func newLine() *line {
	return &line{
		sent: make(chan string, 64), said: make(chan string, 64),
		over: make(chan struct{}), broken: make(chan error, 1),
	}
}

func (l *line) Read() (string, error) {
	select {
	case text := <-l.said:
		if text == "" {
			return "", mcp.ErrTooLong
		}
		return text, nil
	case err := <-l.broken:
		return "", err
	case <-l.over:
		return "", io.ErrClosedPipe
	}
}

func (l *line) Write(text string) error {
	select {
	case l.sent <- text:
		return nil
	case <-l.over:
		return io.ErrClosedPipe
	}
}

func (l *line) Close() error {
	l.once.Do(func() { close(l.over) })
	return nil
}

// A rig is a server of lines.
type rig struct {
	*Sessions
	t     *testing.T
	lines chan *line
	fail  error
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, lines: make(chan *line, 64)}
	r.Sessions = &Sessions{
		Slots: make(chan struct{}, 8), PerPrincipal: 2, Log: slog.New(slog.DiscardHandler),
		Open: func(context.Context, *mcp.Outgoing) (Channel, error) {
			if r.fail != nil {
				return nil, r.fail
			}
			l := newLine()
			r.lines <- l
			return l, nil
		},
	}
	t.Cleanup(r.Close)
	return r
}

const within = 10 * time.Second

// take waits for what must come.
func take[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(within):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func (r *rig) out(principal, session, text string) *mcp.Outgoing {
	out := &mcp.Outgoing{Verb: http.MethodPost, Header: http.Header{}, Text: text, Principal: principal}
	if strings.Contains(text, metaOf) {
		out.Header.Set(mcp.HeaderVersion, mcp.Modern)
	}
	if session != "" {
		out.Header.Set(mcp.HeaderSession, session)
	}
	return out
}

const metaOf = `"io.modelcontextprotocol/protocolVersion":"2026-07-28"`

func (r *rig) send(principal, session, text string) *mcp.Answer {
	r.t.Helper()
	a, bad := r.Send(context.Background(), r.out(principal, session, text))
	if bad != nil {
		r.t.Fatal(bad)
	}
	r.t.Cleanup(a.Close)
	return a
}

// session opens a session of p's, and returns its id and its line.
func (r *rig) session() (string, *line) {
	r.t.Helper()
	a := r.send("p", "", `{"jsonrpc":"2.0","id":"i","method":"initialize","params":{}}`)
	l := take(r.t, r.lines)
	take(r.t, l.sent)
	l.said <- `{"jsonrpc":"2.0","id":1,"result":{}}`
	if ev, err := a.Events.Next(); err != nil || ev.Data != `{"jsonrpc":"2.0","id":"i","result":{}}` {
		r.t.Fatal(ev, err)
	}
	return a.Session, l
}

func next(t *testing.T, a *mcp.Answer) string {
	t.Helper()
	ev, err := a.Events.Next()
	if err != nil {
		return err.Error()
	}
	return ev.Data
}

func modernCall(id, token string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"t","_meta":{` + metaOf + `,"progressToken":` + token + `}}}`
}

// Clients of one principal use the same ids and tokens, and never meet.
func TestSessionsMapIDs(t *testing.T) {
	r := newRig(t)
	first, second := r.send("p", "", modernCall(`7`, `"tok"`)), r.send("p", "", modernCall(`7`, `"tok"`))
	l := take(t, r.lines)
	for i, want := range []string{modernCall(`1`, `1`), modernCall(`2`, `2`)} {
		if got := take(t, l.sent); got != want {
			t.Errorf("message %d is %s", i, got)
		}
	}
	l.said <- `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":2,"progress":1}}`
	l.said <- `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":9,"progress":1}}`
	l.said <- `{"jsonrpc":"2.0","id":9,"result":{}}`
	l.said <- `{"jsonrpc":"2.0","id":"2","result":{}}`
	l.said <- `{"jsonrpc":"2.0","id":2,"result":{"n":2}}`
	l.said <- `{"jsonrpc":"2.0","id":1,"result":{"n":1}}`
	for _, c := range []struct {
		a    *mcp.Answer
		want []string
	}{
		{second, []string{
			`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"tok","progress":1}}`,
			`{"jsonrpc":"2.0","id":7,"result":{"n":2}}`, "EOF",
		}},
		{first, []string{`{"jsonrpc":"2.0","id":7,"result":{"n":1}}`, "EOF"}},
	} {
		for _, want := range c.want {
			if got := next(t, c.a); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
	other := r.send("q", "", modernCall(`7`, `"tok"`))
	if l2 := take(t, r.lines); l2 == l {
		t.Error("two principals share a channel")
	} else if l2.said <- `{"jsonrpc":"2.0","id":1,"result":{}}`; next(t, other) != `{"jsonrpc":"2.0","id":7,"result":{}}` {
		t.Error("the other principal's answer did not come")
	}
}

// What the server says by itself goes to who it concerns, and to nobody else.
func TestSessionsRoute(t *testing.T) {
	listen := `{"jsonrpc":"2.0","id":"sub","method":"subscriptions/listen","params":{"notifications":{},"_meta":{` + metaOf + `}}}`
	const (
		ask     = `{"jsonrpc":"2.0","id":5,"method":"elicitation/create","params":{}}`
		log     = `{"jsonrpc":"2.0","method":"notifications/message","params":{"data":1}}`
		changed = `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`
		nobody  = `{"jsonrpc":"2.0","id":5,"error":{"code":-32603,"message":"nobody can tell which request this belongs to"}}`
		end     = `{"jsonrpc":"2.0","id":%s,"result":{}}`
	)
	legacy := func(id string) string {
		return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"t"}}`
	}
	for name, c := range map[string]struct {
		session  bool
		requests []string // sent first, with ids on the wire from 1, or from 2 in a session
		listener bool
		said     string
		want     []string // what each request, and then the listener, gets first
		back     string   // what the server gets
	}{
		"a question of the only request":   {true, []string{legacy(`8`)}, true, ask, []string{ask, ""}, ""},
		"of one of two, with a listener":   {true, []string{legacy(`8`), legacy(`9`)}, true, ask, []string{"", "", ask}, ""},
		"of one of two, without":           {true, []string{legacy(`8`), legacy(`9`)}, false, ask, []string{"", ""}, nobody},
		"a question of no request":         {true, nil, true, ask, []string{ask}, ""},
		"in a principal's own session":     {false, []string{modernCall(`8`, `1`)}, false, ask, []string{ask}, ""},
		"of one of two there":              {false, []string{modernCall(`8`, `1`), modernCall(`9`, `1`)}, false, ask, []string{"", ""}, nobody},
		"a log message of the only one":    {false, []string{modernCall(`8`, `1`), listen}, false, log, []string{log, ""}, ""},
		"of one of two, dropped":           {false, []string{modernCall(`8`, `1`), modernCall(`9`, `1`)}, false, log, []string{"", ""}, ""},
		"a change, to the listener":        {true, []string{legacy(`8`)}, true, changed, []string{"", changed}, ""},
		"a change that nobody listens for": {false, []string{modernCall(`8`, `1`)}, false, changed, []string{""}, ""},
		"a subscription's": {
			false,
			[]string{modernCall(`8`, `1`), listen},
			false,
			`{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":2}}}`,
			[]string{"", `{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"sub"}}}`},
			"",
		},
		"a subscription's, as a text": {
			false,
			[]string{listen},
			false,
			`{"jsonrpc":"2.0","method":"notifications/x","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"1"}}}`,
			[]string{`{"jsonrpc":"2.0","method":"notifications/x","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"sub"}}}`},
			"",
		},
		"a subscription's end": {
			false,
			[]string{listen},
			false,
			`{"jsonrpc":"2.0","id":1,"result":{"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}`,
			[]string{`{"jsonrpc":"2.0","id":"sub","result":{"_meta":{"io.modelcontextprotocol/subscriptionId":"sub"}}}`},
			"",
		},
		"progress of a subscription that is none": {
			false,
			[]string{modernCall(`8`, `"tok"`), listen},
			false,
			`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"_meta":{"io.modelcontextprotocol/subscriptionId":2}}}`,
			[]string{"", ""},
			"",
		},
		"progress of the call that it is sent for": {
			false,
			[]string{modernCall(`8`, `"tok"`), modernCall(`9`, `"other"`)},
			false,
			`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"_meta":{"io.modelcontextprotocol/subscriptionId":1}}}`,
			[]string{`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"tok","_meta":{"io.modelcontextprotocol/subscriptionId":8}}}`, ""},
			"",
		},
		"another's subscription": {
			false,
			[]string{modernCall(`8`, `1`)},
			false,
			`{"jsonrpc":"2.0","method":"notifications/x","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":7}}}`,
			[]string{""},
			"",
		},
		"an error without an id": {
			true,
			[]string{legacy(`8`)},
			false,
			`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}`,
			[]string{`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no"}}`},
			"",
		},
		"a message that cannot be read": {
			true,
			[]string{legacy(`8`), legacy(`"9"`)},
			false,
			`{"jsonrpc":"2.0","id":2,"id":3,"result":{}}`,
			[]string{
				"the server's answer is malformed: parse error: duplicate name", "the server's answer is malformed: parse error: duplicate name",
			},
			"",
		},
		"a message over the limit": {
			true,
			[]string{legacy(`8`)},
			false,
			"",
			[]string{"the server's answer is too long"},
			"",
		},
		"a line for people": {true, []string{legacy(`8`)}, false, "Server running on stdio", []string{""}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			session, wire := "", 1
			var l *line
			if c.session {
				session, l = r.session()
				wire = 2
			}
			var answers []*mcp.Answer
			for _, text := range c.requests {
				answers = append(answers, r.send("p", session, text))
			}
			if l == nil {
				l = take(t, r.lines)
			}
			for range c.requests {
				take(t, l.sent)
			}
			if c.listener {
				a, bad := r.Send(context.Background(), &mcp.Outgoing{
					Verb: http.MethodGet, Principal: "p", Header: http.Header{mcp.HeaderSession: {session}},
				})
				if bad != nil {
					t.Fatal(bad)
				}
				defer a.Close()
				answers = append(answers, a)
			}
			l.said <- c.said
			if c.back != "" {
				if got := take(t, l.sent); got != c.back {
					t.Errorf("the server is told %s, want %s", got, c.back)
				}
			}
			for i, a := range answers {
				want := c.want[i]
				if want == "" { // nothing came before what the server says next
					if i == len(c.requests) {
						want = changed
						l.said <- changed
					} else {
						want = fmt.Sprintf(end, idOf(t, c.requests[i]))
						l.said <- fmt.Sprintf(end, fmt.Sprint(wire+i))
					}
				}
				if got := next(t, a); got != want {
					t.Errorf("%d got %s, want %s", i, got, want)
				}
			}
		})
	}
}

func idOf(t *testing.T, text string) string {
	m, bad := mcp.ParseClient(text)
	if bad != nil {
		t.Fatal(bad)
	}
	return m.ID.Text()
}

// What a client no longer waits for is cancelled, by the id that the server knows.
func TestSessionsCancel(t *testing.T) {
	const call = `{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"t"}}`
	const left = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2,"reason":"the client left"}}`
	t.Run("by leaving", func(t *testing.T) {
		r := newRig(t)
		id, l := r.session()
		a := r.send("p", id, call)
		take(t, l.sent)
		a.Close()
		if got := take(t, l.sent); got != left {
			t.Error(got)
		}
	})
	t.Run("by its word", func(t *testing.T) {
		r := newRig(t)
		id, l := r.session()
		a := r.send("p", id, call)
		take(t, l.sent)
		r.send("p", id, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"8"}}`) // another's
		r.send("p", id, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":8,"reason":"x"}}`)
		if got := take(t, l.sent); got != `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2,"reason":"x"}}` {
			t.Error(got)
		}
		if _, err := a.Events.Next(); !errors.Is(err, mcp.ErrCancelled) {
			t.Error(err)
		}
		a.Close()
		r.send("p", id, `{"jsonrpc":"2.0","method":"notifications/x"}`)
		if got := take(t, l.sent); got != `{"jsonrpc":"2.0","method":"notifications/x"}` {
			t.Error("cancelled twice: ", got)
		}
	})
	t.Run("not once answered", func(t *testing.T) {
		r := newRig(t)
		id, l := r.session()
		a := r.send("p", id, call)
		take(t, l.sent)
		l.said <- `{"jsonrpc":"2.0","id":2,"result":{}}`
		next(t, a)
		a.Close()
		r.send("p", id, `{"jsonrpc":"2.0","method":"notifications/x"}`)
		if got := take(t, l.sent); got != `{"jsonrpc":"2.0","method":"notifications/x"}` {
			t.Error("cancelled though answered: ", got)
		}
	})
	t.Run("the server its own question", func(t *testing.T) {
		r := newRig(t)
		id, l := r.session()
		a := r.send("p", id, call)
		take(t, l.sent)
		const ask = `{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{}}`
		const cancel = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"q"}}`
		const otherwise = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"\u0071"}}`
		l.said <- ask
		l.said <- cancel
		l.said <- otherwise
		if got := []string{next(t, a), next(t, a), next(t, a)}; !cmp.Equal(got, []string{ask, cancel, otherwise}) {
			t.Error(got)
		}
	})
}

// Sessions end in many ways, and what is under way is told at once.
func TestSessionsEnd(t *testing.T) {
	const call = `{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"t"}}`
	gone := func(t *testing.T, r *rig, id string) {
		t.Helper()
		_, bad := r.Send(context.Background(), r.out("p", id, call))
		if bad == nil || bad.Status != http.StatusNotFound {
			t.Errorf("a message of a session that has ended: %v", bad)
		}
	}
	t.Run("the server ends", func(t *testing.T) {
		r := newRig(t)
		id, l := r.session()
		a := r.send("p", id, call)
		l.broken <- errors.New("exit status 3")
		if got := next(t, a); got != "the server ended: exit status 3" {
			t.Error(got)
		}
		take(t, l.over)
		gone(t, r, id)
	})
	t.Run("DELETE", func(t *testing.T) {
		r := newRig(t)
		id, l := r.session()
		a := r.send("p", id, call)
		if _, bad := r.Send(context.Background(), &mcp.Outgoing{Verb: http.MethodDelete, Header: http.Header{mcp.HeaderSession: {id}}}); bad != nil {
			t.Fatal(bad)
		}
		if got := next(t, a); got != "unknown session: it was ended" {
			t.Error(got)
		}
		take(t, l.over)
		gone(t, r, id)
	})
	t.Run("idle", func(t *testing.T) {
		r := newRig(t)
		r.Idle = time.Millisecond
		id, l := r.session()
		take(t, l.over)
		gone(t, r, id)
	})
	t.Run("old", func(t *testing.T) {
		r := newRig(t)
		r.Lifetime = 100 * time.Millisecond // after twice as much it would end at once
		a := r.send("p", "", modernCall(`8`, `1`))
		l := take(t, r.lines)
		take(t, l.sent)
		for another := false; !another; { // until the first is too old to be used
			r.send("p", "", modernCall(`8`, `1`)).Close()
			for told := 0; told < 2 && !another; told++ { // the call, and that nobody waits for it
				select {
				case <-r.lines:
					another = true
				case <-l.sent:
				}
			}
		}
		select {
		case <-l.over:
			t.Error("ended with a request under way")
		default:
		}
		a.Close()
		take(t, l.over)
	})
	t.Run("initialize refused", func(t *testing.T) {
		r := newRig(t)
		a := r.send("p", "", `{"jsonrpc":"2.0","id":"i","method":"initialize","params":{}}`)
		l := take(t, r.lines)
		l.said <- `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}`
		next(t, a)
		take(t, l.over)
		gone(t, r, a.Session)
	})
	t.Run("initialize left", func(t *testing.T) {
		r := newRig(t)
		a := r.send("p", "", `{"jsonrpc":"2.0","id":"i","method":"initialize","params":{}}`)
		a.Close()
		take(t, take(t, r.lines).over)
		gone(t, r, a.Session)
	})
}

// There is an end to what one principal, and all of them, may open.
func TestSessionsLimits(t *testing.T) {
	r := newRig(t)
	_, first := r.session()
	second, _ := r.session()
	busy := r.send("p", second, `{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"t"}}`)
	third, _ := r.session() // in the place of the first
	take(t, first.over)
	r.send("p", third, `{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"t"}}`)
	initialize := r.out("p", "", `{"jsonrpc":"2.0","id":"i","method":"initialize","params":{}}`)
	if _, bad := r.Send(context.Background(), initialize); bad == nil || bad.Status != http.StatusServiceUnavailable {
		t.Errorf("a third session beside two in use: %v", bad)
	}
	busy.Close()
	for n := len(r.Slots); n < cap(r.Slots); n++ {
		r.Slots <- struct{}{}
	}
	initialize.Principal = "q"
	if _, bad := r.Send(context.Background(), initialize); bad == nil || bad.Status != http.StatusServiceUnavailable {
		t.Errorf("a session beyond all slots: %v", bad)
	}
	for len(r.Slots) > 2 {
		<-r.Slots
	}
}

// What the server refuses, however a session begins, neither ends one that is open nor
// makes a principal's own unknown while it is in use: a principal has one, not many.
func TestSessionsRefusals(t *testing.T) {
	const refused = `{"jsonrpc":"2.0","id":%d,"error":{"code":-32602,"message":"no"}}`
	t.Run("initialize once more", func(t *testing.T) {
		r := newRig(t)
		id, l := r.session()
		for again := range 2 {
			a := r.send("p", id, `{"jsonrpc":"2.0","id":8,"method":"initialize","params":{}}`)
			take(t, l.sent)
			if again == 0 {
				l.said <- fmt.Sprintf(refused, 2)
				next(t, a)
			} else {
				a.Close()
			}
		}
		r.send("p", id, `{"jsonrpc":"2.0","id":8,"method":"ping"}`)
		if got := take(t, l.sent); got != `{"jsonrpc":"2.0","id":4,"method":"ping"}` {
			t.Error(got)
		}
	})
	t.Run("server/discover", func(t *testing.T) {
		r := newRig(t)
		go func() { // each of what may be many
			for {
				select {
				case l := <-r.lines:
					go refusing(l, refused)
				case <-t.Context().Done():
					return
				}
			}
		}()
		for range 2 {
			r.send("p", "", modernCall(`7`, `1`))
			a := r.send("p", "", `{"jsonrpc":"2.0","id":8,"method":"server/discover","params":{"_meta":{`+metaOf+`}}}`)
			next(t, a)
		}
		r.send("p", "", modernCall(`9`, `1`))
		if n := len(r.Slots); n != 1 {
			t.Errorf("%d processes of one principal", n)
		}
	})
}

// refusing refuses to be discovered, and answers nothing else.
func refusing(l *line, refused string) {
	for n := 1; ; n++ {
		select {
		case text := <-l.sent:
			if strings.Contains(text, "server/discover") {
				l.said <- fmt.Sprintf(refused, n)
			}
		case <-l.over:
			return
		}
	}
}

// A server that does not start is not started time and again.
func TestSessionsBackOff(t *testing.T) {
	r := newRig(t)
	r.fail = errors.New("no such file")
	for _, want := range []int{http.StatusBadGateway, http.StatusBadGateway, http.StatusServiceUnavailable} {
		_, bad := r.Send(context.Background(), r.out("p", "", modernCall(`8`, `1`)))
		if bad == nil || bad.Status != want {
			t.Errorf("got %v, want %d", bad, want)
		}
	}
	r.fail = nil
	r.send("q", "", modernCall(`8`, `1`)) // another principal is not held off
	if n := len(r.Slots); n != 1 {
		t.Errorf("%d slots are taken by one channel", n)
	}
}

func TestFailures(t *testing.T) {
	var f failures
	var waits []time.Duration
	for range 8 {
		f.add("p", 0)
		waits = append(waits, f.wait("p").Round(time.Second))
	}
	want := []time.Duration{0, 1, 2, 4, 8, 16, 30, 30}
	for i := range want {
		want[i] *= time.Second
	}
	if d := cmp.Diff(want, waits); d != "" {
		t.Error(d)
	}
	f.add("p", shortLife)
	if len(f) != 0 {
		t.Error("a channel that lived is held against it")
	}
}
