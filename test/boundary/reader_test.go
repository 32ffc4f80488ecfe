package boundary

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// A wire is a port before a gateway that keeps all the bytes that clients get.
type wire struct {
	addr string
	mu   sync.Mutex
	got  bytes.Buffer
	open []net.Conn
}

// Write keeps the bytes.
func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.got.Write(b)
}

func (w *wire) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.got.String()
}

// newWire listens before an address.
func newWire(t testing.TB, to string) *wire {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{addr: l.Addr().String()}
	var group sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		w.hangUp() // clients keep connections for later
		group.Wait()
	})
	group.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			w.keep(client)
			group.Go(func() { w.carry(client, to) })
		}
	})
	return w
}

func (w *wire) keep(client net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = append(w.open, client)
}

func (w *wire) hangUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, client := range w.open {
		_ = client.Close() // it may be closed
	}
}

func (w *wire) carry(client net.Conn, to string) {
	defer func() { _ = client.Close() }()
	gateway, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer func() { _ = gateway.Close() }()
	var there sync.WaitGroup
	there.Go(func() {
		_, _ = io.Copy(gateway, client) // until either end leaves
		_ = gateway.(*net.TCPConn).CloseWrite()
	})
	_, _ = io.Copy(io.MultiWriter(client, w), gateway) // until either end leaves
	_ = client.Close()
	there.Wait()
}

// An endpoint is one that clients read from, named for what is behind it.
type endpoint struct {
	Name   string `json:"name"`
	URL    string `json:"url"`
	Stream string `json:"stream,omitempty"` // to be listened to: "last" up to its last message, or "any"
	// Command, where set, is a server to be started in place of the URL. All is done on one session.
	Command []string `json:"command,omitempty"`
}

// A reader is a client of an official SDK. For each endpoint it returns all that its program was given:
// results, errors, notifications and requests.
type reader func(*testing.T, []endpoint) map[string][]string

var readers = map[string]reader{
	"go legacy":  goReader(legacy),
	"go modern":  goReader(modern),
	"ts1":        nodeReader("ts1"),
	"ts2 legacy": nodeReader("ts2", "legacy"),
	"ts2 modern": nodeReader("ts2", "auto"),
}

func nodeReader(args ...string) reader {
	return func(t *testing.T, all []endpoint) map[string][]string {
		harness.Npm(t, "node")
		in, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("node", append([]string{"read.mjs"}, args...)...)
		cmd.Dir = "node"
		cmd.Stdin = bytes.NewReader(in)
		var out bytes.Buffer
		cmd.Stdout = &out
		p := harness.Start(t, cmd)
		<-p.Done()
		var saw map[string][]string
		if err := json.Unmarshal(out.Bytes(), &saw); err != nil {
			t.Fatalf("%v: %v", err, p.Err())
		}
		return saw
	}
}

func goReader(version string) reader {
	return func(t *testing.T, all []endpoint) map[string][]string {
		saw, mu, group := map[string][]string{}, sync.Mutex{}, sync.WaitGroup{}
		turns := make(chan struct{}, 8)
		for _, e := range all {
			group.Go(func() {
				turns <- struct{}{}
				defer func() { <-turns }()
				p := &program{version: version, url: e.URL, command: e.Command, last: make(chan struct{})}
				if e.Stream == "" {
					p.run(t)
				} else {
					p.listen(t, e.Stream == "last")
				}
				mu.Lock()
				defer mu.Unlock()
				saw[e.Name] = p.all()
			})
		}
		group.Wait()
		return saw
	}
}

// A program uses the Go SDK, and notes what it is given.
type program struct {
	version, url string
	command      []string
	mu           sync.Mutex
	given        []string
	once         sync.Once
	last         chan struct{} // closed when the last message of a stream was given
}

func (p *program) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.given
}

func (p *program) note(v any, err error) {
	text, bad := json.Marshal(v)
	if bad != nil {
		err = errors.Join(err, bad)
	}
	var e *jsonrpc.Error
	if errors.As(err, &e) {
		text = append(text, e.Data...)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.given = append(p.given, strings.TrimSpace(fmt.Sprint(string(text), " ", err)))
}

func (p *program) connect(ctx context.Context) *mcp.ClientSession {
	client := mcp.NewClient(&mcp.Implementation{Name: "go", Version: "1"}, &mcp.ClientOptions{
		ElicitationHandler: func(_ context.Context, req *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			p.note(req.Params, nil)
			return &mcp.ElicitResult{Action: "decline"}, nil
		},
	})
	client.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			p.note([]any{method, req.GetParams()}, nil)
			if u, ok := req.GetParams().(*mcp.ResourceUpdatedNotificationParams); ok && u.URI == lastURI {
				p.once.Do(func() { close(p.last) })
			}
			return next(ctx, method, req)
		}
	})
	var transport mcp.Transport = &mcp.StreamableClientTransport{Endpoint: p.url, MaxRetries: -1}
	if p.command != nil {
		transport = &mcp.CommandTransport{Command: exec.Command(p.command[0], p.command[1:]...)}
	}
	session, err := client.Connect(ctx, transport,
		&mcp.ClientSessionOptions{ProtocolVersion: p.version})
	if err != nil {
		p.note("connect", err)
		return nil
	}
	p.note(session.InitializeResult(), nil)
	return session
}

// run does on a session each what most programs do, since an answer that is none ends the session.
func (p *program) run(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var session *mcp.ClientSession
	for _, do := range []func(*mcp.ClientSession) (any, error){
		func(s *mcp.ClientSession) (any, error) { return s.ListTools(ctx, nil) },
		func(s *mcp.ClientSession) (any, error) {
			return s.CallTool(ctx, &mcp.CallToolParams{Name: "echo"})
		},
		func(s *mcp.ClientSession) (any, error) {
			return s.ReadResource(ctx, &mcp.ReadResourceParams{URI: "test://x"})
		},
		func(s *mcp.ClientSession) (any, error) {
			return s.GetPrompt(ctx, &mcp.GetPromptParams{Name: "p"})
		},
	} {
		if session == nil {
			session = p.connect(ctx)
		}
		if session == nil {
			return
		}
		p.note(do(session))
		if p.command == nil {
			_ = session.Close() // it may be dead
			session = nil
		}
	}
	if session != nil {
		_ = session.Close() // it may be dead
	}
	if ctx.Err() != nil {
		t.Errorf("%s: the client got no answer", p.url+strings.Join(p.command, " "))
	}
}

// listen has the server's own messages come, by the stream that is of the version.
func (p *program) listen(t *testing.T, last bool) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	session := p.connect(ctx)
	if session == nil {
		t.Errorf("%s: no session", p.url)
		return
	}
	p.note("subscribed", session.Subscribe(ctx, &mcp.SubscribeParams{URI: lastURI}))
	if last {
		select {
		case <-p.last:
		case <-ctx.Done():
			t.Errorf("%s: the client did not get the last message", p.url)
		}
	}
	p.note(session.ListTools(ctx, nil))
	_ = session.Close() // it may be dead
}
