package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Config says where the policy comes from and how it is asked.
type Config struct {
	Bundle   string        // a .tar.gz file, a directory, or an http(s) URL
	SHA256   string        // expected hex digest, or a file or URL ending in .sha256
	Poll     time.Duration // 0: only Reload loads anew
	Decision string        // the rule that decides, as in mcp/decision
	Timeout  time.Duration // of one decision
	Log      *slog.Logger
	OnLoad   func(error) // told of each attempt that was not without effect; may be nil
}

// An Engine keeps the newest good snapshot of a bundle.
type Engine struct {
	cfg     Config
	source  *source
	workers *workers
	current atomic.Pointer[Snapshot]

	mu     sync.Mutex // one load at a time
	etag   string
	status atomic.Pointer[Status]
}

// Status is what the last load came to.
type Status struct {
	Attempted time.Time
	Err       error // why the newest bundle was refused; the last good one stays
}

// New returns an engine that has loaded nothing yet.
func New(cfg Config) *Engine {
	e := &Engine{cfg: cfg, source: newSource(cfg.Bundle, cfg.SHA256), workers: newWorkers()}
	e.status.Store(&Status{})
	return e
}

// Pin returns the snapshot to judge an exchange by, or nil if none was ever
// loaded. It never waits.
func (e *Engine) Pin() *Snapshot { return e.current.Load() }

// Status returns what the last load came to.
func (e *Engine) Status() Status { return *e.status.Load() }

// Reload fetches the bundle and activates it if it is new and good. A bundle
// that is not good leaves the last good one in force.
func (e *Engine) Reload(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	next, err := e.load(ctx)
	if errors.Is(err, errUnchanged) {
		e.status.Store(&Status{Attempted: time.Now()})
		return nil
	}
	e.status.Store(&Status{Attempted: time.Now(), Err: err})
	if err != nil {
		err = fmt.Errorf("load bundle: %w", err)
		e.cfg.Log.Error("bundle refused", "error", err, "in_force", e.revision())
	} else {
		e.current.Store(next)
		e.cfg.Log.Info("bundle activated", "revision", next.Revision, "sha256", next.SHA256)
		next.warn(e.cfg.Log)
	}
	if e.cfg.OnLoad != nil {
		e.cfg.OnLoad(err)
	}
	return err
}

func (e *Engine) revision() string {
	if s := e.Pin(); s != nil {
		return s.Revision
	}
	return "none"
}

func (e *Engine) load(ctx context.Context) (*Snapshot, error) {
	digest := ""
	if s := e.Pin(); s != nil {
		digest = s.SHA256
	}
	a, err := e.source.fetch(ctx, e.etag, digest)
	if errors.Is(err, errUnchanged) && a != nil {
		e.etag = a.etag
	}
	if err != nil {
		return nil, err
	}
	b, err := parseBundle(a.files)
	if err != nil {
		return nil, err
	}
	s, err := newSnapshot(b, a.sha256, e.cfg.Decision)
	if err != nil {
		return nil, err
	}
	s.workers, s.timeout, s.Size = e.workers, e.cfg.Timeout, a.size()
	e.etag = a.etag
	return s, nil
}

// Poll reloads at every interval until the context ends.
func (e *Engine) Poll(ctx context.Context) {
	if e.cfg.Poll <= 0 || e.cfg.Bundle == "" {
		return
	}
	tick := time.NewTicker(e.cfg.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = e.Reload(ctx) // logged, and kept in Status
		}
	}
}

// Close lets the engine's goroutines end. Nothing may be judged afterwards.
func (e *Engine) Close() {
	e.workers.close()
	e.source.client.CloseIdleConnections()
}
