package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// keepBundles is how many bundles a shelf keeps.
const keepBundles = 5

// The files of a shelf beside its bundles, which are named number-sha256.tar.gz
// in the order in which they came into force.
const (
	newestFile  = "newest"  // the newest revision that was ever in force
	revokedFile = "revoked" // the list of revoked revisions, as last read
	wishFile    = "rollback"
)

// A shelf is the directory in which the last good bundles outlive the process.
// Each file is written whole or not at all. An empty path keeps nothing. Dry, it
// is only read.
type shelf struct {
	dir string
	dry bool
}

// A kept is a bundle on a shelf.
type kept struct {
	number int
	sha256 string
}

func (k kept) file() string { return fmt.Sprintf("%08d-%s.tar.gz", k.number, k.sha256) }

var keptName = regexp.MustCompile(`^([0-9]{8,15})-([0-9a-f]{64})\.tar\.gz$`)

// bundles are those on the shelf, the newest first.
func (s shelf) bundles() ([]kept, error) {
	if s.dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []kept
	for _, entry := range entries {
		if part := keptName.FindStringSubmatch(entry.Name()); part != nil {
			n, _ := strconv.Atoi(part[1]) // of digits
			all = append(all, kept{n, part[2]})
		}
	}
	slices.SortFunc(all, func(a, b kept) int { return b.number - a.number })
	return all, nil
}

// read returns a bundle if it is what its name says.
func (s shelf) read(k kept) (*archive, error) {
	raw, err := readFile(filepath.Join(s.dir, k.file()), maxArchive)
	if err != nil {
		return nil, err
	}
	a, err := unpack(raw, "")
	if err != nil {
		return nil, err
	}
	if a.sha256 != k.sha256 {
		return nil, fmt.Errorf("sha256 is %s, not that of its name", a.sha256)
	}
	return a, nil
}

// keep puts a bundle on the shelf as the newest, and takes the oldest off.
func (s shelf) keep(a *archive) error {
	if s.dir == "" || s.dry {
		return nil
	}
	all, err := s.bundles()
	if err != nil {
		return err
	}
	next := kept{1, a.sha256}
	if len(all) > 0 {
		next.number = all[0].number + 1
		if all[0].sha256 == a.sha256 {
			next.number = all[0].number
		}
	}
	if err := s.write(next.file(), a.raw); err != nil {
		return err
	}
	left := 1
	for _, k := range all {
		switch {
		case k == next:
		case k.sha256 != a.sha256 && left < keepBundles:
			left++
		default:
			err = errors.Join(err, os.Remove(filepath.Join(s.dir, k.file())))
		}
	}
	return errors.Join(err, s.sweep())
}

// sweep removes what a process left that was killed while it wrote a bundle.
func (s shelf) sweep() error {
	left, err := filepath.Glob(filepath.Join(s.dir, ".new-*.tar.gz"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// write writes a file in one step that survives a crash.
func (s shelf) write(name string, raw []byte) error {
	if s.dir == "" || s.dry {
		return nil
	}
	if old, err := s.text(name, int64(len(raw))); err == nil && old != nil && bytes.Equal(old, raw) {
		return nil
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.dir, ".new-*-"+name)
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(s.dir, name))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return s.sync()
}

// sync makes the names of the files survive a crash.
func (s shelf) sync() error {
	dir, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// text reads a file; nil if there is none.
func (s shelf) text(name string, limit int64) ([]byte, error) {
	if s.dir == "" {
		return nil, nil
	}
	raw, err := readFile(filepath.Join(s.dir, name), limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return raw, err
}

// line reads a file of one line; empty if there is none.
func (s shelf) line(name string) (string, error) {
	raw, err := s.text(name, 4096)
	return strings.TrimSpace(string(raw)), err
}

// remove removes a file, if it is there.
func (s shelf) remove(name string) error {
	if s.dry {
		return nil
	}
	err := os.Remove(filepath.Join(s.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, s.sync())
}
