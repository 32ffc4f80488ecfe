package policy

import (
	"context"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/login"
)

// Config says where the policy comes from and how it is asked.
type Config struct {
	Bundle      string            // a .tar.gz file, a directory, an http(s) URL, or oci://registry/repository:tag or @digest
	Files       fs.FS             // the bundle itself, where Bundle is empty
	SHA256      string            // expected hex digest, or a file or URL ending in .sha256
	Poll        time.Duration     // 0: only Reload loads anew
	LongPoll    time.Duration     // how long an HTTP server that can may wait for a new bundle; 0: not at all
	CA          string            // file of the authorities of the bundle's server; empty: the system's
	Credentials login.Credentials // for the bundle's server, and no other
	Verify      *Verify           // nil: signatures are not looked at
	Persist     string            // directory for the last good bundles; empty: none is kept
	Monotonic   bool              // a revision older than the newest ever in force is refused
	Revoked     string            // file or URL of revisions that must not be in force; empty: none
	ReadOnly    bool              // a trial: Persist is read and not written, and no bundle is taken from it
	Trial       bool              // it is not in force, so what is wrong with it is only a warning
	Decision    string            // the rule that decides, as in mcp/decision
	Timeout     time.Duration     // of one decision
	Log         *slog.Logger
	OnLoad      func(error) // told of each attempt that was not without effect; may be nil
}

// Where a bundle in force came from.
const (
	FromSource   = "source"
	FromPersist  = "persist"  // the newest good one that was kept, for want of a better
	FromRollback = "rollback" // a kept one that an operator asked for
)

// An Engine keeps the newest good snapshot of a bundle.
type Engine struct {
	cfg     Config
	source  *source
	shelf   shelf
	workers *workers
	current atomic.Pointer[Snapshot]
	status  atomic.Pointer[Status]

	hurry  atomic.Int32                       // how many calls of Reload wait
	polled atomic.Pointer[context.CancelFunc] // ends the look of Poll

	mu      sync.Mutex // one look at a time; it guards what follows
	looked  bool       // there was a look before
	seen    seen
	newest  string      // the newest revision that was ever in force, where it has an order
	revoked revocations // nil: never read
	wish    string      // the digest that an operator rolled back to; empty: none
	from    string
	unkept  error // why the last bundle of the source was not persisted
}

// seen is the last bundle of the source that was taken.
type seen struct{ etag, sha256 string }

// Status is what the last look came to.
type Status struct {
	Attempted time.Time
	Err       error  // why the newest bundle was refused, the last good one staying, and what else is wrong
	From      string // where the bundle in force came from; empty: there is none
}

// New returns an engine that has loaded nothing yet.
func New(cfg Config) *Engine {
	e := &Engine{
		cfg: cfg, source: newSource(&cfg), workers: newWorkers(),
		shelf: shelf{dir: cfg.Persist, dry: cfg.ReadOnly},
	}
	e.status.Store(&Status{})
	return e
}

// Pin returns the snapshot to judge an exchange by, or nil if none was ever
// loaded. It never waits.
func (e *Engine) Pin() *Snapshot { return e.current.Load() }

// Status returns what the last look came to.
func (e *Engine) Status() Status { return *e.status.Load() }

// Reload obeys what an operator asked of the persisted bundles, fetches the
// bundle, and activates it if it is new and good. A bundle that is not good
// leaves the last good one in force. It does not wait for a look of Poll.
func (e *Engine) Reload(ctx context.Context) error {
	e.hurry.Add(1)
	defer e.hurry.Add(-1)
	if stop := e.polled.Load(); stop != nil {
		(*stop)()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.look(ctx, 0)
}

// pace is the shortest time between two looks at a server that says itself when
// there is something new.
const pace = time.Second

// Poll looks for a new bundle at every interval until the context ends, or
// without a pause where the server holds its answer back.
func (e *Engine) Poll(ctx context.Context) {
	if e.cfg.Poll <= 0 || e.cfg.Bundle == "" {
		return
	}
	for next := e.cfg.Poll; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(next):
		}
		start := time.Now()
		next = e.cfg.Poll
		if e.poll(ctx) {
			next = max(0, pace-time.Since(start))
		}
	}
}

// poll looks once, and reports whether the server is worth asking again at once.
// A call of Reload ends it.
func (e *Engine) poll(ctx context.Context) bool {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	e.polled.Store(&stop)
	defer e.polled.Store(nil)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.hurry.Load() > 0 {
		return e.source.waits()
	}
	err := e.look(ctx, e.cfg.LongPoll) // logged, and kept in Status
	return e.source.waits() && (err == nil || ctx.Err() != nil)
}

// Close lets the engine's goroutines end. Nothing may be judged afterwards.
func (e *Engine) Close() {
	e.workers.close()
	e.source.close()
}
