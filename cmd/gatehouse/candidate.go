package main

import (
	"context"
	"log/slog"
	"net/url"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-mcp/gatehouse/internal/config"
	"github.com/gatehouse-mcp/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/login"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// A candidate is the policy on trial, with all that keeps it up to date. It has
// goroutines of its own, so that the policy in force never waits for it.
type candidate struct {
	*gateway.Candidate
	path    *gateway.Gateway
	hangups chan struct{}
}

// newCandidate returns nil if there is none.
func newCandidate(cfg *config.Config, log *slog.Logger, loaded func(), registry prometheus.Registerer) *candidate {
	if cfg.Policy.Candidate.Bundle == "" || cfg.Policy.Mode == config.ModeOff {
		return nil
	}
	c := candidateConfig(cfg, log.With("policy", "candidate"))
	c.OnLoad = func(error) { loaded() }
	return &candidate{Candidate: gateway.NewCandidate(policy.New(c), registry), hangups: make(chan struct{}, 1)}
}

// candidateConfig is what the configuration says of the policy on trial.
func candidateConfig(cfg *config.Config, log *slog.Logger) policy.Config {
	c := policyConfig(cfg, log)
	if !sameServer(c.Bundle, cfg.Policy.Candidate.Bundle) {
		c.Credentials, c.CA = login.Credentials{}, ""
	}
	c.Bundle, c.SHA256, c.Trial = cfg.Policy.Candidate.Bundle, cfg.Policy.Candidate.SHA256, true
	c.Persist, c.Monotonic = "", false // they are about what was in force
	return c
}

// sameServer reports whether two bundles come from one server, so that the
// credentials of one may be shown for the other.
func sameServer(a, b string) bool {
	one, err := url.Parse(a)
	other, err2 := url.Parse(b)
	return err == nil && err2 == nil && one.Host != "" && one.Scheme == other.Scheme && one.Host == other.Host
}

// run loads the candidate, reloads it and judges by it until the context ends.
func (c *candidate) run(ctx context.Context, group *errgroup.Group) {
	if c == nil {
		return
	}
	group.Go(func() error {
		_ = c.Engine.Reload(ctx) // logged, and shown by /v1/candidate
		c.Engine.Poll(ctx)
		return nil
	})
	group.Go(func() error {
		for {
			select {
			case <-c.hangups:
				_ = c.Engine.Reload(ctx) // logged, and shown by /v1/candidate
			case <-ctx.Done():
				return nil
			}
		}
	})
	group.Go(func() error {
		c.Run(ctx, c.path)
		return nil
	})
}

// hangup has the candidate reloaded.
func (c *candidate) hangup() {
	if c == nil {
		return
	}
	select {
	case c.hangups <- struct{}{}:
	default: // it is about to be
	}
}

// engines are those of the policy in force and of the candidate.
func (a *core) engines() []*policy.Engine {
	if a.candidate == nil {
		return []*policy.Engine{a.engine}
	}
	return []*policy.Engine{a.engine, a.candidate.Engine}
}
