package policy

import (
	"errors"
	"fmt"
)

// inOrder refuses a revision that is older than the newest ever in force, where
// revisions are to be monotonic.
func (e *Engine) inOrder(revision string) error {
	if e.newest == "" {
		newest, err := e.shelf.line(newestFile)
		if err != nil && e.cfg.Monotonic {
			return fmt.Errorf("read the newest revision: %w", err)
		}
		e.newest = newest
	}
	switch {
	case !e.cfg.Monotonic:
		return nil
	case kindOf(revision) == "":
		return errNoOrder(revision)
	case e.newest == "":
		return nil
	}
	order, err := orderRevisions(revision, e.newest)
	if err == nil && order < 0 {
		err = fmt.Errorf("revision %q is older than %q, which was in force", revision, e.newest)
	}
	return err
}

// remember keeps a bundle that comes into force from the source. One that
// cannot be kept comes into force all the same.
func (e *Engine) remember(revision string, a *archive) {
	err := e.shelf.keep(a)
	order, unordered := 1, error(nil)
	if e.newest != "" {
		order, unordered = orderRevisions(revision, e.newest)
	}
	if kindOf(revision) != "" && unordered == nil && order > 0 {
		e.newest = revision
		err = errors.Join(err, e.shelf.write(newestFile, []byte(revision+"\n")))
	}
	if e.wish != "" {
		if wish, _ := e.shelf.line(wishFile); wish == e.wish {
			err = errors.Join(err, e.shelf.remove(wishFile))
		}
		e.wish = ""
	}
	e.unkept = nil
	if err != nil {
		e.unkept = e.complain("bundle not persisted", err)
	}
}

// obey does what an operator asked with gatehouse policy rollback: a persisted
// bundle comes into force, however old it is and whatever the source has, or
// the newest if the wish is withdrawn.
func (e *Engine) obey() error {
	if e.cfg.ReadOnly {
		return nil
	}
	wish, err := e.shelf.line(wishFile)
	switch {
	case err != nil:
		return e.complain("rollback not read", err)
	case wish == e.wish:
		return nil
	case wish == "":
		e.wish, e.seen = "", seen{}
		e.cfg.Log.Info("rollback withdrawn")
		return e.resume()
	}
	all, err := e.shelf.bundles()
	for _, k := range all {
		if k.sha256 != wish {
			continue
		}
		s, err := e.open(k)
		if err != nil {
			return e.refuse(fmt.Errorf("roll back to %s: %w", wish, err))
		}
		e.wish = wish
		e.activate(s, FromRollback, "bundle activated by explicit rollback")
		return nil
	}
	return e.refuse(errors.Join(fmt.Errorf("roll back to %s: no such bundle is persisted", wish), err))
}

// ends reports whether a bundle of the source ends a rollback: it is newer than
// all that were in force or, where revisions have no order, was none of those
// that are persisted.
func (e *Engine) ends(revision, sha256 string) bool {
	if order, err := orderRevisions(revision, e.newest); err == nil {
		return order > 0
	}
	all, err := e.shelf.bundles()
	for _, k := range all {
		if k.sha256 == sha256 {
			return false
		}
	}
	return err == nil
}

// replaceRevoked replaces a bundle in force that has been revoked by a persisted
// one, if there is one.
func (e *Engine) replaceRevoked() error {
	now := e.Pin()
	if now == nil || e.revoked.check(now.Revision, now.SHA256) == nil {
		return nil
	}
	err := e.resume()
	if e.Pin() != now {
		e.seen = seen{} // the source's is to be refused, not to be unchanged
	}
	return err
}

// stillRevoked tells of a revoked bundle that nothing could replace. It stays
// in force, for no policy at all would be worse.
func (e *Engine) stillRevoked() error {
	now := e.Pin()
	if now == nil {
		return nil
	}
	if err := e.revoked.check(now.Revision, now.SHA256); err != nil {
		return e.complain("the bundle in force is revoked, and no other is persisted", err)
	}
	return nil
}

// resume activates the newest persisted bundle that is good, if there is one.
func (e *Engine) resume() error {
	if e.cfg.ReadOnly {
		return nil
	}
	all, err := e.shelf.bundles()
	if err != nil {
		return e.complain("persisted bundles not read", err)
	}
	now := e.Pin()
	for _, k := range all {
		if now != nil && now.SHA256 == k.sha256 {
			if e.revoked.check(now.Revision, now.SHA256) == nil {
				e.from = FromPersist
				return nil
			}
			continue
		}
		s, err := e.open(k)
		if err != nil {
			e.cfg.Log.Error("persisted bundle refused", "sha256", k.sha256, "error", err)
			continue
		}
		e.activate(s, FromPersist, "bundle activated from persistence")
		return nil
	}
	return nil
}

// open makes a snapshot of a persisted bundle, if it still passes.
func (e *Engine) open(k kept) (*Snapshot, error) {
	if pin := e.source.pinned(); pin != "" && pin != k.sha256 {
		return nil, fmt.Errorf("sha256 is %s, expected %s", k.sha256, pin)
	}
	a, err := e.shelf.read(k)
	if err != nil {
		return nil, err
	}
	b, err := e.parse(a)
	if err != nil {
		return nil, err
	}
	return e.compile(b, a)
}
