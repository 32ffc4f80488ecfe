package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A legacy is a server that speaks HTTP+SSE. Its stream gives what the test says,
// up to an empty text.
type legacy struct {
	*HTTP
	say    chan string
	status int    // of its answers to messages
	body   string // the same
	media  string // of its stream

	mu  sync.Mutex
	got []*http.Request // their bodies have been read
	was []string        // those
}

func newLegacy(t *testing.T) *legacy {
	l := &legacy{say: make(chan string, 16), status: http.StatusAccepted, media: "text/event-stream"}
	l.HTTP = server(t, l.serve)
	return l
}

func (l *legacy) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	l.mu.Lock()
	l.got, l.was = append(l.got, r), append(l.was, string(body))
	l.mu.Unlock()
	if r.Method != http.MethodGet {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(l.status)
		_, _ = io.WriteString(w, l.body)
		return
	}
	w.Header().Set("Content-Type", l.media)
	w.WriteHeader(http.StatusOK)
	for {
		_ = http.NewResponseController(w).Flush()
		select {
		case text := <-l.say:
			if text == "" {
				return
			}
			_, _ = io.WriteString(w, text)
		case <-r.Context().Done():
			return
		}
	}
}

func (l *legacy) requests() ([]*http.Request, []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.got, l.was
}

var opening = &mcp.Outgoing{Verb: http.MethodPost, Text: ping, Principal: "alice", Header: http.Header{
	"User-Agent": {"agent/1"}, "Accept": {"application/json"}, "Traceparent": {"00-1"},
	mcp.HeaderVersion: {"2025-11-25"}, mcp.HeaderSession: {"s"},
}}

// dial opens a channel over a server whose stream begins with these events.
func (l *legacy) dial(t *testing.T, events ...string) (Channel, error) {
	t.Helper()
	for _, ev := range events {
		l.say <- ev
	}
	c, err := l.OpenSSE(t.Context(), opening)
	if err == nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	return c, err
}

const endpoint = "event: endpoint\ndata: /messages?session=1\n\n"

func TestSSE(t *testing.T) {
	t.Parallel()
	l := newLegacy(t)
	l.Header = http.Header{"Authorization": {"Bearer key"}}
	l.Files = map[string]func() string{"X-Key": func() string { return "file" }}
	c, err := l.dial(t, ": hello\n\n", endpoint,
		"event: message\ndata: 1\n\n", "event: ping\ndata: 2\n\n", "data: 3\n\n", ":\n\n", "event: message\n\n", "event: message\ndata: {\ndata: }\n\n",
		"data: "+strings.Repeat("x", limit+1)+"\n\n", "data: 4\n\n", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1", "3", "{\n}"} {
		if got, err := c.Read(); got != want || err != nil {
			t.Errorf("read %q, %v, want %q", got, err, want)
		}
	}
	if got, err := c.Read(); !errors.Is(err, mcp.ErrTooLong) {
		t.Errorf("over the limit: %q, %v", got, err)
	}
	if got, err := c.Read(); got != "4" || err != nil {
		t.Errorf("after that: %q, %v", got, err)
	}
	if _, err := c.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	if err := c.Write(ping); err != nil {
		t.Error(err)
	}
	got, bodies := l.requests()
	if len(got) != 2 || got[0].RequestURI != "/mcp" || got[1].RequestURI != "/messages?session=1" || bodies[0] != "" || bodies[1] != ping {
		t.Fatalf("%v %q", got, bodies)
	}
	common := http.Header{
		"Authorization": {"Bearer key"}, "X-Key": {"file"}, "User-Agent": {"agent/1"}, "Accept-Encoding": {"identity"},
		"Accept": {"text/event-stream"},
	}
	if d := cmp.Diff(common, got[0].Header); d != "" {
		t.Errorf("stream (-want +got):\n%s", d)
	}
	common.Set("Accept", "application/json, text/event-stream")
	common.Set("Content-Type", "application/json")
	common.Set("Content-Length", fmt.Sprint(len(ping)))
	if d := cmp.Diff(common, got[1].Header); d != "" {
		t.Errorf("message (-want +got):\n%s", d)
	}
}

func TestSSEEndpoint(t *testing.T) {
	t.Parallel()
	u := &url.URL{Scheme: "http", Host: "A.example", Path: "/x/sse", RawQuery: "k=v"}
	const foreign = "its endpoint is not of its own origin"
	for _, tt := range []struct{ events, want, cause string }{
		{"event: endpoint\ndata: /m?s=1\n\n", "http://A.example/m?s=1", ""},
		{"event: endpoint\ndata: m\n\n", "http://A.example/x/m", ""},
		{"event: endpoint\ndata: ?s=1\n\n", "http://A.example/x/sse?s=1", ""},
		{"event: endpoint\ndata: http://a.EXAMPLE:80/m#f\n\n", "http://a.EXAMPLE:80/m", ""},
		{"retry: 1\n\n\n:\n\nevent: endpoint\ndata: /m\n\n", "http://A.example/m", ""},
		{"event: endpoint\ndata: http://b.example/m\n\n", "", foreign},
		{"event: endpoint\ndata: //b.example/m\n\n", "", foreign},
		{"event: endpoint\ndata: \\\\b.example/m\n\n", "http://A.example/x/%5C%5Cb.example/m", ""},
		{"event: endpoint\ndata: https://A.example/m\n\n", "", foreign},
		{"event: endpoint\ndata: http://A.example:8080/m\n\n", "", foreign},
		{"event: endpoint\ndata: http://A.example.b/m\n\n", "", foreign},
		{"event: endpoint\ndata: http://u:p@A.example/m\n\n", "", foreign},
		{"event: endpoint\ndata: http://A.example@b.example/m\n\n", "", foreign},
		{"event: endpoint\ndata: file:///etc/passwd\n\n", "", foreign},
		{"event: endpoint\ndata: mailto:a\n\n", "", foreign},
		{"event: endpoint\ndata: http://[::1\n\n", "", foreign},
		{"event: endpoint\ndata: /m\ndata: /n\n\n", "", foreign},
		{"event: endpoint\ndata: /" + strings.Repeat("m", limit) + "\n\n", "", "no valid HTTP"},
		{"event: message\ndata: {}\n\n", "", "its first event is no endpoint"},
		{"data: /m\n\n", "", "its first event is no endpoint"},
		{"event: endpoint\ndata: /m\n", "", "EOF"},
		{"", "", "EOF"},
	} {
		c := &sse{u: &HTTP{URL: u}, events: mcp.NewEventReader(strings.NewReader(tt.events), limit)}
		bad := c.begin()
		switch {
		case tt.cause != "":
			if bad == nil || bad.Cause != tt.cause || bad.Status != http.StatusBadGateway {
				t.Errorf("%q: %v, want %q", tt.events, bad, tt.cause)
			}
		case bad != nil || c.to.String() != tt.want:
			t.Errorf("%q: %v %v, want %s", tt.events, c.to, bad, tt.want)
		}
	}
}

// What is no stream of HTTP+SSE opens no channel.
func TestNoSSE(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ answer, cause string }{
		{"404 Not Found\r\nContent-Type: text/event-stream\r\n\r\n" + endpoint, "it answered Not Found"},
		{"302 Found\r\nLocation: /sse\r\n\r\n", "it answered Found"},
		{"200 OK\r\nContent-Type: text/plain\r\n\r\n" + endpoint, "it is no stream of events"},
		{"200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\n" + endpoint, "it is encoded"},
		{"200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ndata:\r\n", "unexpected EOF"},
		{"canary", "no valid HTTP"},
	} {
		u := rawServer(t, "HTTP/1.1 "+tt.answer, false)
		_, err := u.OpenSSE(t.Context(), opening)
		if bad, ok := errors.AsType[*mcp.Error](err); !ok || bad.Cause != tt.cause {
			t.Errorf("%q: %v, want %q", tt.answer, err, tt.cause)
		}
	}
}

// A stream that breaks its rules ends the channel, and so does the end of it.
func TestSSEEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ rest, want string }{
		{endpoint, "it names a second endpoint"},
		{"data: {}\n", "the stream broke: unexpected EOF"},
		{"", "the stream broke: unexpected EOF"},
	} {
		events := endpoint + tt.rest
		u := rawServer(t, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n%s", len(events)+1, events), false)
		c, err := u.OpenSSE(t.Context(), opening)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Read(); err == nil || err.Error() != tt.want {
			t.Errorf("%q: read %q, %v, want %s", tt.rest, got, err, tt.want)
		}
		if err := errors.Join(c.Close(), c.Close()); err != nil {
			t.Error(err)
		}
	}
}

// A message is taken by any 2xx, whatever body comes with it, and by nothing else.
func TestSSEWrite(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		body   string
		taken  bool
	}{
		{200, pong, true},
		{202, "", true},
		{202, "Accepted", true},
		{202, pong + strings.Repeat(" ", 1<<16), true},
		{204, "", true},
		{302, "", false},
		{307, "", false},
		{400, "canary", false},
		{401, "", false},
		{404, pong, false},
		{503, "", false},
	} {
		l := newLegacy(t)
		l.status, l.body = tt.status, tt.body
		c, err := l.dial(t, endpoint)
		if err != nil {
			t.Fatal(err)
		}
		switch err := c.Write(ping); {
		case (err == nil) != tt.taken:
			t.Errorf("%d: %v", tt.status, err)
		case err != nil && err.Error() != "the server did not take the message: it answered "+http.StatusText(tt.status):
			t.Errorf("%d: %v", tt.status, err)
		}
		if got, _ := l.requests(); len(got) != 2 {
			t.Errorf("%d: %d requests", tt.status, len(got))
		}
		_ = c.Close()
		if _, err := c.Read(); err == nil {
			t.Errorf("%d: read of a closed channel", tt.status)
		}
		if err := c.Write(ping); err == nil {
			t.Errorf("%d: write to a closed channel", tt.status)
		}
	}
}

// Close ends what waits, and the exchange that opened the channel does not.
func TestSSECloses(t *testing.T) {
	t.Parallel()
	reached, release := make(chan bool, 1), make(chan bool)
	u := server(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
			return
		case reached <- true:
		}
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, endpoint)
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-r.Context().Done():
		case <-release:
		}
	})
	defer close(release)
	ctx, leave := context.WithCancel(t.Context())
	c, err := u.OpenSSE(ctx, opening)
	if err != nil {
		t.Fatal(err)
	}
	<-reached
	leave()
	done := make(chan error)
	go func() { _, err := c.Read(); done <- err }()
	go func() { done <- c.Write(ping) }()
	<-reached // which it would not be if the channel were over
	_ = c.Close()
	for range 2 {
		if err := <-done; err == nil || !strings.Contains(err.Error(), "context canceled") {
			t.Errorf("%v", err)
		}
	}
	reached <- true // what comes now is not answered
	if _, err := u.OpenSSE(ctx, opening); err == nil {
		t.Error("a channel for one who has left")
	}
}

func TestSSETimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := &HTTP{URL: &url.URL{Scheme: "http", Host: "x"}, Limit: limit, Transport: stalled("text/event-stream")}
		begun := time.Now()
		_, err := u.OpenSSE(t.Context(), opening)
		if bad, ok := errors.AsType[*mcp.Error](err); !ok || bad.Status != http.StatusGatewayTimeout || time.Since(begun) != endpointTime {
			t.Errorf("open: %v after %v", err, time.Since(begun))
		}
		u.Transport = silent{}
		begun = time.Now()
		c := &sse{u: u, ctx: t.Context(), out: mcp.Outgoing{Header: http.Header{}}, to: u.URL}
		if err := c.Write(ping); err == nil || time.Since(begun) != postTime {
			t.Errorf("write: %v after %v", err, time.Since(begun))
		}
	})
}

// silent never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}
