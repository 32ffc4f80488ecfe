package identity

import (
	"context"
	"strings"
	"time"
)

// A Certificate says who the holder of a client certificate is. Exactly one of
// Subject and SPIFFE is set.
type Certificate struct {
	Subject string // the whole distinguished name, as RFC 2253 writes it
	SPIFFE  string // a SPIFFE ID, or one that ends in /* for all below it
	ID      string // empty: the subject, or the whole SPIFFE ID
	Roles   []string
}

// Certificates proves callers by the certificates of their connections. The
// first entry that matches counts.
type Certificates []Certificate

// Identify implements Method. A certificate of nobody proves nobody, so that a
// mesh may have certificates and callers tokens.
func (all Certificates) Identify(_ context.Context, r *Request) (*Caller, error) {
	if r.Certificate == nil {
		return nil, nil
	}
	if now := time.Now(); now.After(r.Certificate.NotAfter) || now.Before(r.Certificate.NotBefore) {
		return nil, bad("the certificate has expired") // since the connection began
	}
	subject, spiffe := r.Certificate.Subject.String(), ""
	if uris := r.Certificate.URIs; len(uris) == 1 && uris[0].Scheme == "spiffe" {
		spiffe = uris[0].String() // with more than one it is no SVID
	}
	for _, c := range all {
		name := subject
		if c.SPIFFE != "" {
			name = spiffe
		}
		if name == "" || !c.matches(name) {
			continue
		}
		if c.ID != "" {
			name = c.ID
		}
		return &Caller{ID: name, Roles: c.Roles, Auth: AuthCertificate}, nil
	}
	return nil, nil
}

// matches reports whether the entry is about the subject, or the SPIFFE ID, of that name.
func (c *Certificate) matches(name string) bool {
	if c.SPIFFE == "" {
		return name == c.Subject
	}
	if above, ok := strings.CutSuffix(c.SPIFFE, "*"); ok {
		return strings.HasPrefix(name, above) && name != above
	}
	return name == c.SPIFFE
}
