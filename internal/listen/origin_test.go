package listen

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

func TestPagesOfAllowedOriginsMayRead(t *testing.T) {
	h := &HTTP{Origins: &Origins{Allowed: []string{"https://app.example"}}}
	for _, tc := range []struct {
		name, method, origin, asks string
		status                     int
		allowed                    string
	}{
		{"preflight", "OPTIONS", "https://app.example", "POST", 204, "https://app.example"},
		{"preflight of another origin", "OPTIONS", "https://evil.example", "POST", 403, ""},
		{"preflight of the same host", "OPTIONS", "http://example.com", "POST", 401, ""},
		{"no preflight", "OPTIONS", "https://app.example", "", 401, "https://app.example"},
		{"request", "POST", "https://app.example", "", 401, "https://app.example"},
		{"request of no page", "POST", "", "", 401, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := &refusing{}
			h.Gateway, h.Identity = g, nobody()
			r := httptest.NewRequest(tc.method, "http://example.com/mcp", nil)
			if tc.origin != "" {
				r.Header.Set("Origin", tc.origin)
			}
			if tc.asks != "" {
				r.Header.Set("Access-Control-Request-Method", tc.asks)
				r.Header.Set("Access-Control-Request-Headers", "authorization,mcp-method")
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			status := w.Code
			if g.bad != nil {
				status = g.bad.Status
			}
			if status != tc.status || w.Header().Get("Access-Control-Allow-Origin") != tc.allowed {
				t.Errorf("status %d, headers %v", status, w.Header())
			}
			if tc.status == http.StatusNoContent && w.Header().Get("Access-Control-Allow-Headers") != "authorization,mcp-method" {
				t.Errorf("headers %v", w.Header())
			}
		})
	}
}

// refusing is a gateway that remembers what it was told to reject.
type refusing struct {
	Gateway
	bad *mcp.Error
}

func (g *refusing) Reject(_ *gateway.Exchange, bad *mcp.Error, _ gateway.Reply) { g.bad = bad }

// nobody is an identifier that knows no one.
func nobody() *identity.Identifier { return &identity.Identifier{Proxies: &identity.Proxies{}} }
