package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// TestMain is also what the program does as a server that a test starts.
func TestMain(m *testing.M) {
	if name, ok := os.LookupEnv(actEnv); ok {
		os.Exit(act(name))
	}
	goleak.VerifyTestMain(m)
}

const (
	limit = 100
	ping  = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	pong  = `{"jsonrpc":"2.0","id":1,"result":{}}`
)

// client is the real client, with its connections closed at the end.
func client(t *testing.T, wait time.Duration) *http.Client {
	t.Helper()
	c := NewClient(NewDirect(NewTransport(wait)))
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func to(t *testing.T, address string) *HTTP {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return &HTTP{URL: u, Limit: limit, Transport: client(t, time.Minute).Transport}
}

// server is an upstream that answers with the handler.
func server(t *testing.T, h http.HandlerFunc) *HTTP {
	t.Helper()
	s := httptest.NewServer(h)
	u := to(t, s.URL+"/mcp")
	t.Cleanup(s.Close)
	t.Cleanup(NewClient(u.Transport).CloseIdleConnections)
	return u
}

// rawServer is an upstream that reads one request and answers these very bytes.
// It then closes the connection, or with hold waits for the client to do so.
func rawServer(t *testing.T, answer string, hold bool) *HTTP {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer func() { _ = conn.Close() }()
				r := bufio.NewReader(conn)
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, req.Body)
				_, _ = io.WriteString(conn, answer)
				if hold {
					_, _ = io.Copy(io.Discard, r)
				}
			})
		}
	})
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { _ = l.Close() })
	return to(t, "http://"+l.Addr().String()+"/mcp?canary=1")
}

func send(t *testing.T, u *HTTP, verb string) (*mcp.Answer, *mcp.Error) {
	t.Helper()
	out := &mcp.Outgoing{Verb: verb, Header: http.Header{}}
	if verb == http.MethodPost {
		out.Text = ping
	}
	a, bad := u.Send(t.Context(), out)
	if a != nil {
		t.Cleanup(a.Close)
	}
	return a, bad
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	// answer is a response with that body, framed by its length.
	answer := func(head, body string) string {
		return "HTTP/1.1 " + head + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	}
	const j, ct = "\r\nContent-Type: application/json", "\r\nContent-Type: "
	atLimit := `"` + strings.Repeat("x", limit-2) + `"`
	for _, c := range []struct {
		name, answer string
		status       int // of the answer; 0: refused
		text         string
		refused      int // the status of the refusal
		cause        string
	}{
		{"JSON", answer("200 OK"+j, pong), 200, pong, 0, ""},
		{"JSON with a charset", answer("200 OK"+j+`; charset="UTF-8"`, pong), 200, pong, 0, ""},
		{"JSON without a length", "HTTP/1.1 200 OK" + j + "\r\n\r\n" + pong, 200, pong, 0, ""},
		{"JSON in chunks", "HTTP/1.1 200 OK" + j + "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{\"\r\n3\r\na\":\r\n2\r\n1}\r\n0\r\n\r\n", 200, `{"a":1}`, 0, ""},
		{"JSON after an early hint", "HTTP/1.1 103 Early Hints\r\n\r\n" + answer("200 OK"+j, pong), 200, pong, 0, ""},
		{"JSON with identity", answer("200 OK"+j+"\r\nContent-Encoding: identity", pong), 200, pong, 0, ""},
		{"JSON at the limit", answer("200 OK"+j, atLimit), 200, atLimit, 0, ""},
		{"an error in JSON", answer("400 Bad Request"+j, pong), 400, pong, 0, ""},
		{"nothing", answer("202 Accepted", ""), 202, "", 0, ""},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", 0, ""},
		{"accepted, with text", answer("202 Accepted"+ct+"text/plain", "canary"), 202, "", 0, ""},
		{"no content, with content", "HTTP/1.1 204 No Content" + j + "\r\nContent-Length: 2\r\n\r\n{}", 204, "", 0, ""},
		{"part", answer("206 Partial Content"+ct+"text/plain", "canary"), 206, "", 0, ""},
		{"part of a stream", answer("206 Partial Content"+ct+"text/event-stream", "data: {}\n\n"), 206, "", 0, ""},
		{"redirect", answer("302 Found\r\nLocation: http://127.0.0.1:1/"+ct+"text/html", "canary"), 302, "", 0, ""},
		{"permanent redirect", answer("308 Permanent Redirect\r\nLocation: /elsewhere", ""), 308, "", 0, ""},
		{"redirect without a place", answer("301 Moved Permanently", ""), 301, "", 0, ""},
		{"not modified", "HTTP/1.1 304 Not Modified\r\n\r\n", 304, "", 0, ""},
		{"an error in text", answer("500 Internal Server Error"+ct+"text/plain", "canary"), 500, "", 0, ""},
		{"an error in a stream", answer("403 Forbidden"+ct+"text/event-stream", "data: {}\n\n"), 403, "", 0, ""},
		{"OK and nothing", answer("200 OK", ""), 200, "", 0, ""},

		{"text", answer("200 OK"+ct+"text/plain", pong), 0, "", 502, "its content type is neither JSON nor events"},
		{"no type", answer("200 OK", pong), 0, "", 502, "its content type is neither JSON nor events"},
		{"two types", answer("200 OK"+j+ct+"text/plain", pong), 0, "", 502, "its content type is neither JSON nor events"},
		{"the type twice", answer("200 OK"+j+j, pong), 0, "", 502, "its content type is neither JSON nor events"},
		{"two types in one", answer("200 OK"+j+", text/event-stream", pong), 0, "", 502, "its content type is neither JSON nor events"},
		{"foreign charset", answer("200 OK"+j+"; charset=utf-16", pong), 0, "", 502, "its content type is neither JSON nor events"},
		{"foreign charset of a stream", answer("200 OK"+ct+"text/event-stream; charset=utf-7", "data: {}\n\n"), 0, "", 502, "its content type is neither JSON nor events"},
		{"kin of JSON", answer("200 OK"+ct+"application/json-seq", pong), 0, "", 502, "its content type is neither JSON nor events"},
		{"broken type", answer("200 OK"+ct+"application/json; charset", pong), 0, "", 502, "its content type is neither JSON nor events"},
		{"gzip", answer("200 OK"+j+"\r\nContent-Encoding: gzip", pong), 0, "", 502, "it is encoded"},
		{"gzip after nothing", answer("200 OK"+j+"\r\nContent-Encoding: \r\nContent-Encoding: gzip", pong), 0, "", 502, "it is encoded"},
		{"identity and gzip", answer("200 OK"+j+"\r\nContent-Encoding: identity, gzip", pong), 0, "", 502, "it is encoded"},
		{"gzip of a stream", answer("200 OK"+ct+"text/event-stream\r\nContent-Encoding: gzip", "data: {}\n\n"), 0, "", 502, "it is encoded"},
		{"gzip of an error", answer("500 Internal Server Error"+j+"\r\nContent-Encoding: br", pong), 0, "", 502, "it is encoded"},
		{"two sessions", answer("200 OK"+j+"\r\nMcp-Session-Id: a\r\nMcp-Session-Id: b", pong), 0, "", 502, "it opens two sessions"},
		{"over the limit", answer("200 OK"+j, atLimit+" "), 0, "", 502, ""},
		{"over the limit without a length", "HTTP/1.1 200 OK" + j + "\r\n\r\n" + atLimit + strings.Repeat(" ", 1<<20), 0, "", 502, ""},
		{"cut off", "HTTP/1.1 200 OK" + j + "\r\nContent-Length: 100\r\n\r\n{", 0, "", 502, "unexpected EOF"},
		{"cut off in chunks", "HTTP/1.1 200 OK" + j + "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", 0, "", 502, "unexpected EOF"},
		{"broken chunks", "HTTP/1.1 200 OK" + j + "\r\nTransfer-Encoding: chunked\r\n\r\ncanary\r\n", 0, "", 502, "no valid HTTP"},
		{"broken trailers", "HTTP/1.1 200 OK" + j + "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\ncanary\r\n\r\n", 0, "", 502, "no valid HTTP"},
		{"two lengths", "HTTP/1.1 200 OK" + j + "\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ", 0, "", 502, "no valid HTTP"},
		{"no HTTP", "canary\r\n\r\n", 0, "", 502, "no valid HTTP"},
		{"broken status", "HTTP/1.1 canary OK\r\n\r\n", 0, "", 502, "no valid HTTP"},
		{"status zero", answer("000 Zero"+j, pong), 0, "", 502, "its status is not final"},
		{"no answer at all", "", 0, "", 502, "EOF"},
		{"endless head", "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("canary", maxHeaders), 0, "", 502, "no valid HTTP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, bad := send(t, rawServer(t, c.answer, false), http.MethodPost)
			if c.refused != 0 {
				if bad == nil || bad.Status != c.refused || bad.Code != c.refused || bad.Cause != c.cause {
					t.Errorf("got %v, want %d %q", bad, c.refused, c.cause)
				}
				return
			}
			if bad != nil {
				t.Fatal(bad)
			}
			if a.Status != c.status || a.Text != c.text || a.Events != nil {
				t.Errorf("got %d %q, events %v", a.Status, a.Text, a.Events)
			}
		})
	}
}

// What would never end is not waited for.
func TestUnread(t *testing.T) {
	t.Parallel()
	a, bad := send(t, rawServer(t, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", true), http.MethodPost)
	if bad == nil || bad.Status != 502 || bad.Cause != "its status is not final" {
		t.Errorf("101: %v, %v", a, bad)
	}
	for _, verb := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			a, bad := send(t, rawServer(t, "HTTP/1.1 202 Accepted\r\nContent-Type: text/plain\r\n\r\nx", true), verb)
			if bad != nil || a.Status != 202 || a.Text != "" {
				t.Errorf("%v, %v", a, bad)
			}
		})
	}
}

func TestHeadOfAnswer(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"3": "3", "0": "0", "86400": "86400",
		"": "", "canary": "", "-1": "", "1.5": "", "99999999999": "", "Wed, 21 Oct 2026 07:28:00 GMT": "",
	} {
		u := server(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", given)
			w.Header().Set("Mcp-Session-Id", "s")
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		a, bad := send(t, u, http.MethodPost)
		if bad != nil || a.Retry != want || a.Session != "s" || a.Status != 503 {
			t.Errorf("Retry-After %q: %+v, %v", given, a, bad)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	for _, status := range []int{301, 302, 303, 307, 308} {
		u := server(t, func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			http.Redirect(w, r, "/elsewhere", status)
		})
		calls.Store(0)
		a, bad := send(t, u, http.MethodPost)
		if bad != nil || a.Status != status || a.Text != "" || calls.Load() != 1 {
			t.Errorf("%d: %+v, %v, %d calls", status, a, bad, calls.Load())
		}
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body string
	u := server(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got, body = r, string(b)
		w.WriteHeader(http.StatusAccepted)
	})
	u.Header = http.Header{"Authorization": {"Bearer ours"}, "X-Ours": {"1"}}
	out := &mcp.Outgoing{Verb: http.MethodPost, Text: ping, Header: http.Header{
		"Mcp-Method": {"ping"}, "X-Ours": {"theirs"}, "Content-Type": {"text/plain"}, "Accept-Encoding": {"gzip"}, "Mcp-Param-A": {"é"},
	}}
	if _, bad := u.Send(t.Context(), out); bad != nil {
		t.Fatal(bad)
	}
	want := http.Header{
		"Accept": {"application/json, text/event-stream"}, "Accept-Encoding": {"identity"}, "Authorization": {"Bearer ours"},
		"Content-Length": {"40"}, "Content-Type": {"application/json"}, "Mcp-Method": {"ping"}, "Mcp-Param-A": {"é"},
		"User-Agent": {"gatehouse"}, "X-Ours": {"1"},
	}
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Error(diff)
	}
	if body != ping || got.ContentLength != int64(len(ping)) || len(got.TransferEncoding) > 0 || got.Host != u.URL.Host || got.URL.Path != "/mcp" {
		t.Errorf("%s %q, %d bytes", got.Host, body, got.ContentLength)
	}
	if out.Header.Get("Content-Type") != "text/plain" || len(out.Header) != 5 {
		t.Error("the caller's header was changed")
	}

	out = &mcp.Outgoing{Verb: http.MethodGet, Header: http.Header{"Accept": {"text/event-stream"}, "User-Agent": {"x"}}}
	if _, bad := u.Send(t.Context(), out); bad != nil {
		t.Fatal(bad)
	}
	if body != "" || got.Header.Get("Content-Type") != "" || got.Header.Get("Accept") != "text/event-stream" || got.Header.Get("User-Agent") != "x" {
		t.Errorf("GET: %v %q", got.Header, body)
	}
}

func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	answers := []func(http.ResponseWriter){
		func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, pong)
		},
		func(w http.ResponseWriter) { w.WriteHeader(http.StatusAccepted) },
		func(w http.ResponseWriter) { http.Error(w, "no", http.StatusNotFound) },
		func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: "+pong+"\n\n")
		},
	}
	var n atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answers[int(n.Add(1))%len(answers)](w)
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	u := to(t, s.URL)
	for range 12 {
		a, bad := send(t, u, http.MethodPost)
		if bad != nil {
			t.Fatal(bad)
		}
		if a.Events != nil {
			if _, err := a.Events.Next(); err != nil {
				t.Fatal(err)
			}
		}
		a.Close() // a stream is not read to its end
	}
	if got := opened.Load(); got != 1 {
		t.Errorf("%d connections for 12 calls one after another", got)
	}
}

func TestDownAndLate(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	_ = l.Close()
	_, bad := send(t, to(t, "http://u:canary@"+closed+"/mcp?key=canary"), http.MethodPost)
	if bad == nil || bad.Status != 502 || !strings.Contains(bad.Cause, "refused") || strings.Contains(bad.Error(), "canary") {
		t.Errorf("refused connection: %v", bad)
	}

	late := rawServer(t, "", true)
	late.Transport = client(t, time.Millisecond).Transport
	if _, bad := send(t, late, http.MethodPost); bad == nil || bad.Status != 504 || bad.Code != 504 || strings.Contains(bad.Error(), "canary") {
		t.Errorf("late head: %v", bad)
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"no head": "",
		"no body": "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		u := rawServer(t, answer, true)
		u.Transport = &announced{u.Transport, cancel, answer == ""}
		_, bad := u.Send(ctx, &mcp.Outgoing{Verb: http.MethodPost, Header: http.Header{}, Text: ping})
		if bad == nil || bad.Status != 502 || bad.Cause != "context canceled" {
			t.Errorf("%s: %v", name, bad)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	u := server(t, func(http.ResponseWriter, *http.Request) { t.Error("it was sent") })
	if _, bad := u.Send(ctx, &mcp.Outgoing{Verb: http.MethodPost, Header: http.Header{}, Text: ping}); bad == nil || bad.Status != 502 {
		t.Errorf("cancelled before: %v", bad)
	}
}

// announced calls cancel once a request has gone, before or after the head of
// the answer came.
type announced struct {
	http.RoundTripper
	cancel func()
	before bool
}

func (a *announced) RoundTrip(r *http.Request) (*http.Response, error) {
	if a.before {
		body := r.Body
		r.Body = &closer{body, a.cancel}
		return a.RoundTripper.RoundTrip(r)
	}
	resp, err := a.RoundTripper.RoundTrip(r)
	a.cancel()
	return resp, err
}

// Unwrapped for CloseIdleConnections.
func (a *announced) CloseIdleConnections() {
	NewClient(a.RoundTripper).CloseIdleConnections()
}

type closer struct {
	io.ReadCloser
	closed func()
}

func (c *closer) Close() error {
	c.closed()
	return c.ReadCloser.Close()
}

func TestEvents(t *testing.T) {
	t.Parallel()
	left := make(chan struct{})
	u := server(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.Header().Set("Mcp-Session-Id", "s")
		_, _ = io.WriteString(w, ": hello\n\ndata: {}\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done() // it never ends by itself
		close(left)
	})
	a, bad := send(t, u, http.MethodPost)
	if bad != nil || a.Events == nil || a.Status != 200 || a.Session != "s" || a.Text != "" {
		t.Fatalf("%+v, %v", a, bad)
	}
	for _, want := range []mcp.Event{{}, {Data: "{}"}} {
		if ev, err := a.Events.Next(); err != nil || ev != want {
			t.Fatalf("%+v, %v", ev, err)
		}
	}
	ended := make(chan error)
	go func() {
		_, err := a.Events.Next()
		ended <- err
	}()
	a.Close()
	if err := <-ended; err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a stream that was aborted ended with %v", err)
	}
	<-left
	a.Close() // once more
}

func TestEventsEndWithTheContext(t *testing.T) {
	t.Parallel()
	u := rawServer(t, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", true)
	ctx, cancel := context.WithCancel(t.Context())
	a, bad := u.Send(ctx, &mcp.Outgoing{Verb: http.MethodGet, Header: http.Header{}})
	if bad != nil {
		t.Fatal(bad)
	}
	t.Cleanup(a.Close)
	cancel()
	if _, err := a.Events.Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("the stream ended with %v", err)
	}
}

func TestEventsThatEnd(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
	for _, c := range []struct {
		name, answer string
		events       int
		err          error
	}{
		{"by closing", head + "\r\ndata: {}\n\n", 1, io.EOF},
		{"in an event", head + "\r\ndata: {}\n\ndata: {}\n", 1, io.EOF},
		{"with the last chunk", head + "Transfer-Encoding: chunked\r\n\r\na\r\ndata: {}\n\n\r\n0\r\n\r\n", 1, io.EOF},
		{"without the last chunk", head + "Transfer-Encoding: chunked\r\n\r\na\r\ndata: {}\n\n\r\n", 1, io.ErrUnexpectedEOF},
		{"before its length", head + "Content-Length: 99\r\n\r\ndata: {}\n\n", 1, io.ErrUnexpectedEOF},
		{"by an event over the limit", head + "\r\ndata: {}\n\ndata: " + strings.Repeat("x", limit+1) + "\n\n", 1, mcp.ErrTooLong},
	} {
		a, bad := send(t, rawServer(t, c.answer, false), http.MethodPost)
		if bad != nil || a.Events == nil {
			t.Fatalf("%s: %+v, %v", c.name, a, bad)
		}
		n := 0
		_, err := a.Events.Next()
		for ; err == nil; _, err = a.Events.Next() {
			n++
		}
		if n != c.events || !errors.Is(err, c.err) {
			t.Errorf("%s: %d events and %v, want %d and %v", c.name, n, err, c.events, c.err)
		}
	}
}

// stalled answers with a head, and a body of which nothing comes.
type stalled string

func (s stalled) RoundTrip(r *http.Request) (*http.Response, error) {
	body, server := io.Pipe()
	context.AfterFunc(r.Context(), func() { _ = server.CloseWithError(r.Context().Err()) })
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {string(s)}}, Body: body, ContentLength: -1, Request: r}, nil
}

func TestBodyThatNeverComes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := &HTTP{URL: &url.URL{Scheme: "http", Host: "x"}, Limit: limit, Transport: stalled("application/json")}
		begun := time.Now()
		if _, bad := send(t, u, http.MethodPost); bad == nil || bad.Status != 504 || time.Since(begun) != bodyTime {
			t.Errorf("%v after %v", bad, time.Since(begun))
		}
		u.Transport = stalled("text/plain")
		begun = time.Now()
		if a, bad := send(t, u, http.MethodDelete); bad != nil || a.Status != 200 || time.Since(begun) != drainTime {
			t.Errorf("%v after %v", bad, time.Since(begun))
		}
	})
}

func TestIdleStreamEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body, server := io.Pipe()
		events := newEvents(body, 1<<10)
		go func() {
			time.Sleep(idleTime - time.Second) //nolint:forbidigo // synctest bubble
			_, _ = io.WriteString(server, ": alive\n\n")
		}()
		if _, err := events.Next(); err != nil {
			t.Errorf("a sign of life in time: %v", err)
		}
		if _, err := events.Next(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("silence: %v", err)
		}
	})
}
