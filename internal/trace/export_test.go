package trace

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/testcollector"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open returns a tracer with a connection pool of its own, and its log.
func open(t *testing.T, c *Config) (*Tracer, *lockedBuffer) {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	log := &lockedBuffer{}
	c.Timeout = 30 * time.Second
	tracer, err := New(c, &http.Client{Transport: transport}, "v1", slog.New(slog.NewJSONHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return tracer, log
}

// message makes the span of one message.
func message(tracer *Tracer) *Span {
	s := tracer.Start()
	s.Begin(&Message{Method: "ping"}, http.Header{}, mcp.Value{})
	s.End()
	return s
}

func TestExport(t *testing.T) {
	t.Setenv("OTEL_SERVICE_NAME", "mine")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	c := testcollector.New(t)
	tracer, log := open(t, &Config{Endpoint: c.URL + "/v1/traces", Header: http.Header{"Authorization": {"Bearer x"}}, Gzip: true})
	id := message(tracer).TraceID()
	tracer.Close()
	s := c.Find(t, "SERVER", "ping")
	if s.TraceID != id || s.Resource["service.name"] != "mine" || s.Resource["service.version"] != "v1" || s.Resource["deployment.environment.name"] != "test" {
		t.Errorf("%+v", s)
	}
	head := c.Posts()[0].Header
	if head.Get("Authorization") != "Bearer x" || head.Get("User-Agent") != "gatehouse/v1" || head.Get("Content-Encoding") != "gzip" {
		t.Errorf("head %v", head)
	}
	if log.String() != "" {
		t.Error(log)
	}
}

// TestRatio: a trace that begins here is sampled by the ratio.
func TestRatio(t *testing.T) {
	t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
	t.Setenv("OTEL_TRACES_SAMPLER_ARG", "0.25")
	c := testcollector.New(t)
	tracer, _ := open(t, &Config{Endpoint: c.URL + "/v1/traces"})
	for range 1000 {
		message(tracer)
	}
	tracer.Close()
	if n := len(c.Spans()); n < 150 || n > 350 {
		t.Errorf("%d of 1000 are sampled", n)
	}
}

// TestRetry: what the collector has no time for is sent again; what it refuses is not.
func TestRetry(t *testing.T) {
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
	c := testcollector.New(t)
	c.Answer(http.StatusServiceUnavailable, http.StatusOK, http.StatusBadRequest)
	tracer, log := open(t, &Config{Endpoint: c.URL + "/v1/traces"})
	defer tracer.Close()
	message(tracer)
	await(t, func() bool { return len(c.Spans()) == 1 })
	message(tracer)
	await(t, func() bool { return strings.Contains(log.String(), "the collector answered 400") })
	if len(c.Posts()) != 3 {
		t.Errorf("%d posts", len(c.Posts()))
	}
}

// TestNobodyListens: a collector that is not there, or never answers, is waited for by
// nobody, and the end of the process for a bounded time.
func TestNobodyListens(t *testing.T) {
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and no more
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	for _, at := range []net.Listener{silent, gone} {
		tracer, log := open(t, &Config{Endpoint: "http://secret@" + at.Addr().String() + "/v1/traces"})
		for range 100 {
			message(tracer) // 92 of them find no room
		}
		tracer.Close()
		await(t, func() bool { return strings.Contains(log.String(), "tracing failed") })
		if strings.Contains(log.String(), "secret") {
			t.Error(log)
		}
	}
}

func TestFailuresAreLoggedRarely(t *testing.T) {
	log := &lockedBuffer{}
	f := &failures{log: slog.New(slog.NewJSONHandler(log, nil))}
	for range 100 {
		f.Handle(errors.New("no"))
	}
	f.last = f.last.Add(-quiet)
	f.Handle(errors.New("still no"))
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	var last struct {
		Msg, Error string
		Before     int
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || len(lines) != 2 || last.Error != "still no" || last.Before != 99 {
		t.Errorf("%v %v %+v", err, lines, last)
	}
}

func TestBadResource(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "no pair")
	if _, err := New(&Config{}, http.DefaultClient, "v1", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "OTEL_RESOURCE_ATTRIBUTES") {
		t.Error(err)
	}
}

// await polls until it is so.
func await(t *testing.T, so func() bool) {
	t.Helper()
	look, deadline := time.NewTicker(5*time.Millisecond), time.After(30*time.Second)
	defer look.Stop()
	for !so() {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatal("never came")
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
