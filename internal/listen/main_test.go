package listen

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-mcp/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A recorder stands in for the gateway: it keeps what arrives, and answers 200
// unless serve is set.
type recorder struct {
	serve func(ctx context.Context, x *gateway.Exchange, reply gateway.Reply)

	mu       sync.Mutex
	served   []*gateway.Exchange
	rejected []*gateway.Exchange
	causes   []string
}

func (r *recorder) Serve(ctx context.Context, x *gateway.Exchange, reply gateway.Reply) {
	r.mu.Lock()
	r.served = append(r.served, x)
	r.mu.Unlock()
	if r.serve != nil {
		r.serve(ctx, x, reply)
		return
	}
	_ = reply.Answer(&mcp.Answer{Status: http.StatusOK, Text: `{"server":"` + x.Server + `"}`})
}

func (r *recorder) Reject(x *gateway.Exchange, bad *mcp.Error, reply gateway.Reply) {
	r.mu.Lock()
	r.rejected, r.causes = append(r.rejected, x), append(r.causes, bad.Cause)
	r.mu.Unlock()
	_ = reply.Answer(&mcp.Answer{Status: bad.Status, Text: bad.Body("")})
}

const (
	limit = 100
	ping  = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
)

// start serves h, with anyone let in, on a loopback address.
func start(t *testing.T, r *recorder, change func(*HTTP)) *httptest.Server {
	t.Helper()
	h := &HTTP{
		Gateway: r,
		Identity: &identity.Identifier{
			Proxies:   &identity.Proxies{UserHeader: "X-Forwarded-User", RolesHeader: "X-Forwarded-Groups"},
			Anonymous: &identity.Caller{ID: "anonymous", Auth: "anonymous"},
		},
		Origins: &Origins{Allowed: []string{"https://app.example"}},
		Limit:   limit,
		Only:    "a",
	}
	if change != nil {
		change(h)
	}
	s := httptest.NewUnstartedServer(h)
	s.Config.ReadTimeout = 30 * time.Second
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// A response is what tests ask of an http.Response, whose body has been read.
type response struct {
	StatusCode int
	Status     string
	Header     http.Header
	Close      bool
}

// raw sends the very bytes given, with HOST replaced by the server's address,
// and returns the one response and its body.
func raw(t *testing.T, s *httptest.Server, request string) (response, string) {
	t.Helper()
	addr := s.Listener.Addr().String()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, strings.ReplaceAll(request, "HOST", addr)); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no response: %v", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body) // cut off is fine: the status is what counts
	return response{resp.StatusCode, resp.Status, resp.Header, resp.Close}, string(body)
}

// post is a request whose only fault is what the test adds.
func post(path string, lines ...string) string {
	head := []string{"POST " + path + " HTTP/1.1", "Host: HOST", "Connection: close", "Content-Type: application/json", "Content-Length: 40"}
	return strings.Join(append(head, lines...), "\r\n") + "\r\n\r\n" + ping
}

// without deletes the first header that begins so.
func without(name, request string) string {
	before, rest, ok := strings.Cut(request, "\r\n"+name+":")
	if !ok {
		panic("no header " + name)
	}
	_, after, _ := strings.Cut(rest, "\r\n")
	return before + "\r\n" + after
}

// A try is one request and the status it must get.
type try struct {
	name, request string
	status        int
}

// check makes each try at a server of its own. What is not answered 200 must
// not have been served, and nothing may be redirected.
func check(t *testing.T, tries []try, change func(*HTTP)) {
	t.Helper()
	for _, c := range tries {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := &recorder{}
			resp, body := raw(t, start(t, r, change), c.request)
			if resp.StatusCode != c.status || resp.Header.Get("Location") != "" {
				t.Errorf("got %s (Location %q), want %d", resp.Status, resp.Header.Get("Location"), c.status)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if (len(r.served) == 1) != (c.status == http.StatusOK) {
				t.Errorf("%d served with %d", len(r.served), resp.StatusCode)
			}
			if len(r.rejected) > 0 && !strings.HasPrefix(body, `{"jsonrpc":"2.0"`) && !strings.HasPrefix(c.request, http.MethodHead) {
				t.Errorf("the body is %q", body)
			}
		})
	}
}
