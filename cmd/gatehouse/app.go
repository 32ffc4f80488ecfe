package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-mcp/gatehouse/internal/config"
	"github.com/gatehouse-mcp/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
)

const (
	drainTime     = 20 * time.Second // for exchanges under way when the process is to end
	readTime      = 30 * time.Second // for a client to send its whole request
	writeTime     = 30 * time.Second // for a client to read what it is sent; each event has it anew
	headerTime    = 10 * time.Second // for a client to send the head of its request
	keepAliveTime = 2 * time.Minute  // for a client to send its next request
	maxHeaders    = 64 << 10         // bytes of the head of a request
)

// An app is one gateway with its listeners.
type app struct {
	*core
	callers  *callers
	parts    *parts
	mcp      *http.Server
	admin    *http.Server
	mcpAt    net.Listener
	adminAt  net.Listener
	serving  atomic.Bool // the first bundle was looked for, and messages are served
	draining atomic.Bool // the process was told to end
}

// newApp opens what the gateway needs. run gives it all back.
func newApp(cfg *config.Config, stdout, stderr io.Writer) (*app, error) {
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	records, err := openAudit(&cfg.Audit, stdout, log)
	if err != nil {
		return nil, err
	}
	c, err := newCore(cfg, nil, records, log)
	if err != nil {
		return nil, err
	}
	a := &app{core: c}
	if a.callers, err = newCallers(&cfg.Identity, a.log, a.metrics.Identified); err != nil {
		return nil, err
	}
	if a.parts, err = openParts(cfg, a.log); err != nil {
		return nil, err
	}
	if a.mcpAt, err = listenAt(cfg.Listen, a.parts.tls); err != nil {
		return nil, fmt.Errorf("open MCP listener: %w", err)
	}
	if a.adminAt, err = listenAt(cfg.Admin, a.parts.adminTLS); err != nil {
		return nil, fmt.Errorf("open admin listener: %w", err)
	}
	origins := &listen.Origins{Allowed: cfg.Origins}
	g := a.gateway(a.parts.upstreams, a.parts.handles)
	a.mcp = a.server(a.parting(&listen.HTTP{
		Gateway:  g,
		Identity: a.callers.identifier,
		OAuth:    oauth(cfg),
		Origins:  origins,
		Limit:    cfg.Limits.MaxMessageBytes,
		Only:     onlyServer(cfg.Servers),
	}))
	parting, part := context.WithCancel(context.Background())
	g.Parting = parting
	a.mcp.RegisterOnShutdown(part)
	admin := &listen.Admin{Origins: origins, Metrics: a.registry, Ready: a.ready}
	if a.candidate != nil {
		admin.Candidate = func() *gateway.CandidateReport { return a.candidate.Report(a.engine) }
	}
	a.admin = a.server(admin.Handler())
	return a, nil
}

func (a *app) server(h http.Handler) *http.Server {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	return &http.Server{
		Protocols:         protocols,
		Handler:           h,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       readTime,
		WriteTimeout:      writeTime,
		IdleTimeout:       keepAliveTime,
		MaxHeaderBytes:    maxHeaders,

		DisableGeneralOptionsHandler: true, // OPTIONS * has no path of ours
		ErrorLog:                     slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
}

func onlyServer(servers map[string]config.Server) string {
	if len(servers) == 1 {
		for name := range servers {
			return name
		}
	}
	return ""
}

// ready is the gateway's readiness: it is not ready before it serves, nor once
// it was told to end, nor while it would deny everything for want of a policy.
func (a *app) ready() listen.Readiness {
	r := listen.Readiness{Ready: true, Mode: string(a.cfg.Policy.Mode)}
	if s := a.engine.Pin(); s != nil {
		r.Policy = listen.PolicyReadiness{
			Loaded: true, Revision: s.Revision, SHA256: s.SHA256, LoadedAt: s.Loaded.UTC().Format(time.RFC3339),
		}
	} else {
		r.Ready = a.cfg.Policy.Mode != config.ModeEnforce || a.cfg.Policy.AllowOnMissing
	}
	r.Draining = a.draining.Load()
	r.Ready = r.Ready && a.serving.Load() && !r.Draining
	status := a.engine.Status()
	r.Policy.From = status.From
	if status.Err != nil {
		r.Policy.Error = status.Err.Error()
	}
	a.callers.ready(&r)
	return r
}

// run serves until the context ends, and for as long as it drains after that. At
// each hangup it reopens the audit log and reloads the bundle. Exchanges under
// way at the end have some time, and until then the admin listener answers.
func (a *app) run(ctx context.Context, hangups <-chan os.Signal) error {
	defer a.begin()()
	defer a.parts.close()
	group, ctx := errgroup.WithContext(a.drain(ctx))
	served, done := context.WithCancel(context.WithoutCancel(ctx))
	defer done()
	group.Go(func() error { return serve(served, a.admin, a.adminAt) })
	a.log.Info("listening", "mcp", a.mcpAt.Addr().String(), "admin", a.adminAt.Addr().String(),
		"mode", a.cfg.Policy.Mode, "version", version)
	a.firstLoad(ctx)
	a.serving.Store(true)
	group.Go(func() error {
		defer done()
		return serve(ctx, a.mcp, a.mcpAt)
	})
	group.Go(func() error { return a.callers.run(ctx) })
	a.follow(ctx, group, hangups, a.callers.reload)
	return group.Wait()
}

// serve serves until the context ends, and then drains.
func serve(ctx context.Context, server *http.Server, at net.Listener) error {
	drained := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(drained)
		late, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		if server.Shutdown(late) != nil {
			_ = server.Close() // whatever is left is cut off
		}
	})
	err := server.Serve(at)
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	if !stop() {
		<-drained
	}
	return err
}
