package config

import (
	"net/url"
	"strings"
)

// Credentials are what the gateway shows to a service of its own. At most one kind is set.
type Credentials struct {
	Bearer      Secret
	BearerFile  string       // a file with the token
	Basic       *Basic       // nil: none
	Certificate *Certificate // nil: none
	OAuth2      *OAuth2      // nil: none
}

// Basic is a user of HTTP's Basic scheme.
type Basic struct {
	Username string
	Password Secret
}

// Certificate is a client certificate and its key, files in PEM.
type Certificate struct {
	Certificate, Key string
}

// OAuth2 is a client of a token endpoint, by the client credentials grant.
type OAuth2 struct {
	TokenURL     *url.URL // https, or http at a loopback address
	ClientID     string
	ClientSecret Secret
	Scopes       []string // what to ask for; empty: whatever is given
}

// A TokenClient is one that says for whom its tokens are to be.
type TokenClient struct {
	OAuth2
	Audience string // by name; empty: not said
	Resource string // by URL (RFC 8707); empty: not said
}

func (c *Credentials) keys() []key {
	return []key{
		{name: "bearer", into: scalar(headerValue(&c.Bearer))},
		{name: "bearerFile", into: scalar(filePath(&c.BearerFile))},
		{name: "basic", into: pointer(&c.Basic, (*Basic).keys)},
		{name: "clientCertificate", into: pointer(&c.Certificate, (*Certificate).keys)},
		{name: "oauth2", into: pointer(&c.OAuth2, (*OAuth2).keys)},
	}
}

func (b *Basic) keys() []key {
	return []key{
		{name: "username", into: scalar(identifier(&b.Username)), required: true},
		{name: "password", into: scalar(headerValue(&b.Password)), required: true},
	}
}

func (c *Certificate) keys() []key {
	return []key{
		{name: "certificate", into: scalar(filePath(&c.Certificate)), required: true},
		{name: "key", into: scalar(filePath(&c.Key)), required: true},
	}
}

func (o *OAuth2) keys() []key {
	return []key{
		{name: "tokenUrl", into: scalar(tokenURL(&o.TokenURL)), required: true},
		{name: "clientId", into: scalar(identifier(&o.ClientID)), required: true},
		{name: "clientSecret", into: scalar(clientSecret(&o.ClientSecret)), required: true},
		{name: "scopes", into: list(&o.Scopes, scope)},
	}
}

func (c *TokenClient) keys() []key {
	return append(c.OAuth2.keys(),
		key{name: "audience", into: scalar(identifier(&c.Audience))},
		key{name: "resource", into: scalar(resource(&c.Resource))},
	)
}

func tokenURL(dst **url.URL) leaf {
	const want = "an absolute https URL without credentials and fragment (or an http URL at a loopback address)"
	return parsed(dst, want, func(text string) (*url.URL, bool) {
		u, ok := parseURL(text)
		return u, ok && (u.Scheme == "https" || localHost(u.Hostname()))
	})
}

func resource(dst *string) leaf {
	return parsed(dst, "an absolute http or https URL without credentials and fragment", func(text string) (string, bool) {
		_, ok := parseURL(text)
		return text, ok
	})
}

func clientSecret(dst *Secret) leaf {
	v := parsed(dst, "a secret (not empty, no control characters)", func(text string) (Secret, bool) {
		return Secret(text), text != "" && printable(text)
	})
	v.secret = true
	return v
}

// scope is a leaf for one scope of OAuth.
func scope(dst *string) leaf {
	return parsed(dst, `a scope (not empty, no spaces, no " and no \)`, func(text string) (string, bool) {
		return text, text != "" && printable(text) && !strings.ContainsAny(text, ` "\`)
	})
}

// pointer takes an object that may be left out.
func pointer[T any](dst **T, keys func(*T) []key) sink {
	return func(l *loader, path string, n *node) {
		v := new(T)
		object(func() []key { return keys(v) })(l, path, n)
		*dst = v
	}
}
