package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/gatehouse-mcp/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

const (
	postHead = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	wholeOne = postHead + "Content-Length: 2\r\n\r\n{}"
)

// A line is a listener without a network, so that its time may be a bubble's. Each connection is a pipe: what
// the client does not read blocks the gateway at once.
type line chan net.Conn

func (l line) Accept() (net.Conn, error) {
	if c, ok := <-l; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l line) Close() error   { close(l); return nil }
func (l line) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// dial returns the client's end of a connection, and what is closed once the gateway has closed its own.
func (l line) dial() (net.Conn, <-chan struct{}) {
	here, there := net.Pipe()
	e := &end{Conn: there, closed: make(chan struct{})}
	l <- e
	return here, e.closed
}

type end struct {
	net.Conn
	once   sync.Once
	closed chan struct{}
}

func (e *end) LocalAddr() net.Addr  { return line.Addr(nil) }
func (e *end) RemoteAddr() net.Addr { return line.Addr(nil) }

func (e *end) Close() error {
	e.once.Do(func() { close(e.closed) })
	return e.Conn.Close()
}

// A counting gateway answers as serve does, and counts.
type counting struct {
	served int
	serve  func(gateway.Reply)
}

func (c *counting) Serve(_ context.Context, _ *gateway.Exchange, reply gateway.Reply) {
	c.served++
	c.serve(reply)
}

func (*counting) Reject(_ *gateway.Exchange, bad *mcp.Error, reply gateway.Reply) {
	_ = reply.Answer(&mcp.Answer{Status: bad.Status, Text: bad.Body("")})
}

// inBubble has a client at each of the two listeners of an app, with the app's own limits on time. Nothing
// may be left of either afterwards.
func inBubble(t *testing.T, g *counting, client func(t *testing.T, mcp, admin line)) {
	synctest.Test(t, func(t *testing.T) {
		a := &app{core: &core{log: slog.New(slog.DiscardHandler)}}
		origins := &listen.Origins{Allowed: []string{"https://app.example"}}
		registry := prometheus.NewRegistry()
		registry.MustRegister(collectors.NewGoCollector())
		endpoint := a.server(&listen.HTTP{
			Gateway: g, Origins: origins, Limit: 1 << 20, Only: "a",
			Identity: &identity.Identifier{Proxies: &identity.Proxies{}, Anonymous: &identity.Caller{ID: "anonymous"}},
		})
		admin := a.server((&listen.Admin{Origins: origins, Metrics: registry}).Handler())
		ctx, cancel := context.WithCancel(t.Context())
		lines, group := map[*http.Server]line{endpoint: make(line), admin: make(line)}, sync.WaitGroup{}
		for server, l := range lines {
			group.Go(func() {
				if err := serve(ctx, server, l); err != nil {
					t.Error(err)
				}
			})
		}
		client(t, lines[endpoint], lines[admin])
		cancel()
		group.Wait()
	})
}

func answerJSON(size int) func(gateway.Reply) {
	return func(reply gateway.Reply) {
		_ = reply.Answer(&mcp.Answer{Status: http.StatusOK, Text: `"` + strings.Repeat("x", size) + `"`}) // a client may not read it
	}
}

// answerEvents sends events until the client has had enough.
func answerEvents(reply gateway.Reply) {
	for reply.Event(&mcp.Answer{}, mcp.Event{Data: `{}`}) == nil {
	}
}

// TestClientsThatStall has clients that send, or read, no more. The gateway hangs up on each in its time.
func TestClientsThatStall(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		sent   string
		slowly string // sent after that, byte by byte
		serve  func(gateway.Reply)
		admin  bool
		reads  bool // what the gateway sends
		status string
		after  time.Duration
		served int
	}{
		{name: "sends nothing", reads: true, after: headerTime},
		{name: "half a head", sent: "POST /mcp HTTP/1.1\r\nHost: loc", reads: true, after: headerTime},
		{name: "a head byte by byte", slowly: postHead + strings.Repeat("X-A: b\r\n", 900), reads: true, after: headerTime},
		{name: "half a body", sent: postHead + "Content-Length: 2\r\n\r\n{", reads: true, status: "400", after: readTime},
		{name: "a chunked body that stops", sent: postHead + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", reads: true, status: "400", after: readTime},
		{name: "a body byte by byte", sent: postHead + "Content-Length: 900\r\n\r\n", slowly: strings.Repeat(" ", 900), reads: true, status: "400", after: readTime},
		{name: "no second request", sent: wholeOne, serve: answerJSON(1), reads: true, status: "200", after: keepAliveTime, served: 1},
		{name: "reads no answer", sent: wholeOne, serve: answerJSON(1), after: writeTime, served: 1},
		{name: "reads no large answer", sent: wholeOne, serve: answerJSON(3 << 20), after: writeTime, served: 1},
		{name: "reads no stream", sent: wholeOne, serve: answerEvents, after: writeTime, served: 1},
		{name: "reads no refusal", sent: postHead + "Content-Length: 9999999\r\n\r\n", after: writeTime},
		{name: "reads no leave to go on", sent: postHead + "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n", after: writeTime},
		{name: "reads no error of HTTP", sent: "POST /mcp\r\n\r\n", after: writeTime},
		{name: "reads no preflight", sent: "OPTIONS /mcp HTTP/1.1\r\nHost: app.example\r\nOrigin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n\r\n", after: writeTime},
		{name: "admin: half a head", admin: true, sent: "GET /metr", reads: true, after: headerTime},
		{name: "admin: reads no metrics", admin: true, sent: "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", after: writeTime},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			g := &counting{serve: c.serve}
			inBubble(t, g, func(t *testing.T, mcp, admin line) {
				if c.admin {
					mcp = admin
				}
				conn, closed := mcp.dial()
				var writes sync.WaitGroup
				defer func() {
					_ = conn.Close()
					writes.Wait()
				}()
				began := time.Now()
				writes.Go(func() { trickle(conn, c.sent, c.slowly) })
				if c.reads {
					text, _ := io.ReadAll(conn) // an error says no more than closed does
					if got := strings.TrimPrefix(string(text), "HTTP/1.1 "); !strings.HasPrefix(got, c.status) || got != "" && got[0] != '4' && c.status == "" {
						t.Errorf("got %q", text)
					}
				}
				select {
				case <-closed:
				case <-time.After(time.Hour):
					t.Error("the gateway never hangs up")
				}
				if took := time.Since(began); took < c.after || took > c.after+time.Second {
					t.Errorf("closed after %v, not %v", took, c.after)
				}
			})
			if g.served != c.served {
				t.Errorf("%d messages went on", g.served)
			}
		})
	}
}

// trickle writes a text, and then another byte by byte until the gateway has had enough.
func trickle(conn net.Conn, text, slowly string) {
	_, err := io.WriteString(conn, text)
	for i := 0; err == nil && i < len(slowly); i++ {
		time.Sleep(time.Second / 4) //nolint:forbidigo // synctest bubble
		_, err = io.WriteString(conn, slowly[i:i+1])
	}
}

// TestClientThatReadsSlowly has a client that reads each event in time. Its stream may go on for long.
func TestClientThatReadsSlowly(t *testing.T) {
	t.Parallel()
	const events = 100
	g := &counting{serve: func(reply gateway.Reply) {
		for range events {
			if err := reply.Event(&mcp.Answer{}, mcp.Event{Data: `{}`}); err != nil {
				t.Error(err)
			}
			time.Sleep(writeTime - time.Second) //nolint:forbidigo // synctest bubble
		}
	}}
	inBubble(t, g, func(t *testing.T, mcp, _ line) {
		conn, _ := mcp.dial()
		defer func() { _ = conn.Close() }()
		go trickle(conn, wholeOne, "")
		r, got := bufio.NewReader(conn), 0
		for got < events {
			text, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("%v after %d events", err, got)
			}
			if strings.HasPrefix(text, "data:") {
				got++
				time.Sleep(writeTime - time.Second) //nolint:forbidigo // synctest bubble
			}
		}
	})
}
