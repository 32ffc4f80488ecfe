package config

import "net/url"

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
	TokenURL     *url.URL
	ClientID     string
	ClientSecret Secret
	Scopes       []string
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
		{name: "tokenUrl", into: scalar(serverURL(&o.TokenURL)), required: true},
		{name: "clientId", into: scalar(identifier(&o.ClientID)), required: true},
		{name: "clientSecret", into: scalar(headerValue(&o.ClientSecret)), required: true},
		{name: "scopes", into: list(&o.Scopes, identifier)},
	}
}

// pointer takes an object that may be left out.
func pointer[T any](dst **T, keys func(*T) []key) sink {
	return func(l *loader, path string, n *node) {
		v := new(T)
		object(func() []key { return keys(v) })(l, path, n)
		*dst = v
	}
}
