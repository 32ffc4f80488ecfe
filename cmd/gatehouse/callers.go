package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-mcp/gatehouse/internal/config"
	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
)

// callers finds out who calls, and keeps what it knows of callers fresh.
type callers struct {
	cfg        *config.Identity
	log        *slog.Logger
	identifier *identity.Identifier
	keys       *identity.APIKeys
	jwt        *identity.JWT

	mu   sync.Mutex
	seen []byte // the newest text of the key file, good or not
	err  error  // of reading it
}

// newCallers fails if there is a file of API keys that cannot be read.
func newCallers(cfg *config.Identity, log *slog.Logger, observe func(auth string, err error)) (*callers, error) {
	proxies := &identity.Proxies{
		CIDRs: cfg.TrustedProxies.CIDRs, UserHeader: cfg.TrustedProxies.UserHeader, RolesHeader: cfg.TrustedProxies.RolesHeader,
	}
	c := &callers{
		cfg: cfg, log: log, keys: &identity.APIKeys{},
		identifier: &identity.Identifier{Proxies: proxies, Observe: observe},
	}
	if c.load(); c.err != nil {
		return nil, fmt.Errorf("read API keys: %w", c.err)
	}
	bearer := &identity.Bearer{Keys: c.keys, Introspection: introspection(cfg.Introspection, log)}
	if len(cfg.JWT) > 0 {
		c.jwt = identity.NewJWT(issuers(cfg.JWT), log)
		bearer.JWT = c.jwt
	}
	if len(cfg.APIKeys) > 0 || cfg.APIKeysFile != "" || bearer.JWT != nil || bearer.Introspection != nil {
		c.identifier.Methods = append(c.identifier.Methods, bearer)
	}
	if len(cfg.Certificates) > 0 {
		var all identity.Certificates
		for _, entry := range cfg.Certificates {
			all = append(all, identity.Certificate(entry))
		}
		c.identifier.Methods = append(c.identifier.Methods, all)
	}
	c.identifier.Methods = append(c.identifier.Methods, proxies)
	if a := cfg.Anonymous; a != nil {
		c.identifier.Anonymous = &identity.Caller{ID: a.ID, Roles: a.Roles, Auth: identity.AuthAnonymous}
	}
	return c, nil
}

func issuers(all []config.Issuer) []identity.Issuer {
	issuers := make([]identity.Issuer, len(all))
	for i, c := range all {
		issuers[i] = identity.Issuer{
			Mapping: mapping(c.Claims), JWKSURL: c.JWKSURL, Algorithms: c.Algorithms, Tokens: string(c.Tokens),
		}
	}
	return issuers
}

func introspection(c *config.Introspection, log *slog.Logger) *identity.Introspection {
	if c == nil {
		return nil
	}
	return &identity.Introspection{
		Mapping: mapping(c.Claims), URL: c.URL, ClientID: c.ClientID, ClientSecret: string(c.ClientSecret), Keep: c.Cache,
		Log: log.With("issuer", c.Issuer),
	}
}

func mapping(c config.Claims) identity.Mapping {
	return identity.Mapping{
		Issuer: c.Issuer, Audience: c.Audience, IDClaim: c.IDClaim, RolesClaim: c.RolesClaim, Skew: c.ClockSkew,
	}
}

// oauth is the gateway as a protected resource; nil if it takes no tokens.
func oauth(cfg *config.Config) *listen.OAuth {
	o := &listen.OAuth{PublicURL: cfg.Identity.PublicURL, Scopes: map[string][]string{}}
	for _, i := range cfg.Identity.JWT {
		o.Issuers = append(o.Issuers, i.Issuer)
	}
	if i := cfg.Identity.Introspection; i != nil {
		o.Issuers = append(o.Issuers, i.Issuer)
	}
	for name, s := range cfg.Servers {
		o.Scopes[name] = s.RequiredScopes
	}
	if len(o.Issuers) == 0 {
		return nil
	}
	return o
}

// keyFileTime is the time between two looks at the file of API keys.
const keyFileTime = 5 * time.Second

// run keeps keys fresh until the context ends.
func (c *callers) run(ctx context.Context) error {
	var group errgroup.Group
	if c.jwt != nil {
		group.Go(func() error { return c.jwt.Run(ctx) })
	}
	if c.cfg.APIKeysFile != "" {
		group.Go(func() error {
			look := time.NewTicker(keyFileTime)
			defer look.Stop()
			for {
				select {
				case <-look.C:
					c.reload()
				case <-ctx.Done():
					return nil
				}
			}
		})
	}
	return group.Wait()
}

// reload loads the API keys again. A file that is broken leaves them as they
// are, which is told once.
func (c *callers) reload() {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.err
	if c.load(); c.err != nil && (before == nil || before.Error() != c.err.Error()) {
		c.log.Error("API keys stay as they are", "error", c.err)
	}
}

// load puts all API keys in force, if they have changed.
func (c *callers) load() {
	keys, changed, err := c.read()
	if c.err = err; err != nil || !changed {
		return
	}
	all := make([]identity.APIKey, len(keys))
	for n, k := range keys {
		all[n] = identity.APIKey{Caller: identity.Caller{ID: k.ID, Roles: k.Roles}, SHA256: k.SHA256}
	}
	c.keys.Set(all)
	c.log.Info("API keys", "keys", len(keys))
}

// read returns all keys, those of the configuration and those of the file, and
// whether they are others than at the last time.
func (c *callers) read() (keys []config.APIKey, changed bool, err error) {
	path := c.cfg.APIKeysFile
	if path == "" {
		return c.cfg.APIKeys, len(c.cfg.APIKeys) > 0, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		c.seen = nil
		return nil, false, err
	}
	if c.seen != nil && bytes.Equal(text, c.seen) {
		return nil, false, c.err
	}
	more, err := config.LoadAPIKeys(path, text, os.LookupEnv, c.cfg.APIKeys)
	c.seen = text
	return slices.Concat(c.cfg.APIKeys, more), true, err
}

// ready tells of what is missing.
func (c *callers) ready(r *listen.Readiness) {
	c.mu.Lock()
	if c.err != nil {
		r.APIKeysError = c.err.Error()
	}
	c.mu.Unlock()
	if c.jwt == nil {
		return
	}
	for _, s := range c.jwt.Status() {
		issuer := listen.IssuerReadiness{Issuer: s.Issuer, Keys: s.Keys}
		if !s.Fetched.IsZero() {
			issuer.FetchedAt = s.Fetched.UTC().Format(time.RFC3339)
		}
		if s.Err != nil {
			issuer.Error = s.Err.Error()
		}
		r.Issuers = append(r.Issuers, issuer)
	}
}
