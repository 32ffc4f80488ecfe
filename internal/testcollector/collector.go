// Package testcollector is a collector of OpenTelemetry, for tests: it takes spans
// by OTLP over HTTP, and shows them.
package testcollector

import (
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A Span is one that was taken. Ids are in hex.
type Span struct {
	Name, TraceID, ID, Parent string
	Kind                      string // SERVER, CLIENT or INTERNAL
	Error                     bool
	Message                   string // of the error
	Links                     []string
	Attributes                map[string]string
	Resource                  map[string]string
	Start                     time.Time
	Time                      time.Duration
}

// A Collector takes spans. The zero Collector is ready.
type Collector struct {
	URL string // a base, for OTEL_EXPORTER_OTLP_ENDPOINT

	mu      sync.Mutex
	spans   []Span
	posts   []*http.Request
	answers []int
}

// New starts a collector that ends with the test.
func New(t testing.TB) *Collector {
	c := &Collector{}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

// Answer has the next posts answered by these statuses; those that are not 200 are
// not taken.
func (c *Collector) Answer(statuses ...int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers = statuses
}

// ServeHTTP implements http.Handler.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if body, err = gzip.NewReader(r.Body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
	}
	raw, err := io.ReadAll(body)
	var data tracepb.TracesData
	if err != nil || proto.Unmarshal(raw, &data) != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.posts = append(c.posts, r)
	status := http.StatusOK
	if len(c.answers) > 0 {
		status, c.answers = c.answers[0], c.answers[1:]
	}
	if status == http.StatusOK {
		c.take(&data)
	}
	w.WriteHeader(status)
}

func (c *Collector) take(data *tracepb.TracesData) {
	for _, r := range data.ResourceSpans {
		for _, scope := range r.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, span(s, r.Resource.GetAttributes()))
			}
		}
	}
}

func span(s *tracepb.Span, resource []*commonpb.KeyValue) Span {
	taken := Span{
		Name: s.Name, TraceID: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId),
		Kind: s.Kind.String()[len("SPAN_KIND_"):], Error: s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR, Message: s.Status.GetMessage(),
		Attributes: texts(s.Attributes), Resource: texts(resource), Start: time.Unix(0, int64(s.StartTimeUnixNano)), Time: time.Duration(s.EndTimeUnixNano - s.StartTimeUnixNano),
	}
	for _, l := range s.Links {
		taken.Links = append(taken.Links, hex.EncodeToString(l.SpanId))
	}
	return taken
}

func texts(all []*commonpb.KeyValue) map[string]string {
	m := map[string]string{}
	for _, kv := range all {
		m[kv.Key] = kv.Value.GetStringValue()
	}
	return m
}

// Posts are the heads of all requests so far.
func (c *Collector) Posts() []*http.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.posts)
}

// Spans are those taken so far.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// Find is the only span taken so far of that kind and name.
func (c *Collector) Find(t testing.TB, kind, name string) Span {
	t.Helper()
	var found []Span
	for _, s := range c.Spans() {
		if s.Kind == kind && s.Name == name {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d spans %s %q among %+v", len(found), kind, name, c.Spans())
	}
	return found[0]
}
