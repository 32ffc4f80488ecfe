package main

import (
	"log/slog"

	"github.com/gatehouse-mcp/gatehouse/internal/config"
	"github.com/gatehouse-mcp/gatehouse/internal/login"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// policyConfig is the policy's part of the configuration.
func policyConfig(cfg *config.Config, log *slog.Logger) policy.Config {
	p := &cfg.Policy
	c := policy.Config{
		Bundle: p.Bundle, SHA256: p.SHA256, Poll: p.Poll, LongPoll: p.LongPoll, CA: p.CA,
		Credentials: loginOf(&p.Credentials),
		Persist:     p.Persist, Monotonic: p.Monotonic, Revoked: p.Revoked,
		Decision: p.Decision, Timeout: p.Timeout, Log: log,
	}
	if v := p.Verify; v != nil {
		c.Verify = &policy.Verify{Key: v.Key, Algorithm: v.Algorithm, KeyID: v.KeyID, Scope: v.Scope}
	}
	return c
}

// loginOf are the credentials for a service of the gateway's own.
func loginOf(c *config.Credentials) login.Credentials {
	out := login.Credentials{Bearer: string(c.Bearer), BearerFile: c.BearerFile}
	if b := c.Basic; b != nil {
		out.Username, out.Password = b.Username, string(b.Password)
	}
	if k := c.Certificate; k != nil {
		out.Certificate, out.Key = k.Certificate, k.Key
	}
	if o := c.OAuth2; o != nil {
		out.OAuth2 = &login.OAuth2{
			TokenURL: o.TokenURL.String(), ClientID: o.ClientID, ClientSecret: string(o.ClientSecret), Scopes: o.Scopes,
		}
	}
	return out
}
