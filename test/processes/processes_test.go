// Package processes drives Gatehouse with servers that are processes, and looks for
// what they leave behind.
package processes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Run(m)) }

const modern = "2026-07-28"

// A stage is a gateway in front of a server that it starts.
type stage struct {
	*harness.Gateway
	t      *testing.T
	server string // the program
}

func newStage(t *testing.T, change func(config map[string]any)) *stage {
	server := harness.Build(t, "github.com/gatehouse-mcp/gatehouse/test/processes/server")
	return &stage{t: t, server: server, Gateway: harness.StartGateway(t, harness.Options{
		Command: []string{server}, Policy: "testdata/policy", Change: change,
	})}
}

// A caller adds a principal's key to its requests.
type caller string

func (c caller) RoundTrip(r *http.Request) (*http.Response, error) {
	if c != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+string(c))
	}
	return http.DefaultTransport.RoundTrip(r)
}

func (s *stage) connect(ctx context.Context, version, key string) (*mcp.ClientSession, error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "go", Version: "1.0.0"}, nil)
	return client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: s.URL, HTTPClient: &http.Client{Transport: caller(key)},
	}, &mcp.ClientSessionOptions{ProtocolVersion: version})
}

func call(ctx context.Context, session *mcp.ClientSession, tool string) (string, error) {
	res, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool})
	if err != nil {
		return "", err
	}
	return res.Content[0].(*mcp.TextContent).Text, nil
}

// must is the answer to a call that has to have one.
func (s *stage) must(session *mcp.ClientSession, tool string) string {
	s.t.Helper()
	text, err := call(s.t.Context(), session, tool)
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

func (s *stage) session(version string) *mcp.ClientSession {
	s.t.Helper()
	session, err := s.connect(s.t.Context(), version, "")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = session.Close() })
	return session
}

// running are the processes of the server.
func (s *stage) running() []string {
	s.t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		s.t.Fatal(err)
	}
	var found []string
	for _, link := range links {
		if exe, err := os.Readlink(link); err == nil && exe == s.server {
			found = append(found, filepath.Base(filepath.Dir(link)))
		}
	}
	return found
}

func (s *stage) noted(what string) func() bool {
	return func() bool { return strings.Contains(s.Output(), "note: "+what) }
}

// A server that dies in the middle of a call is told of at once, and the next call has
// another one.
func TestCrash(t *testing.T) {
	for _, version := range []string{modern, "2025-11-25"} {
		t.Run(version, func(t *testing.T) {
			s := newStage(t, nil)
			session := s.session(version)
			pid, err := strconv.Atoi(s.must(session, "pid"))
			if err != nil {
				t.Fatal(err)
			}
			failed := make(chan error, 1)
			go func() {
				_, err := call(t.Context(), session, "hang")
				failed <- err
			}()
			s.Await(t, "the call", s.noted("called"))
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-failed:
				if err == nil || !strings.Contains(err.Error(), "the server ended") && !strings.Contains(err.Error(), "Bad Gateway") {
					t.Errorf("the caller is told %v", err)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("the caller waits on")
			}
			if version != modern { // whose session ended with the process
				session = s.session(version)
			}
			if again := s.must(session, "pid"); again == strconv.Itoa(pid) {
				t.Error("the dead answer")
			}
			records, err := os.ReadFile(s.Audit)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(records), `signal: killed`); n != 1 {
				t.Errorf("%d records tell of the call that was lost", n)
			}
		})
	}
}

// A client that leaves cancels its call.
func TestDisconnect(t *testing.T) {
	for _, version := range []string{modern, "2025-11-25"} {
		t.Run(version, func(t *testing.T) {
			s := newStage(t, nil)
			client := http.Client{Transport: &http.Transport{}}
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			body, header := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"hang","arguments":{}`, http.Header{
				"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Mcp-Protocol-Version": {version},
			}
			if version == modern {
				header.Set("Mcp-Method", "tools/call")
				header.Set("Mcp-Name", "hang")
				body += `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
			} else {
				header.Set("Mcp-Session-Id", s.session(version).ID())
			}
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, strings.NewReader(body+"}}"))
			if err != nil {
				t.Fatal(err)
			}
			r.Header = header
			left := make(chan struct{})
			go func() {
				defer close(left)
				if resp, err := client.Do(r); err == nil {
					_ = resp.Body.Close()
				}
			}()
			s.Await(t, "the call", s.noted("called"))
			leave()
			<-left
			s.Await(t, "its end", s.noted("cancelled"))
		})
	}
}

// A server gets what is configured of the environment, and none of the gateway's secrets.
func TestEnvironment(t *testing.T) {
	t.Setenv("UPSTREAM_TOKEN", "canary of the gateway's")
	t.Setenv("GIVEN", "given")
	s := newStage(t, func(config map[string]any) {
		server := config["mcpServers"].(map[string]any)["default"].(map[string]any)
		server["env"] = map[string]string{"TOKEN": "${GIVEN}"}
	})
	text := s.must(s.session(modern), "environment")
	if !strings.Contains(text, "TOKEN=given") || strings.Contains(text, "canary") || !strings.Contains(text, "PATH=") {
		t.Errorf("its environment is:\n%s", text)
	}
}

// A thousand sessions begin and end, and nothing of them is left.
func TestStartsAndStops(t *testing.T) {
	const sessions, atOnce = 1000, 8
	s := newStage(t, nil)
	s.must(s.session(modern), "pid") // what stays open from now on
	files := s.openFiles()
	var group errgroup.Group
	group.SetLimit(atOnce)
	for range sessions {
		group.Go(func() error {
			session, err := s.connect(t.Context(), "2025-11-25", "")
			if err != nil {
				return err
			}
			if _, err := call(t.Context(), session, "pid"); err != nil {
				return err
			}
			return session.Close()
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	s.Await(t, "the end of all servers but one", func() bool { return len(s.running()) == 1 })
	s.Await(t, "the descriptors", func() bool { return s.openFiles() <= files })
	t.Logf("%d sessions, %d descriptors before and %d after", sessions, files, s.openFiles())
}

// openFiles is how many descriptors the gateway has open.
func (s *stage) openFiles() int {
	resp, err := http.Get(s.Admin + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var text strings.Builder
	if err := resp.Write(&text); err != nil {
		s.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(text.String(), "\nprocess_open_fds ")
	n, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]))
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// Two hundred principals call at once, and each has a process of its own.
func TestPrincipals(t *testing.T) {
	const principals = 200
	s := newStage(t, func(config map[string]any) {
		var keys []map[string]any
		for i := range principals {
			digest := sha256.Sum256([]byte(key(i)))
			keys = append(keys, map[string]any{"id": fmt.Sprint("user", i), "roles": []string{}, "sha256": hex.EncodeToString(digest[:])})
		}
		config["identity"] = map[string]any{"apiKeys": keys}
	})
	pids := make([]string, principals)
	var group errgroup.Group
	for i := range principals {
		group.Go(func() error {
			version := []string{modern, "2025-11-25"}[i%2]
			session, err := s.connect(t.Context(), version, key(i))
			if err != nil {
				return fmt.Errorf("connect principal %d: %w", i, err)
			}
			defer func() { _ = session.Close() }()
			for n := range 5 {
				pid, err := call(t.Context(), session, "pid")
				if err != nil {
					return fmt.Errorf("call %d of principal %d: %w", n, i, err)
				}
				if pids[i] != "" && pids[i] != pid {
					return fmt.Errorf("principal %d has process %s and then %s", i, pids[i], pid)
				}
				pids[i] = pid
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(pids)
	if n := len(slices.Compact(pids)); n != principals {
		t.Errorf("%d principals had %d processes", principals, n)
	}
}

func key(i int) string { return fmt.Sprintf("key-of-principal-%04d-0123456789abcdef", i) }
