package identity

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
)

// Proxies are the reverse proxies that may say who calls, and from where.
type Proxies struct {
	CIDRs       []netip.Prefix
	UserHeader  string
	RolesHeader string // roles separated by commas
}

func (p *Proxies) trusts(addr netip.Addr) bool {
	for _, c := range p.CIDRs {
		if c.Contains(addr) {
			return true
		}
	}
	return false
}

// Identify implements Method for peers that are trusted proxies.
func (p *Proxies) Identify(_ context.Context, r *Request) (*Caller, error) {
	users := r.Header.Values(p.UserHeader)
	if !p.trusts(r.Peer) || len(users) == 0 {
		return nil, nil
	}
	if len(users) > 1 || users[0] == "" {
		return nil, bad("not one user from the proxy")
	}
	caller := &Caller{ID: users[0], Auth: AuthProxy}
	for _, values := range r.Header.Values(p.RolesHeader) {
		for role := range strings.SplitSeq(values, ",") {
			if role = strings.TrimSpace(role); role != "" {
				caller.Roles = append(caller.Roles, role)
			}
		}
	}
	return caller, nil
}

// headers are those that only a trusted proxy may set.
func (p *Proxies) headers() []string {
	return []string{p.UserHeader, p.RolesHeader, "X-Forwarded-For", "Forwarded", "X-Real-Ip"}
}

// client is the address of the client: the peer, or behind trusted proxies the
// right-most hop that is none of them. A hop that is no address ends the walk.
func (p *Proxies) client(h http.Header, peer netip.Addr) netip.Addr {
	hops := strings.Split(strings.Join(h.Values("X-Forwarded-For"), ","), ",")
	for n := len(hops) - 1; n >= 0 && p.trusts(peer); n-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[n]))
		if err != nil {
			break
		}
		peer = hop.Unmap()
	}
	return peer
}
