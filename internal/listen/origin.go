package listen

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// Origins guards a listener against web pages: those of other sites, and those
// that reach a local address under a name of their own (DNS rebinding).
type Origins struct {
	Allowed []string // as in https://app.example, beside the listener's own host
}

// check refuses a request whose Origin is not allowed, and one that came to a
// loopback address under a name that is neither local nor an allowed origin's.
func (o *Origins) check(r *http.Request) *mcp.Error {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	rebound := local != nil && local.IP.IsLoopback() && !isLoopback(r.Host) && !o.hasHost(r.Host)
	if origins := r.Header["Origin"]; rebound || len(origins) > 0 && !o.allowed(origins, r) {
		return mcp.Refuse(http.StatusForbidden, "forbidden", "origin or host not allowed")
	}
	return nil
}

func (o *Origins) allowed(origins []string, r *http.Request) bool {
	if len(origins) > 1 || slices.Contains(o.Allowed, origins[0]) {
		return len(origins) == 1
	}
	u, err := url.Parse(origins[0])
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host) && (r.TLS == nil || u.Scheme == "https")
}

// allow lets pages of an allowed origin read the answer, and reports whether
// the request only asks for that leave.
func (o *Origins) allow(h http.Header, r *http.Request) (preflight bool) {
	origin := r.Header.Get("Origin")
	if !slices.Contains(o.Allowed, origin) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Vary", "Origin")
	h.Set("Access-Control-Expose-Headers", mcp.HeaderSession+", Retry-After, WWW-Authenticate")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "POST, GET, DELETE")
	h.Set("Access-Control-Allow-Headers", r.Header.Get("Access-Control-Request-Headers"))
	h.Set("Access-Control-Max-Age", "600")
	return true
}

func (o *Origins) hasHost(host string) bool {
	return slices.ContainsFunc(o.Allowed, func(origin string) bool {
		_, allowed, _ := strings.Cut(origin, "://")
		return strings.EqualFold(allowed, host)
	})
}

// isLoopback reports whether host, with or without a port, is this machine.
func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}
