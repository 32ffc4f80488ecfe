package main

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
	"github.com/gatehouse-mcp/gatehouse/internal/config"
	"github.com/gatehouse-mcp/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
	"github.com/gatehouse-mcp/gatehouse/internal/trace"
)

// A core is what judges and records, however messages come and go.
type core struct {
	cfg       *config.Config
	log       *slog.Logger
	audit     *audit.Log
	files     fs.FS // the policy, where no bundle is configured; nil: none
	engine    *policy.Engine
	candidate *candidate            // nil: none
	logs      *audit.DecisionConfig // nil: none
	registry  *prometheus.Registry
	metrics   *gateway.Metrics
	tracer    *trace.Tracer // nil: none
}

// newCore opens what it needs; what begin returns gives it back, the log of
// records as well.
func newCore(cfg *config.Config, files fs.FS, records *audit.Log, log *slog.Logger) (*core, error) {
	a := &core{cfg: cfg, log: log, audit: records, registry: prometheus.NewRegistry()}
	for _, w := range cfg.Warnings {
		log.Warn("configuration", "warning", w)
	}
	if cfg.Policy.Bundle == "" {
		a.files = files
	}
	a.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.metrics = gateway.NewMetrics(a.registry)
	pc := policyConfig(cfg, a.log)
	pc.Files = a.files
	pc.OnLoad = func(err error) {
		a.metrics.BundleLoaded(err)
		a.limitMemory()
	}
	a.engine = policy.New(pc)
	a.candidate = newCandidate(cfg, a.log, a.limitMemory, a.registry)
	a.describe()

	var err error
	if a.logs, err = a.decisionLogs(a.registry); err != nil {
		return nil, err
	}
	a.tracer, err = newTracer(log)
	return a, err
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
func (a *core) limitMemory() {
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

// gateway is the path, with what it judges by. It is asked for once.
func (a *core) gateway(upstreams map[string]gateway.Upstream, handles *gateway.Handles) *gateway.Gateway {
	g := &gateway.Gateway{
		Upstreams:  upstreams,
		Policy:     a.engine,
		Configured: a.cfg.Policy.Bundle != "" || a.files != nil || a.cfg.Policy.Mode == config.ModeEnforce,
		Mode:       string(a.cfg.Policy.Mode),
		OpenIfNone: a.cfg.Policy.AllowOnMissing,
		OpenOnErr:  a.cfg.Policy.AllowOnError,
		Style:      string(a.cfg.Deny.Style),
		ShowReason: a.cfg.Deny.ShowReason,
		Audit:      a.audit,
		Log:        a.log,
		Metrics:    a.metrics,
		Handles:    handles,
		Tracer:     a.tracer,
	}
	if a.candidate != nil {
		g.Candidate = a.candidate.Candidate
		a.candidate.path = g
	}
	return g
}

// begin starts what must be there before the first message; end ends it.
func (a *core) begin() (end func()) {
	a.limitMemory()
	logs := func() {}
	if a.logs != nil {
		l := audit.StartDecisionLogs(*a.logs)
		a.audit.Tap(l.Offer)
		logs = l.Close
	}
	return func() {
		var last sync.WaitGroup // there is one time for all that is yet to be sent
		last.Go(a.tracer.Close)
		logs()
		last.Wait()
		for _, e := range a.engines() {
			e.Close()
		}
		_ = a.audit.Close()
	}
}

// follow keeps the policy up to date until the context ends. At each hangup it
// reopens the audit log, reloads the bundle, and calls also.
func (a *core) follow(ctx context.Context, group *errgroup.Group, hangups <-chan os.Signal, also func()) {
	group.Go(func() error {
		a.engine.Poll(ctx)
		return nil
	})
	a.candidate.run(ctx, group)
	group.Go(func() error {
		for {
			select {
			case <-hangups:
				a.candidate.hangup()
				if err := a.audit.Reopen(); err != nil {
					a.log.Error("audit log not reopened", "error", err)
				}
				_ = a.engine.Reload(ctx) // logged, and shown by /readyz
				also()
			case <-ctx.Done():
				return nil
			}
		}
	})
}

// firstLoad loads the bundle before the first request. That it fails is told,
// and then the fail mode decides.
func (a *core) firstLoad(ctx context.Context) {
	switch {
	case a.cfg.Policy.Mode == config.ModeOff:
	case a.cfg.Policy.Bundle != "" || a.files != nil:
		_ = a.engine.Reload(ctx) // logged, and shown by /readyz
	case a.cfg.Policy.Mode == config.ModeEnforce:
		a.log.Error("no bundle is configured", "on_missing_allow", a.cfg.Policy.AllowOnMissing)
	}
}
