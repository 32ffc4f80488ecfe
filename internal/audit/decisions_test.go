package audit

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/plugins/logs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A service takes decision logs as OPA uploads them.
type service struct {
	*httptest.Server
	mu     sync.Mutex
	events []json.RawMessage
	posts  []int
	answer func(n int) int // the status of the nth post, from 0
}

func newService(t testing.TB, answer func(n int) int) *service {
	t.Helper()
	s := &service{answer: answer}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := s.answer(len(s.posts))
	z, err := gzip.NewReader(r.Body)
	if err != nil || r.URL.Path != "/v1/logs" || r.Method != http.MethodPost || r.Header.Get("Content-Encoding") != "gzip" || r.Header.Get("Content-Type") != "application/json" {
		status = http.StatusTeapot
	} else if status == http.StatusOK {
		text, err := io.ReadAll(z)
		var events []json.RawMessage
		if err != nil || json.Unmarshal(text, &events) != nil {
			status = http.StatusTeapot
		}
		s.events = append(s.events, events...)
	}
	s.posts = append(s.posts, status)
	w.WriteHeader(status)
}

// start starts decision logs to the service; change may be nil.
func (s *service) start(t testing.TB, change func(*DecisionConfig)) *DecisionLogs {
	t.Helper()
	u, err := url.Parse(s.URL + "/v1?key=canary")
	if err != nil {
		t.Fatal(err)
	}
	open := logPolicy(t, "")
	c := DecisionConfig{
		URL: u, Client: s.Client(), Buffer: 8 << 20, Min: time.Millisecond, Max: 2 * time.Millisecond, Path: "mcp/decision",
		Labels: map[string]string{"app": "gatehouse"}, Policy: func() *policy.Snapshot { return open },
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	}
	if change != nil {
		change(&c)
	}
	return StartDecisionLogs(c)
}

func ok(int) int { return http.StatusOK }

// numbered writes n records with ids D0, D1 … to a log with decision logs.
func numbered(t testing.TB, d *DecisionLogs, n int) {
	t.Helper()
	l, r := NewLog(io.Discard, true), full(t)
	l.Tap(d.Offer)
	for i := range n {
		r.DecisionID = fmt.Sprintf("D%d", i)
		if err := l.Write(r); err != nil {
			t.Error(err)
		}
	}
}

func (s *service) ids(t testing.TB) string {
	t.Helper()
	var ids []string
	for _, event := range s.events {
		var e logs.EventV1
		if err := json.Unmarshal(event, &e); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.DecisionID)
	}
	return strings.Join(ids, " ")
}

func want(t testing.TB, name string, c prometheus.Counter, n float64) {
	t.Helper()
	if got := testutil.ToFloat64(c); got != n {
		t.Errorf("%s: %v, want %v", name, got, n)
	}
}

func TestEventIsAsOPAWritesIt(t *testing.T) {
	s, said := newService(t, ok), bytes.Buffer{}
	d := s.start(t, func(c *DecisionConfig) {
		c.Log = slog.New(slog.NewTextHandler(&said, nil))
		rules := logPolicy(t, "import rego.v1\n\nmask contains \"/input/user/roles\"\n\ndrop if input.decision_id == \"dropped\"")
		c.Policy = func() *policy.Snapshot { return rules }
	})
	l, r := NewLog(io.Discard, true), full(t)
	l.Tap(d.Offer)
	dropped, rejected, failed, tried := *r, *r, *r, *r
	dropped.DecisionID, rejected.Outcome = "dropped", Reject
	failed.Outcome, failed.Reason, failed.Message = Error, "policy_error", "policy error: eval_conflict_error at p.rego:1"
	tried.Outcome, tried.Candidate = "", &Candidate{Change: "newly_denied", Outcome: Deny}
	for _, r := range []*Record{r, &dropped, &rejected, &failed, &tried} {
		if err := l.Write(r); err != nil {
			t.Error(err)
		}
	}
	d.Close()
	if len(s.events) != 2 {
		t.Fatalf("%d events", len(s.events))
	}
	dec := json.NewDecoder(bytes.NewReader(s.events[0]))
	dec.DisallowUnknownFields()
	dec.UseNumber()
	var e logs.EventV1
	if err := dec.Decode(&e); err != nil {
		t.Fatal(err)
	}
	if e.DecisionID != "D1" || e.Path != "mcp/decision" || e.RequestedBy != "192.0.2.1" || !e.Timestamp.Equal(r.Time) ||
		e.Bundles["policy"].Revision != "one" || e.Labels["app"] != "gatehouse" || fmt.Sprint(e.Erased) != "[/input/user/roles]" ||
		e.Metrics["timer_rego_query_eval_ns"] != json.Number("1500") {
		t.Errorf("%s", s.events[0])
	}
	if got := shown(t, e.Result); got != `{"allow":false,"code":"policy_deny","reason":"role_mismatch"}` {
		t.Error(got)
	}
	input := shown(t, e.Input)
	if !strings.Contains(input, `"big"`) && !strings.Contains(input, "9007199254740993") || strings.Contains(input, "canary") ||
		strings.Contains(input, "hunter2") || !strings.Contains(input, `"user":{"auth":"jwt","claims":"***","id":"alice"}`) {
		t.Error(input)
	}
	if got := string(s.events[1]); !strings.Contains(got, `"error":{"code":"policy_error","message":"policy error: eval_conflict_error at p.rego:1"}`) || strings.Contains(got, `"result"`) {
		t.Error(got)
	}
	want(t, "uploaded", d.uploaded, 2)
	want(t, "dropped", d.dropped, 0)
	if said.Len() > 0 { // what a candidate would decide is no decision
		t.Error(said.String())
	}
}

func TestEventWithoutInput(t *testing.T) {
	s := newService(t, ok)
	d := s.start(t, nil)
	l := NewLog(io.Discard, false)
	l.Tap(d.Offer)
	if err := l.Write(full(t)); err != nil {
		t.Error(err)
	}
	d.Close()
	if len(s.events) != 1 || !strings.Contains(string(s.events[0]), `"tool":{"name":"n"},"user":{"id":"alice"}`) {
		t.Errorf("%s", s.events)
	}
}

// TestEventWithoutBundle has no bundle that could say what to mask.
func TestEventWithoutBundle(t *testing.T) {
	s := newService(t, ok)
	d := s.start(t, func(c *DecisionConfig) { c.Policy = func() *policy.Snapshot { return nil } })
	numbered(t, d, 1)
	d.Close()
	if len(s.events) != 1 || !strings.Contains(string(s.events[0]), `"erased":["/input","/result"]`) || strings.Contains(string(s.events[0]), "alice") {
		t.Errorf("%s", s.events)
	}
	want(t, "not masked", d.unmasked, 1)
}

func TestUploadSurvivesFailures(t *testing.T) {
	s := newService(t, func(n int) int {
		return []int{http.StatusInternalServerError, http.StatusTooManyRequests, http.StatusUnauthorized, http.StatusOK}[min(n, 3)]
	})
	d := s.start(t, nil)
	numbered(t, d, 5)
	d.Close()
	if got := s.ids(t); got != "D0 D1 D2 D3 D4" {
		t.Error(got)
	}
	want(t, "failed", d.failed, 3)
	want(t, "uploaded", d.uploaded, 5)
	want(t, "dropped", d.dropped, 0)
	if n := d.waiting.Load(); n != 0 {
		t.Errorf("%d bytes still wait", n)
	}
}

// TestManyChunks uploads more than one chunk, in order.
func TestManyChunks(t *testing.T) {
	s := newService(t, ok)
	d := s.start(t, func(c *DecisionConfig) { c.Min, c.Max = time.Hour, time.Hour }) // only chunks, and the end
	numbered(t, d, 1000)
	d.Close()
	if n := strings.Count(s.ids(t), " ") + 1; n != 1000 || len(s.posts) < 3 || !strings.HasSuffix(s.ids(t), " D998 D999") {
		t.Errorf("%d events in %d posts", n, len(s.posts))
	}
}

func TestRefusedChunkIsDropped(t *testing.T) {
	s := newService(t, func(n int) int { return []int{http.StatusRequestEntityTooLarge, http.StatusOK}[min(n, 1)] })
	d := s.start(t, func(c *DecisionConfig) { c.Min, c.Max = time.Hour, time.Hour })
	numbered(t, d, 400)
	d.Close()
	uploaded := testutil.ToFloat64(d.uploaded)
	if uploaded == 0 || uploaded+testutil.ToFloat64(d.dropped) != 400 {
		t.Errorf("%v uploaded", uploaded)
	}
}

// TestFullBuffer has a service that does not answer: writers do not wait, and
// what is dropped is counted.
func TestFullBuffer(t *testing.T) {
	release := make(chan struct{})
	s := newService(t, func(int) int { <-release; return http.StatusOK })
	d := s.start(t, func(c *DecisionConfig) { c.Buffer = 64 << 10 })
	numbered(t, d, 5000)
	if n := d.waiting.Load(); n > 70<<10 {
		t.Errorf("%d bytes wait", n)
	}
	dropped := testutil.ToFloat64(d.dropped)
	close(release)
	d.Close()
	if dropped < 4000 || float64(len(s.events))+dropped != 5000 {
		t.Errorf("%v dropped, %d uploaded", dropped, len(s.events))
	}
}

// TestCloseGivesUp ends while the service is down, and counts what is lost.
func TestCloseGivesUp(t *testing.T) {
	var log bytes.Buffer
	s := newService(t, func(int) int { return http.StatusServiceUnavailable })
	d := s.start(t, func(c *DecisionConfig) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	numbered(t, d, 3)
	s.CloseClientConnections()
	d.Close()
	want(t, "dropped", d.dropped, 3)
	if strings.Contains(log.String(), "canary") || !strings.Contains(log.String(), "decision logs dropped") {
		t.Error(log.String())
	}
}

func TestConsole(t *testing.T) {
	var log bytes.Buffer
	s := newService(t, ok)
	d := s.start(t, func(c *DecisionConfig) {
		c.URL, c.Console, c.Log = nil, true, slog.New(slog.NewJSONHandler(&log, nil))
	})
	l, r := NewLog(io.Discard, true), full(t)
	r.Reason = "a\u202eb\u009b"
	l.Tap(d.Offer)
	if err := l.Write(r); err != nil {
		t.Error(err)
	}
	d.Close()
	got := log.String()
	if strings.Count(got, "\n") != 1 || !strings.Contains(got, `"msg":"Decision Log","type":"openpolicyagent.org/decision_logs"`) ||
		!strings.Contains(got, `"decision_id":"D1"`) || !strings.Contains(got, `a\u202eb\u009b`) || len(s.posts) > 0 {
		t.Error(got)
	}
	if n := d.waiting.Load(); n != 0 {
		t.Errorf("%d bytes still wait", n)
	}
}

// BenchmarkOffer is what decision logs add to the path of a record, and
// BenchmarkEvent what they do beside it.
func BenchmarkOffer(b *testing.B) {
	record := append(full(b).append(nil, true), '}')
	d := &DecisionLogs{cfg: DecisionConfig{Buffer: 1 << 20}, queue: make(chan []byte, 1)}
	b.ReportAllocs()
	for b.Loop() {
		d.Offer(record)
		d.waiting.Add(-int64(len(<-d.queue)))
	}
}

func BenchmarkEvent(b *testing.B) {
	record := append(full(b).append(nil, true), '}')
	for name, rules := range map[string]string{"unmasked": "", "masked": `mask contains "/input/user"`} {
		b.Run(name, func(b *testing.B) {
			s := logPolicy(b, rules)
			d := &DecisionLogs{cfg: DecisionConfig{Policy: func() *policy.Snapshot { return s }}}
			b.ReportAllocs()
			for b.Loop() {
				if d.event(record) == nil {
					b.Fatal("no event")
				}
			}
		})
	}
}
