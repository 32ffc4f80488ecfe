package trace

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// Headers of W3C Trace Context; the members of _meta are called the same.
const (
	headerParent = "Traceparent"
	headerState  = "Tracestate"
)

// maxState bounds a tracestate. Those that have to be passed on are of 512 bytes.
const maxState = 4096

var propagator propagation.TraceContext

// fromHeader is the trace that a request is part of, by its headers. It is not
// valid if there is none, or if what they say is not of W3C's form.
func fromHeader(h http.Header) trace.SpanContext {
	parents := h[headerParent]
	if len(parents) != 1 {
		return trace.SpanContext{}
	}
	return parse(parents[0], strings.Join(h[headerState], ","))
}

// fromMeta is the same by a message's own word.
func fromMeta(meta mcp.Value) trace.SpanContext {
	parent := meta.Get("traceparent")
	if !parent.IsString() {
		return trace.SpanContext{}
	}
	return parse(parent.String(), meta.Get("tracestate").String())
}

func parse(parent, state string) trace.SpanContext {
	carrier := propagation.MapCarrier{"traceparent": parent}
	if len(state) <= maxState {
		carrier["tracestate"] = state
	}
	return trace.SpanContextFromContext(propagator.Extract(context.Background(), carrier))
}

// inject makes headers say where the trace goes on. A state of a trace that could
// not be read is not of this one.
func inject(ctx context.Context, h http.Header) {
	h.Del(headerState)
	propagator.Inject(ctx, propagation.HeaderCarrier(h))
}
