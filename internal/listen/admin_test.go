package listen

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-mcp/gatehouse/internal/gateway"
)

func startAdmin(t *testing.T, ready bool) *httptest.Server {
	t.Helper()
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "gatehouse_test_total", Help: "x"})
	registry.MustRegister(counter)
	a := &Admin{
		Origins: &Origins{},
		Metrics: registry,
		Ready: func() Readiness {
			return Readiness{Ready: ready, Mode: "enforce", Policy: PolicyReadiness{Loaded: ready, Revision: "r1"}}
		},
	}
	if ready {
		a.Candidate = func() *gateway.CandidateReport { return &gateway.CandidateReport{Judged: 7} }
	}
	s := httptest.NewServer(a.Handler())
	t.Cleanup(s.Close)
	return s
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	get := func(path string, lines ...string) string {
		return strings.Join(append([]string{"GET " + path + " HTTP/1.1", "Host: HOST", "Connection: close"}, lines...), "\r\n") + "\r\n\r\n"
	}
	for _, c := range []struct {
		name, request string
		status        int
		body          string // a part of it
	}{
		{"health", get("/healthz"), 200, ""},
		{"ready", get("/readyz"), 200, `{"ready":true,"mode":"enforce","policy":{"loaded":true,"revision":"r1"}}`},
		{"metrics", get("/metrics"), 200, "gatehouse_test_total 0"},
		{"candidate", get("/v1/candidate"), 200, `{"candidate":{},"live":{},"judged":7,`},
		{"candidate of a foreign origin", get("/v1/candidate", "Origin: https://evil.example"), 403, "forbidden"},
		{"head", strings.Replace(get("/healthz"), "GET", "HEAD", 1), 200, ""},
		{"post", strings.Replace(get("/healthz"), "GET", "POST", 1), 405, "method not allowed"},
		{"delete", strings.Replace(get("/metrics"), "GET", "DELETE", 1), 405, "method not allowed"},
		{"connect", "CONNECT HOST HTTP/1.1\r\nHost: HOST\r\n\r\n", 405, ""},
		{"root", get("/"), 404, "not found"},
		{"slash at the end", get("/healthz/"), 404, "not found"},
		{"two slashes", get("//healthz"), 404, "not found"},
		{"dots", get("/x/../healthz"), 404, "not found"},
		{"encoded", get("/%68ealthz"), 404, "not found"},
		{"profiles", get("/debug/pprof/"), 404, "not found"},
		{"MCP", get("/mcp"), 404, "not found"},
		{"rebinding", strings.Replace(get("/metrics"), "Host: HOST", "Host: evil.example", 1), 403, "forbidden"},
		{"foreign origin", get("/readyz", "Origin: https://evil.example"), 403, "forbidden"},
		{"null origin", get("/readyz", "Origin: null"), 403, "forbidden"},
		{"two origins", get("/readyz", "Origin: http://HOST", "Origin: http://HOST"), 403, "forbidden"},
		{"same origin", get("/readyz", "Origin: http://HOST"), 200, "ready"},
		{"unknown path, foreign origin", get("/x", "Origin: https://evil.example"), 403, "forbidden"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			resp, body := raw(t, startAdmin(t, true), c.request)
			if resp.StatusCode != c.status || !strings.Contains(body, c.body) || resp.Header.Get("Location") != "" {
				t.Errorf("got %s %q, want %d %q", resp.Status, body, c.status, c.body)
			}
		})
	}
	resp, body := raw(t, startAdmin(t, false), get("/readyz"))
	if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, `"ready":false`) || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("not ready: %s %s", resp.Status, body)
	}
}
