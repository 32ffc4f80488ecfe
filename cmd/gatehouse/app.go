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
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
	"github.com/gatehouse-mcp/gatehouse/internal/config"
	"github.com/gatehouse-mcp/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

const (
	drainTime     = 20 * time.Second // for exchanges under way when the process is to end
	readTime      = 30 * time.Second // for a client to send its whole request
	writeTime     = 30 * time.Second // for a client to read what it is sent; each event has it anew
	headerTime    = 10 * time.Second // for a client to send the head of its request
	keepAliveTime = 2 * time.Minute  // for a client to send its next request
	maxHeaders    = 64 << 10         // bytes of the head of a request
)

// An app is one gateway: its listeners, its policy and its audit log.
type app struct {
	cfg       *config.Config
	log       *slog.Logger
	audit     *audit.Log
	engine    *policy.Engine
	candidate *candidate            // nil: none
	logs      *audit.DecisionConfig // nil: none
	callers   *callers
	mcp       *http.Server
	admin     *http.Server
	mcpAt     net.Listener
	adminAt   net.Listener
	serving   atomic.Bool // the first bundle was looked for, and messages are served
	draining  atomic.Bool // the process was told to end
}

// newApp opens what the gateway needs. run gives it all back.
func newApp(cfg *config.Config, stdout, stderr io.Writer) (*app, error) {
	a := &app{cfg: cfg, log: slog.New(slog.NewJSONHandler(stderr, nil))}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics := gateway.NewMetrics(registry)
	pc := policyConfig(cfg, a.log)
	pc.OnLoad = func(err error) {
		metrics.BundleLoaded(err)
		a.limitMemory()
	}
	a.engine = policy.New(pc)
	a.candidate = newCandidate(cfg, a.log, a.limitMemory, registry)
	a.describe(registry)

	var err error
	if a.logs, err = a.decisionLogs(registry); err != nil {
		return nil, err
	}
	if a.audit, err = openAudit(&cfg.Audit, stdout, a.log); err != nil {
		return nil, err
	}
	if a.callers, err = newCallers(&cfg.Identity, a.log, metrics.Identified); err != nil {
		return nil, err
	}
	parts, err := openParts(cfg, a.log)
	if err != nil {
		return nil, err
	}
	if a.mcpAt, err = listenAt(cfg.Listen, parts.tls); err != nil {
		return nil, fmt.Errorf("open MCP listener: %w", err)
	}
	if a.adminAt, err = listenAt(cfg.Admin, parts.adminTLS); err != nil {
		return nil, fmt.Errorf("open admin listener: %w", err)
	}
	origins := &listen.Origins{Allowed: cfg.Origins}
	g := a.gateway(metrics, parts)
	a.mcp = a.server(a.parting(&listen.HTTP{
		Gateway:  g,
		Identity: a.callers.identifier,
		OAuth:    oauth(cfg),
		Origins:  origins,
		Limit:    cfg.Limits.MaxMessageBytes,
		Only:     onlyServer(cfg.Servers),
	}))
	admin := &listen.Admin{Origins: origins, Metrics: registry, Ready: a.ready}
	if a.candidate != nil {
		admin.Candidate = func() *gateway.CandidateReport { return a.candidate.Report(a.engine) }
		a.candidate.path = g
	}
	a.admin = a.server(admin.Handler())
	return a, nil
}

// A gateway's heap is small, so it may grow to five times what lives in it
// before it is collected, which halves what collection costs a request. Under
// load by large messages it is collected more often: memory stays near a limit
// that leaves room for the bundle, whose data takes some ten times its text.
const (
	gcPercent   = 400
	softMemory  = 64 << 20
	bundleTimes = 16
)

// limitMemory sets how much memory the process should use with its bundles, if
// any are loaded. GOGC and GOMEMLIMIT in the environment win.
func (a *app) limitMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		limit := int64(softMemory)
		for _, e := range a.engines() {
			if s := e.Pin(); s != nil {
				limit += bundleTimes * s.Size
			}
		}
		debug.SetMemoryLimit(limit)
	}
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

func (a *app) gateway(metrics *gateway.Metrics, parts *parts) *gateway.Gateway {
	g := &gateway.Gateway{
		Upstreams:  parts.upstreams,
		Policy:     a.engine,
		Configured: a.cfg.Policy.Bundle != "" || a.cfg.Policy.Mode == config.ModeEnforce,
		Mode:       string(a.cfg.Policy.Mode),
		OpenIfNone: a.cfg.Policy.AllowOnMissing,
		OpenOnErr:  a.cfg.Policy.AllowOnError,
		Style:      string(a.cfg.Deny.Style),
		ShowReason: a.cfg.Deny.ShowReason,
		Audit:      a.audit,
		Log:        a.log,
		Metrics:    metrics,
		Handles:    parts.handles,
	}
	if a.candidate != nil {
		g.Candidate = a.candidate.Candidate
	}
	return g
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
	defer func() { _ = a.audit.Close() }()
	for _, e := range a.engines() {
		defer e.Close()
	}
	if a.logs != nil {
		logs := audit.StartDecisionLogs(*a.logs)
		a.audit.Tap(logs.Offer)
		defer logs.Close()
	}
	a.limitMemory()
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
	group.Go(func() error {
		a.engine.Poll(ctx)
		return nil
	})
	a.candidate.run(ctx, group)
	group.Go(func() error { return a.callers.run(ctx) })
	group.Go(func() error {
		for {
			select {
			case <-hangups:
				a.candidate.hangup()
				if err := a.audit.Reopen(); err != nil {
					a.log.Error("audit log not reopened", "error", err)
				}
				_ = a.engine.Reload(ctx) // logged, and shown by /readyz
				a.callers.reload()
			case <-ctx.Done():
				return nil
			}
		}
	})
	return group.Wait()
}

// firstLoad loads the bundle before the first request. That it fails is told,
// and then the fail mode decides.
func (a *app) firstLoad(ctx context.Context) {
	switch {
	case a.cfg.Policy.Mode == config.ModeOff:
	case a.cfg.Policy.Bundle != "":
		_ = a.engine.Reload(ctx) // logged, and shown by /readyz
	case a.cfg.Policy.Mode == config.ModeEnforce:
		a.log.Error("no bundle is configured", "on_missing_allow", a.cfg.Policy.AllowOnMissing)
	}
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
