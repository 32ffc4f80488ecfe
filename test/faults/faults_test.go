// Package faults breaks what the gateway depends on and looks at what becomes
// of the messages, and whether the process lives.
package faults

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Run(m)) }

const ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`

// A server counts what reaches it. It answers each request with a result, or
// with a stream that goes on until the test closes finish.
type server struct {
	url    string
	got    atomic.Int64
	finish chan struct{} // nil: a result at once
}

func newServer(t *testing.T, finish chan struct{}) *server {
	t.Helper()
	s := &server{finish: finish}
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.got.Add(1)
		if s.finish == nil {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, ": begun\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-s.finish:
			_, _ = io.WriteString(w, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"ended\":\"well\"}}\n\n")
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() {
		h.CloseClientConnections()
		h.Close()
	})
	s.url = h.URL
	return s
}

func start(t *testing.T, s *server, change func(map[string]any)) *harness.Gateway {
	t.Helper()
	return harness.StartGateway(t, harness.Options{Upstream: s.url, Policy: "testdata/allow", Change: change})
}

// post sends a ping and returns the status and the body.
func post(t *testing.T, url string) (int, string) {
	t.Helper()
	resp := send(t, url)
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func send(t *testing.T, url string) *http.Response {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(ping))
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestAuditDiskFull(t *testing.T) {
	for mode, want := range map[string]int{"enforce": http.StatusServiceUnavailable, "permissive": http.StatusOK} {
		s := newServer(t, nil)
		gw := start(t, s, func(c map[string]any) {
			c["audit"] = map[string]any{"path": "/dev/full"}
			c["policy"].(map[string]any)["mode"] = mode
		})
		for range 3 { // the process lives
			if status, body := post(t, gw.URL); status != want {
				t.Errorf("%s: %d %s", mode, status, body)
			}
		}
		if mode == "enforce" && s.got.Load() != 0 {
			t.Errorf("%d messages were sent without a record", s.got.Load())
		}
	}
}

func TestAuditPipeClosed(t *testing.T) {
	s := newServer(t, nil)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	gw := harness.StartGateway(t, harness.Options{
		Upstream: s.url, Policy: "testdata/allow", Stdout: w,
		Change: func(c map[string]any) { c["audit"] = map[string]any{"path": "-"} },
	})
	_ = w.Close() // the gateway has its own
	if status, _ := post(t, gw.URL); status != http.StatusOK {
		t.Errorf("before: %d", status)
	}
	_ = r.Close()
	before := s.got.Load()
	for range 3 {
		if status, body := post(t, gw.URL); status != http.StatusServiceUnavailable {
			t.Errorf("after: %d %s", status, body)
		}
	}
	if s.got.Load() != before {
		t.Error("a message was sent without a record")
	}
}

func TestStopDrains(t *testing.T) {
	s := newServer(t, make(chan struct{}))
	gw := start(t, s, nil)
	resp := send(t, gw.URL)
	defer func() { _ = resp.Body.Close() }()
	if line, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil || line != ": \n" {
		t.Fatalf("the stream began with %q, %v", line, err)
	}
	if err := gw.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	gw.Await(t, "the listener to close", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(strings.TrimSuffix(gw.URL, "/mcp"), "http://"))
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	close(s.finish)
	rest, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(rest), `"ended":"well"`) {
		t.Errorf("the stream ended with %q, %v", rest, err)
	}
	<-gw.Done()
	if err := gw.Err(); !strings.Contains(err.Error(), "exit status 0") {
		t.Error(err)
	}
}

func TestStopCutsOffWhatDoesNotEnd(t *testing.T) {
	t.Parallel() // it takes the whole time for draining
	s := newServer(t, make(chan struct{}))
	gw := start(t, s, nil)
	resp := send(t, gw.URL)
	defer func() { _ = resp.Body.Close() }()
	if err := gw.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body) // until it is cut off
	select {
	case <-gw.Done():
	case <-time.After(time.Minute):
		t.Error("the gateway does not stop")
	}
}

func TestServerThatBreaksOff(t *testing.T) {
	for name, answer := range map[string]string{
		"nothing":      "",
		"garbage":      "\x00\x01\x02 no HTTP\r\n\r\n",
		"half a head":  "HTTP/1.1 200 OK\r\nContent-Ty",
		"half a body":  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"jsonrpc\":\"2.0\"",
		"half a chunk": "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n50\r\ndata: {\"jsonrpc\"",
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go serveRaw(l, answer)
		gw := start(t, &server{url: "http://" + l.Addr().String()}, nil)
		if status, body := post(t, gw.URL); status != http.StatusBadGateway || !strings.Contains(body, `"id":1,"error":{"code":502`) {
			t.Errorf("%s: %d %s", name, status, body)
		}
		records, err := os.ReadFile(gw.Audit)
		if err != nil || !strings.Contains(string(records), `"outcome":"reject"`) {
			t.Errorf("%s: %v, records %s", name, err, records)
		}
	}
}

// serveRaw answers each connection's first request with some bytes, and
// resets it.
func serveRaw(l net.Listener, answer string) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		r := bufio.NewReader(c)
		if req, err := http.ReadRequest(r); err == nil {
			_, _ = io.Copy(io.Discard, req.Body)
			_, _ = io.WriteString(c, answer)
		}
		_ = c.Close()
	}
}
