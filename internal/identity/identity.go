// Package identity finds out who calls.
package identity

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// A Caller is a principal and how it was proved.
type Caller struct {
	ID     string
	Roles  []string
	Auth   string // anonymous, api_key or proxy
	Claims map[string]any
	Token  Token // the caller's own verified access token, or empty
}

// A Token is a caller's credential. Formatted or encoded, it is "[redacted]".
type Token string

// String returns a fixed text, never the token.
func (Token) String() string { return "[redacted]" }

// GoString returns a fixed text, never the token.
func (t Token) GoString() string { return t.String() }

// MarshalText returns a fixed text, never the token.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Key tells principals apart: the same id proved in another way is another one.
func (c *Caller) Key() string { return c.Auth + "\x00" + c.ID }

// Errors of Identify. Their texts may be shown to the client.
var (
	ErrNoCredentials  = errors.New("no credentials")
	ErrBadCredentials = errors.New("bad credentials")
)

// A Method proves callers in one way.
type Method interface {
	// Identify returns the caller that the request proves, nil if the request
	// carries no credentials of this method, or ErrBadCredentials.
	Identify(h http.Header, peer netip.Addr) (*Caller, error)
}

// An APIKey is a key known by its digest.
type APIKey struct {
	Caller Caller
	SHA256 [sha256.Size]byte
}

// APIKeys accepts keys as bearer tokens or in X-Api-Key.
type APIKeys struct{ bySum map[[sha256.Size]byte]*Caller }

// NewAPIKeys returns the method for a set of keys.
func NewAPIKeys(keys []APIKey) *APIKeys {
	m := &APIKeys{bySum: make(map[[sha256.Size]byte]*Caller, len(keys))}
	for _, k := range keys {
		k.Caller.Auth = "api_key"
		m.bySum[k.SHA256] = &k.Caller
	}
	return m
}

// Identify implements Method. Looking up a digest tells nothing of the key by
// the time it takes.
func (m *APIKeys) Identify(h http.Header, _ netip.Addr) (*Caller, error) {
	bearer, key := h.Values("Authorization"), h.Values("X-Api-Key")
	switch {
	case len(bearer)+len(key) == 0:
		return nil, nil
	case len(bearer)+len(key) > 1:
		return nil, ErrBadCredentials
	case len(bearer) == 1:
		scheme, token, _ := strings.Cut(bearer[0], " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return nil, ErrBadCredentials
		}
		key = []string{strings.TrimSpace(token)}
	}
	caller, ok := m.bySum[sha256.Sum256([]byte(key[0]))]
	if !ok {
		return nil, ErrBadCredentials
	}
	return caller, nil
}

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

// headers are those that only a trusted proxy may set.
func (p *Proxies) headers() []string {
	return []string{p.UserHeader, p.RolesHeader, "X-Forwarded-For", "Forwarded", "X-Real-Ip"}
}

// Identify implements Method for peers that are trusted proxies.
func (p *Proxies) Identify(h http.Header, peer netip.Addr) (*Caller, error) {
	users := h.Values(p.UserHeader)
	if !p.trusts(peer) || len(users) == 0 {
		return nil, nil
	}
	if len(users) > 1 || users[0] == "" {
		return nil, ErrBadCredentials
	}
	caller := &Caller{ID: users[0], Auth: "proxy"}
	for _, values := range h.Values(p.RolesHeader) {
		for role := range strings.SplitSeq(values, ",") {
			if role = strings.TrimSpace(role); role != "" {
				caller.Roles = append(caller.Roles, role)
			}
		}
	}
	return caller, nil
}

// An Identifier finds the caller of a request.
type Identifier struct {
	Methods   []Method
	Anonymous *Caller // who calls without credentials; nil: nobody may
	Proxies   *Proxies
}

// Reads reports whether who calls, or from where, may be told by the header with
// this canonical name.
func (i *Identifier) Reads(name string) bool {
	return name == "Authorization" || name == "X-Api-Key" || slices.ContainsFunc(i.Proxies.headers(), func(h string) bool {
		return name == http.CanonicalHeaderKey(h)
	})
}

// Identify returns the caller and the address it calls from. It deletes the
// headers that only a trusted proxy may set when they come from anyone else,
// and refuses a request that proves two different callers.
func (i *Identifier) Identify(h http.Header, peer netip.Addr) (*Caller, netip.Addr, error) {
	peer = peer.Unmap()
	from := i.Proxies.client(h, peer)
	if !i.Proxies.trusts(peer) {
		for _, name := range i.Proxies.headers() {
			h.Del(name)
		}
	}
	var found *Caller
	for _, m := range i.Methods {
		caller, err := m.Identify(h, peer)
		switch {
		case err != nil:
			return nil, from, err
		case caller != nil && found != nil:
			return nil, from, ErrBadCredentials
		case caller != nil:
			found = caller
		}
	}
	if found == nil {
		found = i.Anonymous
	}
	if found == nil {
		return nil, from, ErrNoCredentials
	}
	return found, from, nil
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
