package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// A mode is a way to run the gateway.
type mode string

const (
	enforce    mode = "enforce"
	open       mode = "open" // enforce, and what the policy failed to judge passes
	permissive mode = "permissive"
	reload     mode = "reload" // enforce, and the bundle breaks once a good one is in force
)

// A stage is a gateway in front of one server, and what a fault may change about it.
type stage struct {
	mode    mode
	server  *server
	process child  // in its place, if it is not empty
	bundle  string // the file or URL that the gateway reads
	file    string // the file that a bundle is put into, with its digest beside it
	fault   string // the argument of the call that tells the policy what to do
	args    string // further arguments
	config  []func(map[string]any)
	stdout  *os.File
	unready bool                    // it starts without a policy and denies everything
	bound   int64                   // of memory, in bytes; 0: none
	ask     func(*testing.T) answer // the call that meets the fault
	strike  func(*testing.T)        // breaks what must not be broken at the start
	mend    func(*testing.T)        // mends what the next call needs
	lost    bool                    // no record can be written
	asked   atomic.Bool             // a broken source of bundles was asked
	gw      *harness.Gateway
}

func newStage(t *testing.T, m mode) *stage {
	t.Helper()
	s := &stage{mode: m, server: newServer(t), file: filepath.Join(t.TempDir(), "bundle.tar.gz")}
	s.bundle = s.file
	s.ask = s.call
	s.place(t, goodBundle(t))
	return s
}

func (s *stage) start(t *testing.T) {
	t.Helper()
	s.gw = harness.StartGateway(t, harness.Options{
		Upstream: s.server.url, Policy: s.bundle, Stdout: s.stdout,
		Unready: s.unready && s.mode == enforce,
		Change: func(c map[string]any) {
			p := c["policy"].(map[string]any)
			p["sha256"], p["timeoutMs"] = s.file+".sha256", 2000
			switch s.mode {
			case open:
				p["onError"], p["onMissing"] = "allow", "allow"
			case permissive:
				p["mode"] = "permissive"
			default:
			}
			for _, change := range s.config {
				change(c)
			}
		},
	})
}

// place puts a bundle where the gateway reads it.
func (s *stage) place(t *testing.T, raw []byte) {
	t.Helper()
	s.write(t, s.file, raw)
	s.write(t, s.file+".sha256", []byte(digest(raw)))
}

func (*stage) write(t *testing.T, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// reload asks for the bundle, and waits until it is refused.
func (s *stage) reload(t *testing.T) {
	t.Helper()
	s.hangup(t)
	s.gw.Await(t, "the bundle to be refused", func() bool { return strings.Contains(s.readyz(t), `"error"`) })
}

func (s *stage) hangup(t *testing.T) {
	t.Helper()
	if err := s.gw.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// heal mends what was broken, as an operator would. It leaves a policy that allows.
func (s *stage) heal(t *testing.T) {
	t.Helper()
	s.fault, s.args = "", ""
	if s.mend != nil {
		s.mend(t)
	}
	s.place(t, goodBundle(t))
	s.hangup(t)
	s.gw.Await(t, "a good bundle", func() bool {
		text := s.readyz(t)
		return strings.Contains(text, `"loaded":true`) && !strings.Contains(text, `"error"`)
	})
}

// readyz is what /readyz says; it is empty while that does not answer.
func (s *stage) readyz(t *testing.T) string {
	t.Helper()
	resp, err := http.Get(s.gw.Admin + "/readyz")
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// records are the decision records so far. A line without an end is none yet.
func (s *stage) records(t *testing.T) (all []record) {
	t.Helper()
	raw, err := os.ReadFile(s.gw.Audit)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range bytes.Lines(raw) {
		var r record
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("record %q: %v", line, err)
		}
		all = append(all, r)
	}
	return all
}

// An answer is what the client got.
type answer struct {
	status int    // 0: none
	text   string // the body, or of a stream the last message
	sent   string
}

// executed is how many calls of the tool were.
func (s *stage) executed(t *testing.T) int64 {
	t.Helper()
	if s.process != "" {
		return s.process.calls(t)
	}
	return s.server.calls.Load()
}

// message is the call of the tool.
func (s *stage) message() string {
	meta := ""
	if s.process != "" { // of the revision that needs no session
		meta = "," + metaMember
	}
	return `{"jsonrpc":"2.0","id":"a-1","method":"tools/call","params":{"name":"work","arguments":{"fault":"` + s.fault + `","text":"` + s.args + `"}` + meta + `}}`
}

// call calls the tool and waits for the answer.
func (s *stage) call(t *testing.T) answer {
	t.Helper()
	return s.post(t, s.message())
}

func (s *stage) post(t *testing.T, text string) answer {
	t.Helper()
	resp, err := s.send(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{resp.StatusCode, string(body), text}
	if _, data, ok := cutLast(a.text, "\ndata: "); ok {
		a.text = strings.TrimSpace(data)
	}
	return a
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func (s *stage) send(ctx context.Context, text string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.gw.URL, strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if strings.Contains(text, metaMember) {
		r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
		r.Header.Set("Mcp-Method", "tools/list")
		if strings.Contains(text, `"tools/call"`) {
			r.Header.Set("Mcp-Method", "tools/call")
			r.Header.Set("Mcp-Name", "work")
		}
	}
	return http.DefaultClient.Do(r)
}
