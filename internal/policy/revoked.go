package policy

import (
	"context"
	"fmt"
	"strings"
)

// revocations are the revisions, and the digests as sha256:hex, that must not
// be in force.
type revocations map[string]bool

// parseRevocations reads a list with one entry a line. A # begins a comment, at
// the begin of a line or after a space.
func parseRevocations(text []byte) revocations {
	list := revocations{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		line, _, _ = strings.Cut(line, " #")
		if line = strings.TrimSpace(line); line != "" {
			list[line] = true
		}
		if digest, ok := strings.CutPrefix(line, digestPrefix); ok {
			list[digestPrefix+strings.ToLower(digest)] = true
		}
	}
	return list
}

const digestPrefix = "sha256:"

// check returns an error if the bundle is revoked.
func (r revocations) check(revision, sha256 string) error {
	if r[revision] {
		return fmt.Errorf("revision %q is revoked", revision)
	}
	if r[digestPrefix+sha256] {
		return fmt.Errorf("the bundle of %s%s is revoked", digestPrefix, sha256)
	}
	return nil
}

const maxRevoked = 1 << 20 // bytes of the list

// readRevoked reads the list anew. Where it cannot be read, the last one that
// could counts, which may be that of an earlier run.
func (e *Engine) readRevoked(ctx context.Context) error {
	if e.cfg.Revoked == "" {
		return nil
	}
	text, err := e.source.text(ctx, e.cfg.Revoked, maxRevoked)
	if err == nil {
		e.revoked = parseRevocations(text)
		if err := e.shelf.write(revokedFile, text); err != nil {
			return e.complain("list of revoked revisions not persisted", err)
		}
		return nil
	}
	if e.revoked == nil {
		if text, unread := e.shelf.text(revokedFile, maxRevoked); unread == nil && text != nil {
			e.revoked = parseRevocations(text)
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return e.complain("list of revoked revisions not read", err)
}
