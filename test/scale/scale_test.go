// Package scale has replicas of the gateway behind nginx, under load, come and go.
package scale

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Run(m)) }

// TestReplicasComeAndGo: three replicas behind nginx, round robin, of which one is taken out and told to end, as
// Kubernetes does at the same time, one is added, and one is killed under load. What is lost was on its way through
// the one that was killed, its client is told, and nothing is carried out twice.
func TestReplicasComeAndGo(t *testing.T) {
	for _, version := range []string{"2026-07-28", "2025-11-25"} {
		t.Run(version, func(t *testing.T) {
			const clients = 8
			ledger := &ledger{calls: map[string]int{}}
			s := newStage(t, ledger.serve(t, version))
			l := startLoad(t, "http://127.0.0.1:"+s.port+"/mcp", version, clients)

			l.goOn(t)
			first := s.gateways[0]
			s.gateways = s.gateways[1:]
			s.reload(t)
			signal(t, first.Process, syscall.SIGTERM)
			<-first.Done()
			l.goOn(t)
			s.add(t)
			s.reload(t)
			s.Await(t, "the new replica to carry messages", s.gateways[2].carries)
			l.goOn(t)
			if failed := l.failed.Load(); failed != 0 {
				t.Errorf("%d calls failed though no replica was killed: %v", failed, l.first())
			}

			signal(t, s.gateways[0].Process, syscall.SIGKILL)
			l.goOn(t)
			done, lost := l.stop()
			if len(lost) > clients {
				t.Errorf("%d calls failed, of %d clients at once: %v", len(lost), clients, l.first())
			}
			ledger.check(t, done, lost)
			t.Logf("%d calls, %d of them lost with the replica that was killed", len(done), len(lost))
		})
	}
}

// A ledger is a server that writes down what it is called with.
type ledger struct {
	mu    sync.Mutex
	calls map[string]int
}

type entry struct {
	ID string `json:"id"`
}

func (l *ledger) serve(t *testing.T, version string) string {
	server := mcp.NewServer(&mcp.Implementation{Name: "ledger", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "enter"}, func(_ context.Context, _ *mcp.CallToolRequest, e entry) (*mcp.CallToolResult, any, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.calls[e.ID]++
		return &mcp.CallToolResult{}, nil, nil
	})
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: version >= "2026-07-28"})
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	return s.URL
}

// check makes sure that what succeeded was done once, and what failed at most once.
func (l *ledger) check(t *testing.T, done, lost []string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range done {
		if l.calls[id] != 1 {
			t.Errorf("call %s succeeded and was carried out %d times", id, l.calls[id])
		}
	}
	for _, id := range lost {
		if l.calls[id] > 1 {
			t.Errorf("call %s failed and was carried out %d times", id, l.calls[id])
		}
	}
}

// A stage is nginx with its replicas.
type stage struct {
	*harness.Process
	dir, port string
	upstream  string
	gateways  []*replica
}

type replica struct{ *harness.Gateway }

// carries reports whether the replica has carried messages.
func (r *replica) carries() bool {
	info, err := os.Stat(r.Audit)
	return err == nil && info.Size() > 0
}

func newStage(t *testing.T, upstream string) *stage {
	t.Helper()
	s := &stage{dir: t.TempDir(), port: harness.FreePort(t), upstream: upstream}
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	s.write(t, "handles.key", base64.StdEncoding.EncodeToString(key)+"\n")
	for range 3 {
		s.add(t)
	}
	s.configure(t)
	s.Process = harness.Start(t, exec.Command(harness.Tool(t, "NGINX"), "-e", "stderr", "-c", filepath.Join(s.dir, "nginx.conf")))
	s.Await(t, "nginx to listen", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+s.port)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return s
}

func (s *stage) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// add starts one more replica.
func (s *stage) add(t *testing.T) {
	t.Helper()
	s.gateways = append(s.gateways, &replica{harness.StartGateway(t, harness.Options{
		Upstream: s.upstream, Policy: "testdata/policy", Change: func(config map[string]any) {
			config["handles"] = map[string]any{"keyFile": filepath.Join(s.dir, "handles.key")}
			config["drainSeconds"] = 1
		},
	})})
}

// configure has nginx send to each replica in turn. It tries the next one only if a connection is refused: what
// may have been sent is not sent again.
func (s *stage) configure(t *testing.T) {
	t.Helper()
	var servers strings.Builder
	for _, g := range s.gateways {
		u, err := url.Parse(g.URL)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&servers, "server %s max_fails=1 fail_timeout=60s;\n", u.Host)
	}
	s.write(t, "nginx.conf", fmt.Sprintf(`
daemon off; user root; worker_processes 1; pid %[1]s/pid; error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path %[1]s/t1; proxy_temp_path %[1]s/t2; fastcgi_temp_path %[1]s/t3; uwsgi_temp_path %[1]s/t4;
  scgi_temp_path %[1]s/t5;
  upstream gatehouse { %[3]s keepalive 16; }
  server {
    listen 127.0.0.1:%[2]s;
    location / {
      proxy_pass http://gatehouse;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_buffering off;
      proxy_read_timeout 1h;
    }
  }
}`, s.dir, s.port, &servers))
}

// reload has nginx read its configuration again, without closing what is open.
func (s *stage) reload(t *testing.T) {
	t.Helper()
	s.configure(t)
	signal(t, s.Process, syscall.SIGHUP)
}

// A load is clients that call all the time.
type load struct {
	cancel  context.CancelFunc
	clients sync.WaitGroup
	n       atomic.Int64 // calls that succeeded
	failed  atomic.Int64

	mu         sync.Mutex
	done, lost []string
	err        error
}

func startLoad(t *testing.T, url, version string, clients int) *load {
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{cancel: cancel}
	t.Cleanup(func() { l.stop() })
	for i := range clients {
		l.clients.Go(func() { l.run(ctx, url, version, i) })
	}
	return l
}

// run calls until the load is stopped, with a new session whenever a call has failed. It keeps no connection: nginx
// may close one that waits, when it is reloaded, in the very moment in which the next request is sent.
func (l *load) run(ctx context.Context, url, version string, client int) {
	over := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for n := 0; ctx.Err() == nil; {
		c := mcp.NewClient(&mcp.Implementation{Name: "load", Version: "1.0.0"}, nil)
		session, err := c.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: over}, &mcp.ClientSessionOptions{ProtocolVersion: version})
		if err != nil {
			l.note(ctx, fmt.Sprintf("connection of client %d", client), err)
			continue
		}
		for err == nil && ctx.Err() == nil {
			n++
			id := fmt.Sprintf("%d-%d", client, n)
			_, err = session.CallTool(ctx, &mcp.CallToolParams{Name: "enter", Arguments: entry{id}})
			l.note(ctx, id, err)
		}
		_ = session.Close()
	}
}

func (l *load) note(ctx context.Context, id string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.n.Add(1)
		l.done = append(l.done, id)
	case ctx.Err() == nil:
		l.failed.Add(1)
		l.lost = append(l.lost, id)
		l.err = errors.Join(l.err, fmt.Errorf("%s: %w", id, err))
	}
}

// goOn waits until some hundred calls more have succeeded.
func (l *load) goOn(t *testing.T) {
	t.Helper()
	const more = 400
	want, deadline := l.n.Load()+more, time.After(time.Minute)
	for look := time.NewTicker(10 * time.Millisecond); l.n.Load() < want; {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("the load came to a stop: %v", l.first())
		}
	}
}

func (l *load) first() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *load) stop() (done, lost []string) {
	l.cancel()
	l.clients.Wait()
	return l.done, l.lost
}

func signal(t *testing.T, p *harness.Process, sig syscall.Signal) {
	t.Helper()
	if err := p.Signal(sig); err != nil {
		t.Fatal(err)
	}
}
