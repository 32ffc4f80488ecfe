package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/config"
	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// as is a credential to be explained. It is read from a file or from standard
// input: a command line is no place for secrets.
type as struct {
	token, key string // the path of the file, or "-"
	tools      []string
}

func (a *as) given() bool { return a.token != "" || a.key != "" }

// header is the credential as a request carries it.
func (a *as) header(in io.Reader) (http.Header, error) {
	name, prefix, path := "Authorization", "Bearer ", a.token
	if a.token == "" {
		name, prefix, path = "X-Api-Key", "", a.key
	}
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read credential: %w", err)
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("read credential: %w", err)
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return nil, errors.New("read credential: there is none")
	}
	return http.Header{name: {prefix + secret}}, nil
}

// A view is what a server makes of a credential.
type view struct {
	Server  string            `json:"server"`
	Refused string            `json:"refused,omitempty"`
	User    *user             `json:"user,omitempty"` // as policies see it
	Issuer  string            `json:"issuer,omitempty"`
	Scopes  []string          `json:"scopes,omitempty"`
	Tools   map[string]string `json:"tools,omitempty"`
}

type user struct {
	ID     string         `json:"id"`
	Roles  []string       `json:"roles"`
	Auth   string         `json:"auth"`
	Claims map[string]any `json:"claims,omitempty"`
}

// checkAs tells what a credential maps to at each server, and which of the tools
// it could call. No server is asked; issuers are.
func checkAs(ctx context.Context, cfg *config.Config, a *as, in io.Reader, out, stderr io.Writer) error {
	header, err := a.header(in)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	known, err := newCallers(&cfg.Identity, log, nil)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = known.run(ctx)
	}()
	defer func() {
		cancel()
		<-done
	}()
	engine := policy.New(policyConfig(cfg, slog.New(slog.DiscardHandler)))
	defer engine.Close()
	if cfg.Policy.Bundle != "" && cfg.Policy.Mode != config.ModeOff {
		if err := engine.Reload(ctx); err != nil {
			return err
		}
	}
	accepted := false
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for _, name := range slices.Sorted(maps.Keys(cfg.Servers)) {
		v := look(ctx, known.identifier, header, name, cfg.Servers[name].RequiredScopes)
		if v.Refused == "" {
			accepted = true
			v.judge(engine.Pin(), a.tools)
		}
		if err := encoder.Encode(v); err != nil {
			return err
		}
	}
	if !accepted {
		return errors.New("no server accepts the credential")
	}
	return nil
}

func look(ctx context.Context, i *identity.Identifier, header http.Header, server string, scopes []string) *view {
	v := &view{Server: server}
	caller, _, err := i.Identify(ctx, &identity.Request{Header: header.Clone(), Peer: netip.IPv6Unspecified(), Server: server})
	switch {
	case err != nil:
		v.Refused = err.Error()
		return v
	case caller.HasToken() && !caller.HasScopes(scopes):
		v.Refused = "insufficient_scope: " + strings.Join(scopes, " ")
	}
	v.User = &user{ID: caller.ID, Roles: caller.Roles, Auth: caller.Auth, Claims: caller.Claims}
	v.Issuer, v.Scopes = caller.Issuer, caller.Scopes
	return v
}

// judge asks the policy about each tool, as for a list of tools.
func (v *view) judge(s *policy.Snapshot, tools []string) {
	v.Tools = map[string]string{}
	for _, tool := range tools {
		v.Tools[tool] = "allow"
		if s == nil {
			continue
		}
		d, _ := s.Visible(&policy.Input{
			Phase: policy.List, Kind: "tools/call", Server: v.Server, Transport: "http", Tool: &policy.Tool{Name: tool},
			User: policy.User{ID: v.User.ID, Roles: v.User.Roles, Auth: v.User.Auth, Claims: v.User.Claims},
		})
		switch {
		case d.Err != nil:
			v.Tools[tool] = "error: " + d.Err.Error()
		case !d.Allow:
			v.Tools[tool] = "deny: " + d.Reason
		}
	}
}
