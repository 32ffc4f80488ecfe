package listen

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gatehouse-mcp/gatehouse/internal/gateway"
)

// Readiness is the body of /readyz.
type Readiness struct {
	Ready bool `json:"ready"`
	// Draining tells that the process was told to end, and still serves.
	Draining bool            `json:"draining,omitempty"`
	Mode     string          `json:"mode"`
	Policy   PolicyReadiness `json:"policy"`
	// Issuers are those of tokens. That one is out of reach is told, and takes no
	// gateway out of service: the keys that it knows go on being good.
	Issuers []IssuerReadiness `json:"issuers,omitempty"`
	// APIKeysError is why the newest file of API keys does not count.
	APIKeysError string `json:"api_keys_error,omitempty"`
}

// IssuerReadiness tells which keys of an issuer are known.
type IssuerReadiness struct {
	Issuer    string `json:"issuer"`
	Keys      int    `json:"keys"`
	FetchedAt string `json:"fetched_at,omitempty"` // RFC 3339
	Error     string `json:"error,omitempty"`      // why there are no newer ones
}

// PolicyReadiness tells which policy is in force.
type PolicyReadiness struct {
	Loaded   bool   `json:"loaded"`
	Revision string `json:"revision,omitempty"`
	SHA256   string `json:"sha256,omitempty"`
	LoadedAt string `json:"loaded_at,omitempty"` // RFC 3339
	From     string `json:"from,omitempty"`      // source, persist or rollback
	Error    string `json:"error,omitempty"`     // why the newest bundle was refused, and what else is wrong
}

// Admin serves /healthz, /readyz, /metrics and /v1/candidate.
type Admin struct {
	Origins   *Origins
	Metrics   prometheus.Gatherer
	Ready     func() Readiness
	Candidate func() *gateway.CandidateReport // nil: there is none
}

// Handler returns the handler of the admin listener. Its paths are taken as they
// were sent, and nothing is redirected.
func (a *Admin) Handler() http.Handler {
	metrics := promhttp.HandlerFor(a.Metrics, promhttp.HandlerOpts{})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if bad := a.Origins.check(r); bad != nil {
			http.Error(w, bad.Message, bad.Status)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		switch r.URL.EscapedPath() {
		case "/healthz":
			w.WriteHeader(http.StatusOK)
		case "/readyz":
			a.readyz(w, r)
		case "/metrics":
			metrics.ServeHTTP(w, r)
		case "/v1/candidate":
			a.candidate(w)
		default:
			http.Error(w, "not found", http.StatusNotFound)
		}
	})
}

func (a *Admin) readyz(w http.ResponseWriter, _ *http.Request) {
	ready := a.Ready()
	w.Header().Set("Content-Type", "application/json")
	if !ready.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(ready) // a client that has left needs no answer
}

func (a *Admin) candidate(w http.ResponseWriter) {
	if a.Candidate == nil {
		http.Error(w, "no candidate is configured", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(a.Candidate()) // a client that has left needs no answer
}
