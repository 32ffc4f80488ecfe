package boundary

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// stalls are what clients send before they do nothing more, and how much of the answer they wait for.
var stalls = map[string]struct {
	text  string
	waits bool // for the first byte
}{
	"nothing":         {"", false},
	"half a head":     {"POST /mcp HTTP/1.1\r\nHost: loc", false},
	"half a body":     {post11 + ctKeep + "Content-Length: 91\r\n\r\n" + body[:20], false},
	"half the chunks": {post11 + ctKeep + "Transfer-Encoding: chunked\r\n\r\n40\r\n" + body[:64] + "\r\n", false},
	"a large answer":  {post11 + ctKeep + length, true},
	"an endless one":  {strings.ReplaceAll(post11+ctKeep+length, "echo", "endless"), true},
}

// TestStalledClients has many clients that send or read no more. Meanwhile others are served; and when they
// leave, nothing is left of them. That the gateway hangs up on them is shown, in a time of its own, where its
// limits on time are.
func TestStalledClients(t *testing.T) {
	t.Parallel()
	upstream := largeAnswers(t)
	gw := harness.StartGateway(t, harness.Options{Upstream: upstream.URL, Policy: "testdata/allow"})
	at, err := url.Parse(gw.URL)
	if err != nil {
		t.Fatal(err)
	}
	serves := func(when string) {
		if status, answer := post(t, gw.URL, posting{name: when, text: body}); status != http.StatusOK || len(answer) < 3<<20 {
			t.Errorf("%s: HTTP %d, %d bytes", when, status, len(answer))
		}
	}
	serves("before")
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	before := held(t, gw)

	const each = 10
	var clients []net.Conn
	defer func() {
		for _, c := range clients {
			_ = c.Close()
		}
	}()
	fill := strings.NewReplacer("LEN", strconv.Itoa(len(body)), "BODY", body)
	for name, s := range stalls {
		for range each {
			text := fill.Replace(s.text)
			if strings.HasPrefix(name, "an endless") {
				text = strings.NewReplacer("LEN", strconv.Itoa(len(endless)), "BODY", endless).Replace(s.text)
			}
			clients = append(clients, stall(t, at.Host, text, s.waits))
		}
	}
	gw.Await(t, "the gateway to hold all clients", func() bool { return held(t, gw)["process_open_fds"] > float64(len(clients)) })
	for range 5 {
		serves("meanwhile")
	}
	for _, c := range clients {
		_ = c.Close()
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	upstream.CloseClientConnections()
	gw.Await(t, "what the clients held to be given back", func() bool {
		now := held(t, gw)
		return now["go_goroutines"] <= before["go_goroutines"] && now["process_open_fds"] <= before["process_open_fds"]
	})
	serves("after")
}

var endless = strings.Replace(body, `"echo"`, `"endless"`, 1)

// largeAnswers is a server whose answers fill what lies between it and a client that does not read.
func largeAnswers(t *testing.T) *httptest.Server {
	l := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil || !strings.Contains(string(text), "endless") {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"text":"`+strings.Repeat("x", 3<<20)+`"}}`) // the gateway may have left
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		event := `data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"` + strings.Repeat("x", 1<<20) + "\"}}\n\n"
		for err == nil {
			_, err = io.WriteString(w, event)
		}
	}))
	t.Cleanup(func() {
		l.CloseClientConnections()
		l.Close()
	})
	return l
}

// stall is a client that has sent a text and does nothing more.
func stall(t *testing.T, addr, text string, waits bool) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err == nil {
		_, err = io.WriteString(conn, text)
	}
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(patience))
	}
	if err == nil && waits {
		_, err = conn.Read(make([]byte, 1))
	}
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// held is what a gateway tells of its goroutines and file descriptors.
func held(t *testing.T, gw *harness.Gateway) map[string]float64 {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(gw.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	found, lines := map[string]float64{}, bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if name == "go_goroutines" || name == "process_open_fds" {
			if found[name], err = strconv.ParseFloat(value, 64); err != nil {
				t.Error(err)
			}
		}
	}
	if len(found) != 2 || lines.Err() != nil {
		t.Fatalf("metrics: %v %v", found, lines.Err())
	}
	return found
}

// TestAdminListener writes bytes to the other port, which is guarded as the first one is.
func TestAdminListener(t *testing.T) {
	t.Parallel()
	gw := harness.StartGateway(t, harness.Options{Upstream: recorder(t).url, Policy: "testdata/allow"})
	at, err := url.Parse(gw.Admin)
	if err != nil {
		t.Fatal(err)
	}
	const end = "\r\nConnection: close\r\n\r\n"
	for _, s := range []shape{
		{"plain", "GET /readyz HTTP/1.1\r\nHost: localhost" + end, 200, 0},
		{"a foreign host", "GET /metrics HTTP/1.1\r\nHost: evil.example" + end, 403, 0},
		{"a foreign host in a URL", "GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost" + end, 403, 0},
		{"a forwarded host", "GET /metrics HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: localhost" + end, 403, 0},
		{"two hosts", "GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example" + end, 400, 0},
		{"no host", "GET /metrics HTTP/1.1" + end, 400, 0},
		{"no host in HTTP/1.0", "GET /metrics HTTP/1.0" + end, 403, 0},
		{"a foreign origin", "GET /metrics HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example" + end, 403, 0},
		{"a foreign origin hidden by Connection", "GET /metrics HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nConnection: Origin" + end, 403, 0},
		{"origin null", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nOrigin: null" + end, 403, 0},
		{"two origins", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nOrigin: http://localhost" + end, 403, 0},
		{"method override", "POST /healthz HTTP/1.1\r\nHost: localhost\r\nX-HTTP-Method-Override: GET\r\nContent-Length: 0" + end, 405, 0},
		{"MCP", "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0" + end, 405, 0},
		{"an encoded path", "GET /%6detrics HTTP/1.1\r\nHost: localhost" + end, 404, 0},
		{"dots", "GET /x/../metrics HTTP/1.1\r\nHost: localhost" + end, 404, 0},
		{"two slashes", "GET //metrics HTTP/1.1\r\nHost: localhost" + end, 404, 0},
		{"an upgrade", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk" + end, 200, 0},
		{"both lengths", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6" + end, 400, 0},
		{"a large head", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: " + strings.Repeat("a", 100_000) + end, 431, 0},
	} {
		if status := write(t, at.Host, s.text, s.status == http.StatusBadRequest); status != s.status {
			t.Errorf("%s: HTTP %d, want %d", s.name, status, s.status)
		}
	}
}
