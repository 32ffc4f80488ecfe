package config

import (
	"net/url"
	"strings"
)

// Credentials are what the gateway shows to a service of its own. At most one of them is set.
type Credentials struct {
	Bearer            Bearer
	Basic             Basic
	ClientCertificate ClientCertificate
	OAuth2            OAuth2
}

// Bearer is a token, given or read from a file for every request.
type Bearer struct {
	Token     Secret
	TokenFile string
}

// Basic is a name and a password.
type Basic struct {
	Username string
	Password Secret
}

// ClientCertificate is a certificate and its private key, in PEM files.
type ClientCertificate struct{ Cert, Key string }

// OAuth2 gets tokens for a client, with the grant of client credentials.
type OAuth2 struct {
	TokenURL     *url.URL
	ClientID     string
	ClientSecret Secret
	Scopes       []string
}

func (c *Credentials) keys() []key {
	return []key{
		{name: "bearer", into: object(c.Bearer.keys)},
		{name: "basic", into: object(c.Basic.keys)},
		{name: "clientCertificate", into: object(c.ClientCertificate.keys)},
		{name: "oauth2", into: object(c.OAuth2.keys)},
	}
}

func (b *Bearer) keys() []key {
	return []key{
		{name: "token", into: scalar(headerValue(&b.Token))},
		{name: "tokenFile", into: scalar(filePath(&b.TokenFile))},
	}
}

func (b *Basic) keys() []key {
	return []key{
		{name: "username", into: scalar(identifier(&b.Username)), required: true},
		{name: "password", into: scalar(headerValue(&b.Password)), required: true},
	}
}

func (c *ClientCertificate) keys() []key {
	return []key{
		{name: "cert", into: scalar(filePath(&c.Cert)), required: true},
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

// checkCredentials makes sure that there is one way to show who the gateway is, and that a token has one source.
func (l *loader) checkCredentials(path string, c *Credentials) {
	var given []string
	for _, k := range c.keys() {
		if _, ok := l.sources[path+"."+k.name]; ok {
			given = append(given, k.name)
		}
	}
	if len(given) > 1 {
		l.problem(path, "has %s (use one of them)", strings.Join(given, " and "))
	}
	if _, ok := l.sources[path+".bearer"]; ok && (c.Bearer.Token == "") == (c.Bearer.TokenFile == "") {
		l.problem(path+".bearer", "needs either token or tokenFile")
	}
}
