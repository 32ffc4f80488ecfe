package config

import "strings"

// This file is the schema: every key of the file, what it takes and where it goes.

func (c *Config) keys() []key {
	return []key{
		{name: "listen", into: scalar(address(&c.Listen))},
		{name: "admin", into: scalar(address(&c.Admin))},
		{name: "tls", into: pointer(&c.TLS, (*TLS).keys)},
		{name: "adminTls", into: pointer(&c.AdminTLS, (*TLS).adminKeys)},
		{name: "mcpServers", into: mapping(&c.Servers, serverName, (*Server).keys)},
		{name: "processes", into: object(c.Processes.keys)},
		{name: "identity", into: object(c.Identity.keys)},
		{name: "policy", into: object(c.Policy.keys)},
		{name: "deny", into: object(c.Deny.keys)},
		{name: "audit", into: object(c.Audit.keys)},
		{name: "origins", into: list(&c.Origins, origin)},
		{name: "handles", into: object(c.Handles.keys)},
		{name: "limits", into: object(c.Limits.keys)},
		{name: "drainSeconds", into: scalar(shortSeconds(&c.Drain))},
	}
}

func (i *Identity) keys() []key {
	return []key{
		{name: "anonymous", into: anonymous(&i.Anonymous)},
		{name: "publicUrl", into: scalar(publicURL(&i.PublicURL))},
		{name: "apiKeys", into: objects(&i.APIKeys, (*APIKey).keys)},
		{name: "apiKeysFile", into: scalar(inputPath(&i.APIKeysFile))},
		{name: "jwt", into: objects(&i.JWT, (*Issuer).keys)},
		{name: "introspection", into: introspection(&i.Introspection)},
		{name: "certificates", into: objects(&i.Certificates, (*Certificate).keys)},
		{name: "trustedProxies", into: object(i.TrustedProxies.keys)},
	}
}

// anonymous takes the caller without credentials, whose id may be left out.
func anonymous(dst **Caller) sink {
	caller := &Caller{ID: anonymousID, Roles: []string{}}
	take := object(caller.keys)
	return func(l *loader, path string, n *node) {
		*dst = caller
		take(l, path, n)
	}
}

func (c *Caller) keys() []key {
	return []key{
		{name: "id", into: scalar(identifier(&c.ID))},
		{name: "roles", into: list(&c.Roles, identifier)},
	}
}

func (k *APIKey) keys() []key {
	k.Roles = []string{}
	return []key{
		{name: "id", into: scalar(identifier(&k.ID)), required: true},
		{name: "roles", into: list(&k.Roles, identifier)},
		{name: "sha256", into: scalar(keyDigest(&k.SHA256)), required: true},
	}
}

func (c *Claims) keys() []key {
	c.IDClaim, c.RolesClaim, c.ClockSkew = "sub", "roles", defaultSkew
	return []key{
		{name: "issuer", into: scalar(secureURL(&c.Issuer)), required: true},
		{name: "audience", into: scalar(identifier(&c.Audience)), required: true},
		{name: "idClaim", into: scalar(identifier(&c.IDClaim))},
		{name: "rolesClaim", into: scalar(identifier(&c.RolesClaim))},
		{name: "clockSkewSeconds", into: scalar(shortSeconds(&c.ClockSkew))},
	}
}

func (i *Issuer) keys() []key {
	i.Algorithms, i.Tokens = strings.Split(algorithms, ", "), TokensAccess
	return append(
		i.Claims.keys(),
		key{name: "jwksUrl", into: scalar(secureURLOrNone(&i.JWKSURL))},
		key{name: "algorithms", into: list(&i.Algorithms, algorithm)},
		key{name: "tokens", into: scalar(oneOf(&i.Tokens, TokensAccess, TokensTyped, TokensAny))},
	)
}

// introspection takes the issuer that is asked about tokens.
func introspection(dst **Introspection) sink {
	i := &Introspection{Cache: defaultSkew}
	take := object(func() []key {
		return append(
			i.keys(),
			key{name: "url", into: scalar(secureURL(&i.URL)), required: true},
			key{name: "clientId", into: scalar(identifier(&i.ClientID)), required: true},
			key{name: "clientSecret", into: scalar(headerValue(&i.ClientSecret)), required: true},
			key{name: "cacheSeconds", into: scalar(shortSeconds(&i.Cache))},
		)
	})
	return func(l *loader, path string, n *node) {
		*dst = i
		take(l, path, n)
	}
}

func (c *Certificate) keys() []key {
	c.Roles = []string{}
	return []key{
		{name: "subject", into: scalar(identifier(&c.Subject))},
		{name: "spiffe", into: scalar(spiffeID(&c.SPIFFE))},
		{name: "id", into: scalar(identifier(&c.ID))},
		{name: "roles", into: list(&c.Roles, identifier)},
	}
}

func (t *TrustedProxies) keys() []key {
	return []key{
		{name: "cidrs", into: list(&t.CIDRs, prefix)},
		{name: "userHeader", into: scalar(identityHeader(&t.UserHeader))},
		{name: "rolesHeader", into: scalar(identityHeader(&t.RolesHeader))},
	}
}

func (p *Policy) keys() []key {
	return []key{
		{name: "mode", into: scalar(mode(&p.Mode))},
		{name: "bundle", into: scalar(bundle(&p.Bundle))},
		{name: "pollSeconds", into: scalar(seconds(&p.Poll))},
		{name: "longPollSeconds", into: scalar(patience(&p.LongPoll))},
		{name: "sha256", into: scalar(pin(&p.SHA256))},
		{name: "ca", into: scalar(optionalPath(&p.CA))},
		{name: "credentials", into: object(p.Credentials.keys)},
		{name: "verify", into: pointer(&p.Verify, (*BundleVerify).keys)},
		{name: "persist", into: scalar(optionalPath(&p.Persist))},
		{name: "monotonic", into: scalar(boolean(&p.Monotonic))},
		{name: "revoked", into: scalar(revoked(&p.Revoked))},
		{name: "decision", into: scalar(rulePath(&p.Decision))},
		{name: "timeoutMs", into: scalar(milliseconds(&p.Timeout))},
		{name: "onMissing", into: scalar(allowOrDeny(&p.AllowOnMissing))},
		{name: "onError", into: scalar(allowOrDeny(&p.AllowOnError))},
		{name: "candidate", into: object(p.Candidate.keys)},
	}
}

func (c *Candidate) keys() []key {
	return []key{
		{name: "bundle", into: scalar(bundle(&c.Bundle))},
		{name: "sha256", into: scalar(pin(&c.SHA256))},
	}
}

func (c *Credentials) keys() []key {
	return []key{
		{name: "bearer", into: scalar(headerValue(&c.Bearer))},
		{name: "bearerFile", into: scalar(filePath(&c.BearerFile))},
		{name: "basic", into: pointer(&c.Basic, (*Basic).keys)},
		{name: "clientCertificate", into: pointer(&c.Certificate, (*ClientCertificate).keys)},
		{name: "oauth2", into: pointer(&c.OAuth2, (*OAuth2).keys)},
	}
}

func (b *Basic) keys() []key {
	return []key{
		{name: "username", into: scalar(username(&b.Username)), required: true},
		{name: "password", into: scalar(secret(&b.Password)), required: true},
	}
}

func (c *ClientCertificate) keys() []key {
	return []key{
		{name: "certificate", into: scalar(filePath(&c.Certificate)), required: true},
		{name: "key", into: scalar(filePath(&c.Key)), required: true},
	}
}

func (o *OAuth2) keys() []key {
	return []key{
		{name: "tokenUrl", into: scalar(serverURL(&o.TokenURL)), required: true},
		{name: "clientId", into: scalar(identifier(&o.ClientID)), required: true},
		{name: "clientSecret", into: scalar(secret(&o.ClientSecret)), required: true},
		{name: "scopes", into: list(&o.Scopes, identifier)},
	}
}

func (v *BundleVerify) keys() []key {
	return []key{
		{name: "key", into: scalar(filePath(&v.Key)), required: true},
		{name: "algorithm", into: scalar(oneOf(&v.Algorithm, "RS256", "ES256", "HS256")), required: true},
		{name: "keyId", into: scalar(optionalText(&v.KeyID))},
		{name: "scope", into: scalar(optionalText(&v.Scope))},
	}
}

func (d *Deny) keys() []key {
	return []key{
		{name: "style", into: scalar(oneOf(&d.Style, DenyAuto, DenyHTTP, DenyJSONRPC, DenyToolResult))},
		{name: "showReason", into: scalar(boolean(&d.ShowReason))},
	}
}

func (l *Limits) keys() []key {
	return []key{
		{name: "maxMessageBytes", into: scalar(messageBytes(&l.MaxMessageBytes))},
	}
}
