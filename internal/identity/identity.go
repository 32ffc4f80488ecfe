// Package identity finds out who calls.
package identity

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
)

// How a caller was proved.
const (
	AuthAnonymous     = "anonymous"
	AuthAPIKey        = "api_key"
	AuthProxy         = "proxy"
	AuthJWT           = "jwt"
	AuthIntrospection = "introspection"
	AuthCertificate   = "certificate"
	AuthLocal         = "local" // the user who started the process
)

// A Caller is a principal and how it was proved.
type Caller struct {
	ID     string
	Roles  []string
	Auth   string         // one of the constants above
	Issuer string         // of the token; empty for other proofs
	Scopes []string       // of the token
	Claims map[string]any // of the token; numbers are json.Number
	Token  Token          // the caller's own verified access token, or empty
}

// A Token is a caller's credential. Formatted or encoded, it is "[redacted]".
type Token string

// String returns a fixed text, never the token.
func (Token) String() string { return "[redacted]" }

// GoString returns a fixed text, never the token.
func (t Token) GoString() string { return t.String() }

// MarshalText returns a fixed text, never the token.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Key tells principals apart: the same id proved in another way, or by another
// issuer, is another one.
func (c *Caller) Key() string { return c.Auth + "\x00" + c.Issuer + "\x00" + c.ID }

// HasToken reports whether the caller came with an access token, whose scopes
// limit what it may be used for. Other proofs know no scopes.
func (c *Caller) HasToken() bool { return c.Auth == AuthJWT || c.Auth == AuthIntrospection }

// HasScopes reports whether the caller's token carries all of the scopes.
func (c *Caller) HasScopes(all []string) bool {
	return !slices.ContainsFunc(all, func(s string) bool { return !slices.Contains(c.Scopes, s) })
}

// Errors of Identify. What wraps them says more, in texts of the gateway's own.
var (
	ErrNoCredentials  = errors.New("no credentials")
	ErrBadCredentials = errors.New("bad credentials")
	// ErrUnavailable says that nobody could tell: an issuer is out of reach.
	ErrUnavailable = errors.New("credentials cannot be checked now")
)

func bad(why string) error { return fmt.Errorf("%w: %s", ErrBadCredentials, why) }

// A Request is what is known of a request before its message is read.
type Request struct {
	Header http.Header
	Peer   netip.Addr
	Server string // the name in the path, whether there is such a server or not
	// Certificate is the client's own, after its chain was verified against the
	// listener's client CA; nil if there is none.
	Certificate *x509.Certificate
}

// A Method proves callers in one way.
type Method interface {
	// Identify returns the caller that the request proves, nil if the request
	// carries no credentials of this method, or one of the package's errors.
	Identify(ctx context.Context, r *Request) (*Caller, error)
}

// An Identifier finds the caller of a request.
type Identifier struct {
	Methods   []Method
	Anonymous *Caller // who calls without credentials; nil: nobody may
	Proxies   *Proxies
	// Observe, where set, is told the outcome of each request: how the caller was
	// proved, or the error.
	Observe func(auth string, err error)
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
// and refuses a request that proves two callers.
func (i *Identifier) Identify(ctx context.Context, r *Request) (*Caller, netip.Addr, error) {
	r.Peer = r.Peer.Unmap()
	from := i.Proxies.client(r.Header, r.Peer)
	if !i.Proxies.trusts(r.Peer) {
		for _, name := range i.Proxies.headers() {
			r.Header.Del(name)
		}
	}
	caller, err := i.find(ctx, r)
	if i.Observe != nil {
		auth := ""
		if caller != nil {
			auth = caller.Auth
		}
		i.Observe(auth, err)
	}
	return caller, from, err
}

func (i *Identifier) find(ctx context.Context, r *Request) (*Caller, error) {
	var found *Caller
	for _, m := range i.Methods {
		caller, err := m.Identify(ctx, r)
		switch {
		case err != nil:
			return nil, err
		case caller != nil && found != nil:
			return nil, bad("two callers in one request")
		case caller != nil:
			found = caller
		}
	}
	switch {
	case found != nil:
		return found, nil
	case i.Anonymous == nil:
		return nil, ErrNoCredentials
	case r.Certificate != nil:
		return nil, bad("a certificate of nobody") // who shows one does not call without credentials
	}
	return i.Anonymous, nil
}
