package trace

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A Span is that of one message of a client's, with those within it. It is used by
// one goroutine. All methods may be called on nil, which is the span of a message
// that is not traced.
type Span struct {
	tracer    trace.Tracer
	began     time.Time
	server    trace.Span // what the client asked of the gateway; nil before Begin
	client    trace.Span // what the gateway asked of the server; nil before Sending, and after its end
	ctx       context.Context
	meta      trace.SpanContext // what _meta says of the client's span
	named     []attribute.KeyValue
	name      string
	decisions int
}

// Start is when the time of a message begins.
func (t *Tracer) Start() *Span {
	if t == nil {
		return nil
	}
	return &Span{tracer: t.tracer, began: time.Now()}
}

// A Message is what is told of one. Its names come from closed sets, but for those
// that say otherwise.
type Message struct {
	Verb      string
	Method    string    // of a message, or of what it answers; empty: there is none
	Server    string    // empty: an unknown one
	Tool      string    // as the client said it
	Known     bool      // the server has such a tool
	Prompt    string    // as the client said it
	Resource  string    // a URI, as the client said it
	ID        mcp.Value // of a request
	Version   string    // as the client said it
	Transport string    // pipe or tcp
	Client    string    // its address; may be empty
}

// Begin begins the span of the message. The client's is its parent: that which
// _meta tells, or else that of the headers, which is linked to if there are both.
func (s *Span) Begin(m *Message, h http.Header, meta mcp.Value) {
	if s == nil {
		return
	}
	carried := fromHeader(h)
	s.meta = fromMeta(meta)
	parent := carried
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(s.began)}
	if s.meta.IsValid() {
		parent = s.meta
		if carried.IsValid() && !carried.Equal(s.meta) {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: carried}))
		}
	}
	s.name = m.Method
	switch {
	case m.Method == "":
		s.name = m.Verb
	case m.Known:
		s.name += " " + bounded(m.Tool)
	}
	ctx := trace.ContextWithRemoteSpanContext(context.Background(), parent)
	s.ctx, s.server = s.tracer.Start(ctx, s.name, options...)
	if !s.server.IsRecording() {
		return
	}
	s.named = m.attributes()
	s.server.SetAttributes(s.named...)
	s.server.SetAttributes(attribute.String("network.transport", m.Transport))
	if m.Client != "" {
		s.server.SetAttributes(attribute.String("client.address", m.Client))
	}
}

// attributes are those of the message by the semantic conventions of MCP. There
// is no mcp.session.id: whoever knows one could use it.
func (m *Message) attributes() []attribute.KeyValue {
	all := make([]attribute.KeyValue, 0, 8)
	add := func(key, value string) {
		if value != "" {
			all = append(all, attribute.String(key, bounded(value)))
		}
	}
	add("mcp.method.name", m.Method)
	add("gatehouse.server", m.Server)
	if m.Tool != "" {
		add("gen_ai.operation.name", "execute_tool")
	}
	add("gen_ai.tool.name", m.Tool)
	add("gen_ai.prompt.name", m.Prompt)
	add("mcp.resource.uri", audit.MaskURI(m.Resource))
	if m.ID.IsString() {
		add("jsonrpc.request.id", m.ID.String())
	} else if m.ID.Exists() {
		add("jsonrpc.request.id", m.ID.Text())
	}
	add("mcp.protocol.version", revision(m.Version))
	return all
}

// revision is a protocol revision, and not whatever a client may call one.
func revision(v string) string {
	if v == "" || slices.Contains(mcp.Versions, v) {
		return v
	}
	return "other"
}

// maxValue bounds what spans quote, in bytes.
const maxValue = 128

// bounded is a text of bounded length.
func bounded(text string) string {
	if len(text) > maxValue {
		text = text[:maxValue]
	}
	return strings.ToValidUTF8(text, "")
}

// TraceID is the trace that the message is part of, or empty.
func (s *Span) TraceID() string {
	if s == nil || s.server == nil {
		return ""
	}
	return s.server.SpanContext().TraceID().String()
}

// maxDecisions bounds the decisions of one message that have spans. The items of a
// list and the messages of a stream may be many more.
const maxDecisions = 64

// Decided tells of a decision, at its end. kind is that of the record, of a closed set.
func (s *Span) Decided(r *audit.Record, kind string) {
	if s == nil || s.server == nil || !s.server.IsRecording() || s.decisions == maxDecisions {
		return
	}
	s.decisions++
	now := time.Now()
	_, span := s.tracer.Start(s.ctx, "decide "+string(r.Input.Phase), trace.WithTimestamp(now.Add(-r.Eval)))
	span.SetAttributes(
		attribute.String("gatehouse.decision.id", r.DecisionID),
		attribute.String("gatehouse.decision.phase", string(r.Input.Phase)),
		attribute.String("gatehouse.decision.kind", kind),
		attribute.String("gatehouse.decision.outcome", string(r.Outcome)),
		attribute.String("gatehouse.policy.mode", r.Mode),
	)
	if r.Revision != "" {
		span.SetAttributes(attribute.String("gatehouse.policy.revision", bounded(r.Revision)))
	}
	if r.Outcome == audit.Error {
		fail(span, "policy_error", "")
	}
	span.End(trace.WithTimestamp(now))
}

// Sending begins the exchange with the server. It makes the headers and the text
// that go there say so, the text only where the client's said the like of its own.
func (s *Span) Sending(h http.Header, m *mcp.Message) (text string) {
	if s == nil || s.server == nil {
		return m.Text
	}
	ctx, span := s.tracer.Start(s.ctx, s.name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(s.named...))
	s.client = span
	inject(ctx, h)
	said := m.Params.Get("_meta").Get("traceparent")
	if !s.meta.IsValid() || !fromMeta(m.Params.Get("_meta")).Equal(s.meta) {
		return m.Text
	}
	return said.Replace(string(mcp.AppendString(nil, h.Get(headerParent))))
}

// Received tells of the server's response, which ends the exchange with it.
func (s *Span) Received(m *mcp.Message) {
	if s != nil && s.client != nil {
		answered(s.client, m)
		s.ended()
	}
}

// Answered tells of the response that the client is given.
func (s *Span) Answered(m *mcp.Message) {
	if s != nil && s.server != nil {
		answered(s.server, m)
	}
}

// answered tells of the errors in a response: their codes, and nothing of their texts.
func answered(span trace.Span, m *mcp.Message) {
	switch {
	case m.Error.Exists():
		code := "_OTHER"
		if n, err := strconv.ParseInt(m.Error.Get("code").Text(), 10, 32); err == nil {
			code = strconv.FormatInt(n, 10)
		}
		span.SetAttributes(attribute.String("rpc.response.status_code", code))
		fail(span, code, "")
	case m.Result.Get("isError").Text() == "true":
		fail(span, "tool_error", "")
	}
}

// Refused tells of the gateway's own answer, which ends the span. If the server was
// still to answer, it had none.
func (s *Span) Refused(bad *mcp.Error) {
	if s == nil || s.server == nil {
		return
	}
	code := strconv.Itoa(bad.Code)
	if s.client != nil {
		fail(s.client, code, bad.Message)
		s.ended()
	}
	s.server.SetAttributes(attribute.String("rpc.response.status_code", code))
	fail(s.server, code, bad.Message)
	s.server.End()
}

func fail(span trace.Span, kind, message string) {
	span.SetAttributes(attribute.String("error.type", kind))
	span.SetStatus(codes.Error, message)
}

func (s *Span) ended() {
	s.client.End()
	s.client = nil
}

// End ends the span, and all within it. More than once is fine.
func (s *Span) End() {
	if s == nil || s.server == nil {
		return
	}
	if s.client != nil {
		s.ended()
	}
	s.server.End()
}
