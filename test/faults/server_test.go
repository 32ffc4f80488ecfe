package faults

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A server is an MCP server of the official SDK with one tool, which counts its calls. The next call may
// be mishandled on its way to it or back.
type server struct {
	*httptest.Server
	url   string
	calls atomic.Int64
	next  atomic.Pointer[mishap]
	real  http.Handler
}

// A mishap handles one call in the server's place.
type mishap func(s *server, w http.ResponseWriter, r *http.Request)

type input struct {
	Fault string `json:"fault"`
	Text  string `json:"text"`
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{}
	sdk := mcp.NewServer(&mcp.Implementation{Name: "faults", Version: "1.0.0"}, nil)
	mcp.AddTool(sdk, &mcp.Tool{Name: "work"}, func(context.Context, *mcp.CallToolRequest, input) (*mcp.CallToolResult, any, error) {
		s.calls.Add(1)
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "worked"}}}, nil, nil
	})
	s.real = mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return sdk },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	s.listen(t, "127.0.0.1:0")
	s.url = s.URL
	t.Cleanup(s.close)
	return s
}

func (s *server) listen(t *testing.T, at string) {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	s.Server = &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(s.handle)}}
	s.Start()
}

func (s *server) close() {
	s.CloseClientConnections()
	s.Close()
}

func (s *server) handle(w http.ResponseWriter, r *http.Request) {
	if m := s.next.Swap(nil); m != nil {
		(*m)(s, w, r)
		return
	}
	s.real.ServeHTTP(w, r)
}

// work executes a call and returns the answer, which is not sent yet.
func (s *server) work(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.real.ServeHTTP(w, r)
	return w
}

// mishandled is a fault of the server's at the next call.
func mishandled(m mishap) func(*testing.T, *stage) {
	return func(_ *testing.T, s *stage) { s.server.next.Store(&m) }
}

// down is a server that is not there.
func down(t *testing.T, s *stage) {
	at := s.server.Listener.Addr().String()
	s.strike = func(*testing.T) { s.server.close() }
	s.mend = func(*testing.T) { s.server.listen(t, at) }
}

// resets reads the call and resets the connection.
func resets(_ *server, w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// answering executes the call, sends these bytes in place of the answer, and closes the connection.
func answering(raw string) func(*testing.T, *stage) {
	return mishandled(func(s *server, w http.ResponseWriter, r *http.Request) {
		s.work(r)
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		// It says that it closes, so that the next call is not sent to meet the end.
		_, _ = io.WriteString(c, strings.Replace(raw, "\r\n", "\r\nConnection: close\r\n", 1))
		_ = c.Close()
	})
}

// whole is an answer with a body.
func whole(body string) func(*testing.T, *stage) {
	return answering("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
}

// streaming is an answer that begins as a stream with these lines and then ends, broken off or whole.
func streaming(lines, end string) func(*testing.T, *stage) {
	return answering("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" +
		strconv.FormatInt(int64(len(lines)), 16) + "\r\n" + lines + "\r\n" + end)
}

const (
	progress   = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":1,\"progress\":1}}\n\n"
	otherID    = `{"jsonrpc":"2.0","id":"a-2","result":{"content":[]}}`
	brokenOff  = "50\r\ndata: {\"json"
	ended      = "0\r\n\r\n"
	halfAHead  = "HTTP/1.1 200 OK\r\nContent-Ty"
	halfABody  = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"jsonrpc\":\"2.0\""
	redirect   = "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/mcp\r\nContent-Length: 0\r\n\r\n"
	compressed = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"
	wrongKey   = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
	overloaded = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
)

// tooLong is more than a message may be.
func tooLong() string {
	return `{"jsonrpc":"2.0","id":"a-1","result":{"content":[{"type":"text","text":"` + strings.Repeat("x", 4<<20) + `"}]}}`
}

// late answers only after the client has left, and may not be taken for the answer to the next call.
func late(_ *testing.T, s *stage) {
	came, left := make(chan struct{}), make(chan struct{})
	m := mishap(func(s *server, w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		close(came)
		<-left
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.real.ServeHTTP(w, r.WithContext(context.Background()))
	})
	s.server.next.Store(&m)
	s.ask = func(t *testing.T) answer {
		a := s.leave(t, came)
		s.told(t, failed(0, "the client left"))
		close(left)
		s.gw.Await(t, "the late answer", func() bool { return s.server.calls.Load() == 1 })
		return a
	}
}
