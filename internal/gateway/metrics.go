package gateway

import (
	"errors"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// Metrics are what the gateway counts. Label values come from closed sets,
// whatever names clients send.
type Metrics struct {
	eval     *prometheus.HistogramVec
	messages *prometheus.CounterVec
	lost     prometheus.Counter
	bundles  *prometheus.CounterVec
	callers  *prometheus.CounterVec
	failures *prometheus.CounterVec
}

// NewMetrics registers the gateway's metrics.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		eval: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "policy_eval_ms",
			Help:    "Time of a policy decision in milliseconds.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2, 5, 10, 25, 50},
		}, []string{"phase", "kind"}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_decisions_total",
			Help: "Decisions and rejected messages by phase and outcome.",
		}, []string{"phase", "outcome"}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gatehouse_audit_lost_total",
			Help: "Audit records that could not be written.",
		}),
		bundles: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gatehouse_bundle_loads_total",
			Help: "Bundles activated or refused.",
		}, []string{"result"}),
	}
	m.callers = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gatehouse_callers_total",
		Help: "Requests by how their caller was proved (auth), and those of nobody, by why.",
	}, []string{"auth", "outcome"})
	m.failures = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "gatehouse_upstream_failures_total",
		Help: "Requests that a server did not answer, answered late, or answered with what cannot be read.",
	}, []string{"server"})
	r.MustRegister(m.eval, m.messages, m.lost, m.bundles, m.callers, m.failures)
	return m
}

// BundleLoaded counts a bundle that was activated, or refused with err.
func (m *Metrics) BundleLoaded(err error) {
	result := "activated"
	if err != nil {
		result = "refused"
	}
	m.bundles.WithLabelValues(result).Inc()
}

// Identified counts a request by how its caller was proved, or by the error if it was not.
func (m *Metrics) Identified(auth string, err error) {
	outcome := "refused"
	switch {
	case err == nil:
		outcome = "accepted"
	case errors.Is(err, identity.ErrNoCredentials):
		outcome = "missing"
	case errors.Is(err, identity.ErrUnavailable):
		outcome = "unavailable"
	}
	m.callers.WithLabelValues(auth, outcome).Inc()
}

// kinds are the methods that have a label value of their own.
var kinds = map[string]bool{
	"initialize": true, "server/discover": true, "ping": true,
	"tools/list": true, "tools/call": true, "prompts/list": true, "prompts/get": true,
	"resources/list": true, "resources/templates/list": true, "resources/read": true,
	"resources/subscribe": true, "resources/unsubscribe": true, "subscriptions/listen": true,
	"completion/complete": true, "logging/setLevel": true,
	"elicitation/create": true, "sampling/createMessage": true, "roots/list": true,
	"notifications/initialized": true, "notifications/cancelled": true, "notifications/progress": true,
	"notifications/message": true, "notifications/resources/updated": true,
}

// label is a method as metrics and spans tell it, whatever it is called.
func label(kind string) string {
	if kinds[kind] {
		return kind
	}
	return "other"
}

func (m *Metrics) observe(in *policy.Input, d time.Duration) {
	m.eval.WithLabelValues(string(in.Phase), label(in.Kind)).Observe(float64(d) / 1e6)
}

func (m *Metrics) count(r *audit.Record) {
	m.messages.WithLabelValues(string(r.Input.Phase), string(r.Outcome)).Inc()
	failed := r.Status == http.StatusBadGateway || r.Status == http.StatusGatewayTimeout
	if failed && r.Outcome == audit.Reject && r.Input.Phase == policy.Response {
		m.failures.WithLabelValues(r.Input.Server).Inc()
	}
}

func (m *Metrics) unrecorded() { m.lost.Inc() }
