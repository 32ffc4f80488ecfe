package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/open-policy-agent/opa/v1/bundle"
)

// startTime is how long the first look waits for the source where a persisted
// bundle could serve.
const startTime = 10 * time.Second

// look does all that a reload does: what an operator wishes of the persisted
// bundles first, for that needs no server, and the source last. The error joins
// all that went wrong, which was logged.
func (e *Engine) look(ctx context.Context, wait time.Duration) error {
	defer func() { e.looked = true }()
	var wrong []error
	ready := e.cfg.Revoked == "" || e.revoked != nil
	if ready {
		wrong = append(wrong, e.obey())
	}
	wrong = append(wrong, e.readRevoked(ctx))
	if e.cfg.Revoked == "" || e.revoked != nil {
		if !ready {
			wrong = append(wrong, e.obey())
		}
		wrong = append(wrong, e.replaceRevoked(), e.follow(ctx, wait))
		if e.Pin() == nil {
			wrong = append(wrong, e.resume())
		}
		wrong = append(wrong, e.stillRevoked())
	} else {
		wrong = append(wrong, e.refuse(errors.New("no list of revoked revisions was ever read")))
	}
	if err := ctx.Err(); errors.Is(err, context.Canceled) {
		return err // the look was broken off and says nothing
	}
	err := errors.Join(append(wrong, e.unkept)...)
	e.status.Store(&Status{Attempted: time.Now(), Err: err, From: e.from})
	if err != nil {
		err = fmt.Errorf("load bundle: %w", err)
	}
	return err
}

// follow activates the bundle of the source if it is new and good.
func (e *Engine) follow(ctx context.Context, wait time.Duration) error {
	if !e.looked {
		if all, _ := e.shelf.bundles(); len(all) > 0 {
			short, cancel := context.WithTimeout(ctx, startTime)
			defer cancel()
			ctx = short
		}
	}
	s, err := e.next(ctx, wait)
	switch {
	case errors.Is(err, errUnchanged):
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case err != nil:
		return e.refuse(err)
	}
	e.activate(s, FromSource, "bundle activated")
	return nil
}

// next is the source's bundle, if it is to come into force.
func (e *Engine) next(ctx context.Context, wait time.Duration) (*Snapshot, error) {
	a, err := e.source.fetch(ctx, e.seen.etag, e.seen.sha256, wait)
	if errors.Is(err, errUnchanged) && a != nil {
		e.seen.etag = a.etag
	}
	if err != nil {
		return nil, err
	}
	if a.raw == nil && (e.cfg.Verify != nil || e.cfg.Persist != "") {
		return nil, errors.New("the bundle is a directory: verify and persist need a .tar.gz")
	}
	b, err := e.parse(a)
	if err != nil {
		return nil, err
	}
	if err := e.inOrder(b.Manifest.Revision); err != nil {
		return nil, err
	}
	s, err := e.compile(b, a)
	if err != nil {
		return nil, err
	}
	e.seen = seen{a.etag, a.sha256}
	if e.wish != "" && !e.ends(b.Manifest.Revision, a.sha256) {
		e.cfg.Log.Info("bundle held back by the rollback", "revision", s.Revision, "sha256", s.SHA256)
		return nil, errUnchanged
	}
	e.remember(b.Manifest.Revision, a)
	if now := e.Pin(); now != nil && now.SHA256 == a.sha256 {
		e.from = FromSource
		return nil, errUnchanged
	}
	return s, nil
}

// parse makes a bundle of an archive, if it is signed as it must be and not
// revoked.
func (e *Engine) parse(a *archive) (*bundle.Bundle, error) {
	b, err := parseBundle(a.files, e.cfg.Verify)
	if err != nil {
		return nil, err
	}
	return b, e.revoked.check(revisionOf(b, a.sha256), a.sha256)
}

func (e *Engine) compile(b *bundle.Bundle, a *archive) (*Snapshot, error) {
	s, err := newSnapshot(b, a.files, a.sha256, e.cfg.Decision)
	if err != nil {
		return nil, err
	}
	s.workers, s.timeout, s.Size = e.workers, e.cfg.Timeout, a.size()
	return s, nil
}

func (e *Engine) activate(s *Snapshot, from, message string) {
	e.current.Store(s)
	e.from = from
	e.cfg.Log.Info(message, "revision", s.Revision, "sha256", s.SHA256, "from", from)
	s.warn(e.cfg.Log)
	if e.cfg.OnLoad != nil {
		e.cfg.OnLoad(nil)
	}
}

// refuse tells that a bundle was not activated.
func (e *Engine) refuse(err error) error {
	told := fmt.Errorf("load bundle: %w", err)
	_ = e.complain("bundle refused", told)
	if e.cfg.OnLoad != nil {
		e.cfg.OnLoad(told)
	}
	return err
}

// complain logs what is wrong, in one line, and returns it.
func (e *Engine) complain(message string, err error) error {
	level := slog.LevelError
	if e.cfg.Trial {
		level = slog.LevelWarn
	}
	e.cfg.Log.Log(context.Background(), level, message, "error", err, "in_force", e.revision())
	return fmt.Errorf("%s: %w", message, err)
}

func (e *Engine) revision() string {
	if s := e.Pin(); s != nil {
		return s.Revision
	}
	return "none"
}
