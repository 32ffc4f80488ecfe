// Package trace tells an OpenTelemetry collector what became of messages: a span
// for each, and within it one for each decision and for the exchange with the
// server. Spans tell no more than decision records do, and less than that of what
// clients and servers say.
package trace

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// A Tracer begins spans and sends them off. Many goroutines may use it. A nil
// Tracer begins none.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	sender   *sender
	end      context.CancelFunc
}

// New returns a Tracer that sends spans by the client, in the background: no span
// is waited for, and what the queue has no room for is lost. Failures are logged
// once a minute at most.
func New(c *Config, client *http.Client, version string, log *slog.Logger) (*Tracer, error) {
	about, err := resource.New(context.Background(),
		resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "gatehouse"), attribute.String("service.version", version)),
		resource.WithFromEnv(),
	)
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	t := &Tracer{sender: &sender{c: c, client: client, agent: "gatehouse/" + version, closing: make(chan struct{})}}
	t.sender.life, t.end = context.WithCancel(context.Background())
	exporter, err := otlptrace.New(context.Background(), t.sender)
	if err != nil {
		return nil, err
	}
	otel.SetErrorHandler(&failures{log: log}) // of the SDK, which has but one
	t.provider = sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithBatcher(exporter))
	t.tracer = t.provider.Tracer("github.com/gatehouse-mcp/gatehouse", trace.WithInstrumentationVersion(version))
	return t, nil
}

// flushTime is how long the last spans may take to be sent when the process ends.
const flushTime = 3 * time.Second

// Close sends what waits to be sent, if there is somebody to take it.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	close(t.sender.closing)
	ctx, cancel := context.WithTimeout(context.Background(), flushTime)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // what failed is logged
	t.end()
}

// failures are logged, and not one for each batch of spans.
type failures struct {
	log  *slog.Logger
	mu   sync.Mutex
	last time.Time
	more int // since then
}

// quiet is how long after a failure that was logged others are only counted.
const quiet = time.Minute

// Handle implements otel.ErrorHandler.
func (f *failures) Handle(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if !f.last.IsZero() && now.Sub(f.last) < quiet {
		f.more++
		return
	}
	f.log.Warn("tracing failed", "error", err.Error(), "before", f.more)
	f.last, f.more = now, 0
}
