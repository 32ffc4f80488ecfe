package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"

	"github.com/gatehouse-mcp/gatehouse/internal/trace"
	"github.com/gatehouse-mcp/gatehouse/internal/upstream"
)

// newTracer returns what sends spans to the collector that the environment names,
// or nil if it names none.
func newTracer(log *slog.Logger) (*trace.Tracer, error) {
	c, err := trace.FromEnv(os.LookupEnv)
	if c == nil || err != nil {
		return nil, err
	}
	transport := http.RoundTripper(upstream.NewTransport(c.Timeout))
	if files := (upstream.TLSFiles{CA: c.CA, Certificate: c.Certificate, Key: c.Key}); files != (upstream.TLSFiles{}) {
		if transport, err = upstream.NewTLSTransport(c.Timeout, files, log); err != nil {
			return nil, fmt.Errorf("open OTEL_EXPORTER_OTLP_CERTIFICATE and its like: %w", err)
		}
	}
	t, err := trace.New(c, upstream.NewClient(transport), version, log)
	if u, bad := url.Parse(c.Endpoint); err == nil && bad == nil {
		log.Info("tracing", "collector", u.Host)
	}
	return t, err
}
