// Package soak keeps a gateway under calls, denials, aborts, malformed messages
// and reloads, and looks for what grows.
package soak

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/policy"
	"github.com/gatehouse-mcp/gatehouse/policies"
	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Run(m)) }

// workers are the clients that call at any one time.
const workers = 8

// duration is how long the soak takes: SOAK, or a short while.
func duration(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("SOAK")
	if text == "" {
		return 5 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// server answers with one event, or begins a stream that does not end.
func server(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // what the gateway sends is whole
		w.Header().Set("Content-Type", "text/event-stream")
		if r.Method == http.MethodPost && !strings.Contains(string(body), "endless") {
			_, _ = io.WriteString(w, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"\\u001b[31mred\"}]}}\n\n")
			return
		}
		_, _ = io.WriteString(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progress\":1}}\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

func TestSoak(t *testing.T) {
	bundle := filepath.Join(t.TempDir(), "bundle.tar.gz")
	writeBundle(t, bundle, 0)
	gw := harness.StartGateway(t, harness.Options{Upstream: server(t), Policy: bundle, Change: func(c map[string]any) {
		c["identity"] = map[string]any{"anonymous": map[string]any{"id": "dev", "roles": []string{"dev"}}}
	}})
	s := &soak{gw: gw, client: &http.Client{}}
	t.Cleanup(s.client.CloseIdleConnections)

	s.run(t, bundle, time.Second) // what is kept for further use is there by now
	s.client.CloseIdleConnections()
	before := s.settled(t, measures{goroutines: 1 << 20, files: 1 << 20})
	s.run(t, bundle, duration(t))
	s.client.CloseIdleConnections()
	after := s.settled(t, before)
	t.Logf("%d calls: goroutines %v to %v, files %v to %v, resident memory %v MiB",
		s.calls.Load(), before.goroutines, after.goroutines, before.files, after.files, after.memory>>20)
	if after.memory > 64<<20+4*workers*4<<20 {
		t.Errorf("resident memory is %d MiB", after.memory>>20)
	}
}

// A soak counts the calls that went as they should.
type soak struct {
	gw     *harness.Gateway
	client *http.Client
	calls  atomic.Int64
}

// run calls and reloads for a time.
func (s *soak) run(t *testing.T, bundle string, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var group sync.WaitGroup
	for n := range workers {
		group.Go(func() {
			for i := n; ctx.Err() == nil; i++ {
				if err := s.call(kinds[i%len(kinds)]); err != nil {
					t.Error(err)
					return
				}
				s.calls.Add(1)
			}
		})
	}
	for n := 1; ctx.Err() == nil; n++ {
		writeBundle(t, bundle, n)
		if err := s.gw.Signal(syscall.SIGHUP); err != nil {
			t.Error(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond): // a pace, not a wait for anything
		}
	}
	group.Wait()
}

// A kind of call, and the status that it gets. One that is aborted is left
// after its first event.
type kind struct {
	method, body string
	status       int
	abort        bool
}

var kinds = []kind{
	{"POST", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"alert.read","arguments":{}}}`, 200, false},
	{"POST", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"database.backup","arguments":{}}}`, 403, false},
	{"POST", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"endless"}}}`, 200, true},
	{"POST", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"echo"}}`, 400, false},
	{"POST", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, 502, false}, // the server answers it with a stream
	{"GET", "", 200, true},
}

func (s *soak) call(k kind) error {
	ctx, leave := context.WithTimeout(context.Background(), time.Minute)
	defer leave()
	r, err := http.NewRequestWithContext(ctx, k.method, s.gw.URL, strings.NewReader(k.body))
	if err != nil {
		return err
	}
	if k.body == "" {
		r.Body = nil
		r.ContentLength = 0
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != k.status && k.status != 502 {
		return fmt.Errorf("%s %s: %s", k.method, k.body, resp.Status)
	}
	if k.abort {
		_, err := bufio.NewReader(resp.Body).ReadString('\n')
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// measures are what must not grow.
type measures struct{ goroutines, files, memory int64 }

// settled waits until what the calls have opened is closed again: until the
// gateway has no more goroutines and files than given, but for a few that come
// and go. It fails the test if that does not come about.
func (s *soak) settled(t *testing.T, limit measures) (m measures) {
	t.Helper()
	s.gw.Await(t, "goroutines and files to be given back", func() bool {
		now, err := s.measure()
		if err != nil {
			t.Fatal(err)
		}
		calm := now.goroutines == m.goroutines && now.files == m.files
		m = now
		return calm && now.goroutines <= limit.goroutines+10 && now.files <= limit.files+5
	})
	return m
}

func (s *soak) measure() (m measures, err error) {
	resp, err := http.Get(s.gw.Admin + "/metrics")
	if err != nil {
		return m, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return m, err
	}
	for name, into := range map[string]*int64{
		"go_goroutines": &m.goroutines, "process_open_fds": &m.files, "process_resident_memory_bytes": &m.memory,
	} {
		_, value, _ := strings.Cut(string(text), "\n"+name+" ")
		value, _, _ = strings.Cut(value, "\n")
		number, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return m, fmt.Errorf("%s: %w", name, err)
		}
		*into = int64(number)
	}
	return m, nil
}

// writeBundle writes the starter policies with a rule that tells them apart.
func writeBundle(t *testing.T, path string, n int) {
	t.Helper()
	folder := t.TempDir()
	err := os.CopyFS(folder, policies.FS())
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "number.rego"), fmt.Appendf(nil, "package mcp\n\nnumber := %d\n", n), 0o600)
	}
	var bundle []byte
	if err == nil {
		bundle, err = policy.Build(folder, "")
	}
	if err == nil {
		err = os.WriteFile(path+".new", bundle, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		t.Fatal(err)
	}
}
