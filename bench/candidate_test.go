package bench

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
	"github.com/gatehouse-mcp/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// An echo is a server that answers at once.
type echo struct{}

func (echo) Send(context.Context, *mcp.Outgoing) (*mcp.Answer, *mcp.Error) {
	return &mcp.Answer{Status: http.StatusOK, Text: `{"jsonrpc":"2.0","id":42,"result":{"content":[{"type":"text","text":"done"}]}}`}, nil
}

type nobody struct{}

func (nobody) Answer(*mcp.Answer) error           { return nil }
func (nobody) Event(*mcp.Answer, mcp.Event) error { return nil }

// path returns a gateway with the starter policies.
func path(b *testing.B, engine *policy.Engine, candidate *gateway.Candidate) *gateway.Gateway {
	b.Helper()
	return &gateway.Gateway{
		Upstreams: map[string]gateway.Upstream{"s": echo{}}, Policy: engine, Configured: true, Mode: gateway.Enforce,
		Audit: audit.NewLog(io.Discard, true), Log: slog.New(slog.DiscardHandler),
		Metrics: gateway.NewMetrics(prometheus.NewRegistry()), Handles: gateway.NewHandles(), Candidate: candidate,
	}
}

// BenchmarkCandidate sends each call by a gateway without a candidate and by one
// with, in turns, so that both have the same neighbours. A run is both; what is
// reported is each one's time on the path. Paced, the candidate keeps up, and
// without a pause it has to drop most of what it is offered.
func BenchmarkCandidate(b *testing.B) {
	for name, pause := range map[string]time.Duration{"paced": 2 * time.Millisecond, "flood": 0} {
		b.Run(name, func(b *testing.B) { paired(b, pause) })
	}
}

func paired(b *testing.B, pause time.Duration) {
	b.Helper()
	live, next := starterEngine(b), starterEngine(b)
	candidate := gateway.NewCandidate(next, prometheus.NewRegistry())
	gateways := []*gateway.Gateway{path(b, live, nil), path(b, live, candidate)}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		candidate.Run(ctx, gateways[1])
	}()
	x := gateway.Exchange{
		Server: "s", Caller: &identity.Caller{ID: "alice@org", Roles: []string{"staff", role}, Auth: "api_key"}, RequestIP: "192.0.2.7",
		Transport: "http", Verb: http.MethodPost, Header: headers(),
		Text: `{"jsonrpc":"2.0","id":42,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
			`"io.modelcontextprotocol/clientCapabilities":{}},"name":"temp.convert","arguments":{"temp":21.5,"from":"C"}}}`,
	}
	tick := time.NewTicker(max(pause, 1))
	defer tick.Stop()
	times := []*samples{newSamples(), newSamples()}
	for n := 0; b.Loop(); n++ {
		for i := range gateways {
			at := (i + n) % len(gateways)
			if pause > 0 {
				<-tick.C
			}
			exchange := x
			start := time.Now()
			gateways[at].Serve(ctx, &exchange, nobody{})
			times[at].since(start)
		}
	}
	report := candidate.Report(live)
	cancel()
	<-done
	if report.Judged == 0 {
		b.Error("the candidate judged nothing")
	}
	for i, name := range []string{"without", "with"} {
		for _, p := range []struct {
			per1000 int
			unit    string
		}{{500, "p50"}, {990, "p99"}} {
			b.ReportMetric(times[i].at(p.per1000), name+"-"+p.unit+"-µs")
		}
	}
	b.ReportMetric(100*float64(report.Dropped)/float64(report.Dropped+int64(report.Judged)), "dropped-%")
}
