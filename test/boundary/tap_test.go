package boundary

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// A tap keeps the exact bodies that reach a server.
type tap struct {
	mu     sync.Mutex
	bodies [][]byte
}

// take returns the bodies since it was last asked.
func (p *tap) take() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.bodies
	p.bodies = nil
	return b
}

func (p *tap) note(body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bodies = append(p.bodies, body)
}

// before returns a handler that keeps what it passes on to the next.
func (p *tap) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.note(body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// forward is a handler that sends the request on to a server in another process.
func forward(url string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := http.NewRequestWithContext(r.Context(), r.Method, url, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		out.Header, out.ContentLength = r.Header.Clone(), r.ContentLength
		resp, err := http.DefaultClient.Do(out)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer func() { _ = resp.Body.Close() }()
		w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body) // a gateway that has left needs no answer
	})
}

// A sighting is what the code of a server was given to execute.
type sighting struct {
	Method    string `json:"method"`
	Name      any    `json:"name"`
	URI       any    `json:"uri"`
	Arguments any    `json:"arguments"`
}

// A server is an MCP server behind a tap.
type server struct {
	tap
	url  string
	seen func(testing.TB) []sighting // since it was last asked
}

func (s *server) listen(t testing.TB, next http.Handler) {
	mux := http.NewServeMux()
	mux.Handle("/mcp", s.before(next))
	l := httptest.NewServer(mux)
	t.Cleanup(func() {
		l.CloseClientConnections()
		l.Close()
	})
	s.url = l.URL + "/mcp"
}

// noting is a server of the official Go SDK that tells what its code is given to execute.
func noting(tell func(sighting)) *mcp.Server {
	note := func(method string, params any) {
		s := sighting{Method: method}
		text, err := json.Marshal(params)
		if err == nil {
			dec := json.NewDecoder(bytes.NewReader(text))
			dec.UseNumber()
			err = dec.Decode(&s)
		}
		if err != nil {
			s.Name = err // which is no name
		}
		tell(s)
	}
	m := mcp.NewServer(&mcp.Implementation{Name: "boundary", Version: "1"}, nil)
	m.AddTool(&mcp.Tool{Name: "echo", InputSchema: map[string]any{"type": "object"}},
		func(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			note("tools/call", req.Params)
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil
		})
	m.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if !strings.HasPrefix(method, "notifications/") { // these run when the answer is gone
				note(method, req.GetParams())
			}
			return next(ctx, method, req)
		}
	})
	return m
}

// goServer is a server of the official Go SDK. It serves both eras, without sessions.
func goServer(t testing.TB) *server {
	var mu sync.Mutex
	var seen []sighting
	m := noting(func(s sighting) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, s)
	})
	s := &server{seen: func(testing.TB) []sighting {
		mu.Lock()
		defer mu.Unlock()
		some := seen
		seen = nil
		return some
	}}
	s.listen(t, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return m },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}))
	return s
}

// nodeServer is a server of an official TypeScript SDK: a script of the node folder that listens on PORT.
func nodeServer(t testing.TB, script string) *server {
	harness.Npm(t, "node")
	url := harness.StartServer(t, func(port string) *exec.Cmd {
		cmd := exec.Command("node", script)
		cmd.Dir = "node"
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "PORT=" + port}
		return cmd
	})
	s := &server{seen: func(t testing.TB) []sighting {
		resp, err := http.Get(url + "/seen")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		var seen []sighting
		decodeInto(t, text, &seen)
		return seen
	}}
	s.listen(t, forward(url))
	return s
}

// recorder is a server that keeps what it gets and does nothing.
func recorder(t testing.TB) *server {
	s := &server{seen: func(testing.TB) []sighting { return nil }}
	s.listen(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","error":{"code":1,"message":"noted"}}`) // see above
	}))
	return s
}
