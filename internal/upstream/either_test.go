package upstream

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

const (
	initialize = `{"jsonrpc":"2.0","id":7,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`
	call1      = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t"}}`
)

// An odd is a server whose URL takes a POST with one answer, and a GET with a
// stream if it is to have one.
type odd struct {
	*Either
	status int
	body   string // JSON if it looks so
	stream bool
	broken bool // it breaks off the answer to a POST

	mu  sync.Mutex
	got []string      // what it was asked
	to  []chan string // its streams
	end chan struct{} // of all of them
}

func newOdd(t *testing.T) *odd {
	o := &odd{end: make(chan struct{})}
	u := server(t, o.serve)
	s := &Sessions{Open: u.OpenSSE, Slots: make(chan struct{}, 8), PerPrincipal: 8, Log: slog.New(slog.DiscardHandler)}
	t.Cleanup(s.Close)
	o.Either = &Either{HTTP: u, Sessions: s}
	return o
}

func (o *odd) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	o.mu.Lock()
	o.got = append(o.got, r.Method+" "+r.URL.Path)
	o.mu.Unlock()
	switch {
	case r.Method == http.MethodGet && o.stream:
		o.listen(w, r)
	case r.URL.Path == "/messages":
		w.WriteHeader(http.StatusAccepted)
		if m, _ := mcp.ParseClient(string(body)); m.Method == "initialize" {
			n, _ := strconv.Atoi(r.URL.RawQuery)
			o.say(n, `{"jsonrpc":"2.0","id":`+m.ID.Text()+`,"result":{}}`)
		}
	case o.broken:
		panic(http.ErrAbortHandler)
	case r.Method == http.MethodPost:
		if strings.HasPrefix(o.body, "{") {
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(o.status)
		_, _ = io.WriteString(w, o.body)
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

// listen opens a stream with an endpoint of its own.
func (o *odd) listen(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	texts := make(chan string, 8)
	o.to = append(o.to, texts)
	n := len(o.to) - 1
	o.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = fmt.Fprintf(w, "event: endpoint\ndata: /messages?%d\n\n", n)
	for {
		_ = http.NewResponseController(w).Flush()
		select {
		case text := <-texts:
			_, _ = fmt.Fprintf(w, "data: %s\n\n", text)
		case <-o.end:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// say sends a message over a stream.
func (o *odd) say(n int, text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.to[n] <- text
}

func (o *odd) asked() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer func() { o.got = nil }()
	return o.got
}

// ask sends a request and returns the status of the answer, and its text or its
// last event.
func (o *odd) ask(t *testing.T, session, text string) (*mcp.Answer, string) {
	t.Helper()
	out := &mcp.Outgoing{Verb: http.MethodPost, Header: http.Header{}, Text: text, Principal: "p"}
	if session != "" {
		out.Header.Set(mcp.HeaderSession, session)
	}
	a, bad := o.Send(t.Context(), out)
	if bad != nil {
		return &mcp.Answer{Status: bad.Status}, bad.Error()
	}
	t.Cleanup(a.Close)
	if a.Events == nil {
		return a, a.Text
	}
	ev, err := a.Events.Next()
	if err != nil {
		return a, err.Error()
	}
	return a, ev.Data
}

func TestEither(t *testing.T) {
	t.Parallel()
	const post, get, message = "POST /mcp", "GET /mcp", "POST /messages"
	const plain, overSSE = "not here", `{"jsonrpc":"2.0","id":7,"result":{}}`
	refusal := `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}`
	all := []string{post, get, get, message} // the first stream is to find out
	for _, tt := range []struct {
		name   string
		status int
		body   string
		stream bool
		text   string
		want   int // the status of the answer
		asked  []string
	}{
		{"not found", 404, plain, true, initialize, 0, all},
		{"not allowed", 405, "", true, initialize, 0, all},
		{"bad request, in JSON of its own", 400, `{"error":"no session"}`, true, initialize, 0, all},
		{"bad request, in JSON-RPC", 400, refusal, true, initialize, 400, []string{post}},
		{"not found, in JSON-RPC", 404, refusal, true, initialize, 404, []string{post}},
		{"neither", 404, plain, false, initialize, 404, []string{post, get}},
		{"another method", 404, plain, true, call1, 404, []string{post}},
		{"a notification", 404, plain, true, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, 404, []string{post}},
		{"unauthorized", 401, plain, true, initialize, 401, []string{post}},
		{"forbidden", 403, plain, true, initialize, 403, []string{post}},
		{"broken", 500, plain, true, initialize, 500, []string{post}},
		{"moved", 307, plain, true, initialize, 307, []string{post}},
		{"answered", 200, overSSE, true, initialize, 200, []string{post}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := newOdd(t)
			o.status, o.body, o.stream = tt.status, tt.body, tt.stream
			a, text := o.ask(t, "", tt.text)
			if d := cmp.Diff(tt.asked, o.asked()); d != "" || a.Status != tt.want {
				t.Errorf("%d %q (-want +asked):\n%s", a.Status, text, d)
			}
			if tt.want == 0 && (text != overSSE || a.Session == "") {
				t.Errorf("%q, session %q", text, a.Session)
			}
		})
	}
	t.Run("a broken answer", func(t *testing.T) {
		t.Parallel()
		o := newOdd(t)
		o.broken, o.stream = true, true
		if a, text := o.ask(t, "", initialize); a.Status != 502 {
			t.Errorf("%d %s", a.Status, text)
		}
		for _, asked := range o.asked() { // the HTTP client may ask again on its own connection's end
			if asked != post {
				t.Error(asked)
			}
		}
	})
}

// What was found stays so, be it the one or the other.
func TestEitherRemembers(t *testing.T) {
	t.Parallel()
	o := newOdd(t)
	o.status, o.stream = 404, true
	o.ask(t, "", initialize)
	o.asked()
	if a, _ := o.ask(t, "", initialize); a.Session == "" {
		t.Error("no session")
	}
	if d := cmp.Diff([]string{"GET /mcp", "POST /messages"}, o.asked()); d != "" {
		t.Errorf("HTTP+SSE (-want +asked):\n%s", d)
	}

	o = newOdd(t)
	o.status, o.body, o.stream = 200, pong, true
	o.ask(t, "", ping)
	o.status, o.body = 404, ""
	o.asked()
	if a, _ := o.ask(t, "", initialize); a.Status != 404 {
		t.Errorf("%d", a.Status)
	}
	if d := cmp.Diff([]string{"POST /mcp"}, o.asked()); d != "" {
		t.Errorf("Streamable HTTP (-want +asked):\n%s", d)
	}
}

// A stream that ends takes the requests under way with it, at once.
func TestStreamEndsInMidCall(t *testing.T) {
	t.Parallel()
	o := newOdd(t)
	o.status, o.stream = 405, true
	opened, _ := o.ask(t, "", initialize)
	out := &mcp.Outgoing{Verb: http.MethodPost, Header: http.Header{mcp.HeaderSession: {opened.Session}}, Text: call1, Principal: "p"}
	a, bad := o.Send(t.Context(), out)
	if bad != nil {
		t.Fatal(bad)
	}
	defer a.Close()
	close(o.end)
	_, err := a.Events.Next()
	if known, ok := errors.AsType[*mcp.Error](err); !ok || known.Status != http.StatusBadGateway {
		t.Errorf("%v", err)
	}
	if a, text := o.ask(t, opened.Session, call1); a.Status != http.StatusNotFound {
		t.Errorf("afterwards: %d %s", a.Status, text)
	}
}

// Why no channel could be opened is what the caller is told.
func TestNoChannel(t *testing.T) {
	t.Parallel()
	o := newOdd(t)
	o.HTTP.Tokens = &Tokens{Exchange: true}
	a, bad := o.Sessions.Send(t.Context(), &mcp.Outgoing{Verb: http.MethodPost, Header: http.Header{}, Text: initialize, Principal: "p"})
	if bad == nil || bad.Status != http.StatusForbidden {
		t.Errorf("%v, %v", a, bad)
	}
}
