package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/bridge"
	"github.com/gatehouse-mcp/gatehouse/internal/config"
	"github.com/gatehouse-mcp/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/reread"
	"github.com/gatehouse-mcp/gatehouse/internal/upstream"
)

const (
	upstreamWait = 5 * time.Minute  // for the head of a server's answer
	issuerWait   = 10 * time.Second // for that of an authorization server's
)

// parts are what the configuration names files for.
type parts struct {
	tls, adminTLS *tls.Config // nil: plain text
	handles       *gateway.Handles
	upstreams     map[string]gateway.Upstream
	bridges       []*bridge.Bridge     // the upstreams
	sessions      []*upstream.Sessions // those of upstreams that have channels to close
}

// close ends what upstreams have open, and waits for it.
func (p *parts) close() {
	var all sync.WaitGroup
	for _, b := range p.bridges {
		all.Go(b.Close)
	}
	all.Wait()
	for _, s := range p.sessions {
		all.Go(s.Close)
	}
	all.Wait()
}

// openParts reads all those files. It opens no connection.
func openParts(cfg *config.Config, log *slog.Logger) (*parts, error) {
	p := &parts{upstreams: map[string]gateway.Upstream{}}
	var err error
	if p.tls, err = openTLS(cfg.TLS, log); err != nil {
		return nil, fmt.Errorf("open tls: %w", err)
	}
	if p.adminTLS, err = openTLS(cfg.AdminTLS, log); err != nil {
		return nil, fmt.Errorf("open adminTls: %w", err)
	}
	if p.handles, err = openHandles(cfg.Handles.KeyFile, log); err != nil {
		return nil, fmt.Errorf("open handles.keyFile: %w", err)
	}
	shared := upstream.NewDirect(upstream.NewTransport(upstreamWait))
	issuers := upstream.NewClient(upstream.NewTransport(issuerWait))
	slots := make(chan struct{}, cfg.Processes.Max)
	for name, s := range cfg.Servers {
		if s.Command != "" {
			p.bridge(name, p.channels(&cfg.Processes, slots, log.With("server", name), command(cfg, s)), true)
			continue
		}
		u := &upstream.HTTP{URL: s.URL, Header: http.Header{}, Limit: int(cfg.Limits.MaxMessageBytes), Transport: shared}
		if err := openServer(u, s, issuers, log); err != nil {
			return nil, fmt.Errorf("open mcpServers.%s: %w", name, err)
		}
		if s.Transport == config.TransportHTTP {
			p.bridge(name, u, false)
			continue
		}
		sessions := p.channels(&cfg.Processes, slots, log.With("server", name), overSSE(u))
		if s.Transport == config.TransportSSE {
			p.bridge(name, sessions, true)
			continue
		}
		p.bridge(name, &upstream.Either{HTTP: u, Sessions: sessions}, false)
	}
	return p, nil
}

// bridge adds an upstream for clients of both eras. channel says that it is reached over channels.
func (p *parts) bridge(name string, u bridge.Upstream, channel bool) {
	b := bridge.New(u, channel)
	p.upstreams[name] = b
	p.bridges = append(p.bridges, b)
}

// channels returns an upstream that opens those for each session or principal.
func (p *parts) channels(c *config.Processes, slots chan struct{}, log *slog.Logger, open openChannel) *upstream.Sessions {
	s := &upstream.Sessions{
		Slots: slots, PerPrincipal: c.MaxPerPrincipal, Idle: c.Idle, Lifetime: c.Lifetime, Log: log,
		Open: func(ctx context.Context, out *mcp.Outgoing) (upstream.Channel, error) { return open(ctx, out, log) },
	}
	p.sessions = append(p.sessions, s)
	return s
}

// An openChannel opens one, for the principal of a message.
type openChannel func(ctx context.Context, out *mcp.Outgoing, log *slog.Logger) (upstream.Channel, error)

// overSSE connects to a server that speaks HTTP+SSE.
func overSSE(u *upstream.HTTP) openChannel {
	return func(ctx context.Context, out *mcp.Outgoing, _ *slog.Logger) (upstream.Channel, error) {
		return u.OpenSSE(ctx, out)
	}
}

// command starts a server's process. Who for, and with which process, is in the log.
func command(cfg *config.Config, s config.Server) openChannel {
	env := map[string]string{}
	for name, value := range s.Env {
		env[name] = string(value)
	}
	return func(_ context.Context, out *mcp.Outgoing, log *slog.Logger) (upstream.Channel, error) {
		c := &upstream.Command{
			Path: s.Command, Args: s.Args, Env: upstream.Environ(env), Dir: s.Dir,
			Limit: int(cfg.Limits.MaxMessageBytes), Memory: cfg.Processes.MaxMemory, Log: log,
		}
		p, err := c.Start()
		if err != nil {
			return nil, err
		}
		log.Info("server started", "pid", p.PID(), "principal", strings.ReplaceAll(out.Principal, "\x00", " "))
		return p, nil
	}
}

func openTLS(c *config.TLS, log *slog.Logger) (*tls.Config, error) {
	if c == nil {
		return nil, nil
	}
	return listen.NewTLS(listen.TLSFiles{Certificate: c.Certificate, Key: c.Key, ClientCA: c.ClientCA}, c.MinVersion, log)
}

func openHandles(path string, log *slog.Logger) (*gateway.Handles, error) {
	if path == "" {
		log.Warn("handles.keyFile is not set: when this process ends, sessions and tasks are lost, and no other replica knows them")
		return gateway.NewHandles(), nil
	}
	files, err := reread.Open("handles.keyFile", log, gateway.ParseHandleKeys, path)
	if err != nil {
		return nil, err
	}
	return gateway.SharedHandles(files.Get), nil
}

// openServer gives an upstream the credentials of the gateway's there.
func openServer(u *upstream.HTTP, s config.Server, issuers *http.Client, log *slog.Logger) error {
	for header, value := range s.Headers {
		u.Header.Set(header, string(value))
	}
	u.Files = map[string]func() string{}
	for header, path := range s.HeaderFiles {
		var err error
		if u.Files[header], err = upstream.OpenHeader(header, path, log); err != nil {
			return err
		}
	}
	switch {
	case s.OAuth2 != nil:
		u.Tokens = tokens(s.OAuth2, issuers)
	case s.TokenExchange != nil:
		u.Tokens = tokens(s.TokenExchange, issuers)
		u.Tokens.Exchange = true
	}
	if s.TLS == (config.ServerTLS{}) {
		return nil
	}
	var err error
	u.Transport, err = upstream.NewTLSTransport(upstreamWait, upstream.TLSFiles(s.TLS), log)
	return err
}

func tokens(c *config.TokenClient, client *http.Client) *upstream.Tokens {
	return &upstream.Tokens{
		TokenURL: c.TokenURL.String(), ClientID: c.ClientID, ClientSecret: string(c.ClientSecret),
		Scopes: c.Scopes, Audience: c.Audience, Resource: c.Resource, Client: client,
	}
}

// listenAt opens a listener, with TLS if it is configured.
func listenAt(address string, c *tls.Config) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil || c == nil {
		return l, err
	}
	return tls.NewListener(l, c), nil
}
