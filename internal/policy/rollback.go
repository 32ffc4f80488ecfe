package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A Shelf is the directory of a gateway's persisted bundles, as an operator
// sees it who is not that gateway.
type Shelf struct{ shelf shelf }

// A Kept is a persisted bundle.
type Kept struct {
	Revision string
	SHA256   string
	Time     time.Time // when it was persisted
	Wanted   bool      // a rollback to it was asked for
	Err      error     // why it cannot be used: it is not what was persisted
}

// OpenShelf returns the shelf in a directory.
func OpenShelf(dir string) Shelf { return Shelf{shelf{dir: dir}} }

// List returns the persisted bundles, the newest first.
func (s Shelf) List() ([]Kept, error) {
	if _, err := os.Stat(s.shelf.dir); err != nil {
		return nil, err
	}
	all, err := s.shelf.bundles()
	if err != nil {
		return nil, err
	}
	wish, err := s.shelf.line(wishFile)
	if err != nil {
		return nil, err
	}
	list := make([]Kept, len(all))
	for i, k := range all {
		list[i] = s.describe(k)
		list[i].Wanted = wish == k.sha256
	}
	return list, nil
}

func (s Shelf) describe(k kept) Kept {
	out := Kept{SHA256: k.sha256, Revision: k.sha256[:12]}
	info, err := os.Stat(filepath.Join(s.shelf.dir, k.file()))
	if err != nil {
		out.Err = err
		return out
	}
	out.Time = info.ModTime()
	a, err := s.shelf.read(k)
	if err != nil {
		out.Err = err
		return out
	}
	var manifest struct{ Revision string }
	if raw := a.files[".manifest"]; raw != nil {
		out.Err = json.Unmarshal(raw, &manifest)
	}
	if manifest.Revision != "" {
		out.Revision = manifest.Revision
	}
	return out
}

// RollBack asks the gateway to go back to the newest bundle of a revision or
// of a digest written as sha256:hex, and returns it. Empty text is the bundle
// before the newest, or before the one that it was already asked to go to.
func (s Shelf) RollBack(to string) (Kept, error) {
	all, err := s.List()
	if err != nil {
		return Kept{}, err
	}
	at, err := choose(all, to)
	if err != nil {
		return Kept{}, err
	}
	if all[at].Err != nil {
		return Kept{}, fmt.Errorf("bundle %s cannot be used: %w", all[at].SHA256, all[at].Err)
	}
	return all[at], s.shelf.write(wishFile, []byte(all[at].SHA256+"\n"))
}

func choose(all []Kept, to string) (int, error) {
	at := 0
	for i, k := range all {
		if k.Wanted {
			at = i
		}
		if to != "" && (to == k.Revision || strings.ToLower(to) == digestPrefix+k.SHA256) {
			return i, nil
		}
	}
	if to != "" {
		return 0, fmt.Errorf("no bundle of revision %q is persisted (see --list)", to)
	}
	if at+1 >= len(all) {
		return 0, errors.New("no older bundle is persisted (see --list)")
	}
	return at + 1, nil
}

// Clear withdraws what was asked.
func (s Shelf) Clear() error { return s.shelf.remove(wishFile) }
