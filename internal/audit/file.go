package audit

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// A file is the end of the log that is written to: the file at a path, and
// others beside it that were put aside.
type file struct {
	*os.File
	path    string
	size    int64
	regular bool
	max     int64
	keep    int
	limit   int64 // the size beyond which the next record goes to a new file
	log     *slog.Logger
	prune   sync.WaitGroup
}

func openFile(c *Config) (*file, error) {
	f := &file{path: c.Path, max: c.MaxBytes, keep: c.Keep, log: c.Log}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	return f, f.replace()
}

// replace opens the file at the path instead of the one that was open.
func (f *file) replace() error {
	flags := os.O_APPEND | os.O_CREATE | os.O_RDWR // the last record is read
	if info, err := os.Stat(f.path); err == nil && !info.Mode().IsRegular() {
		flags = os.O_APPEND | os.O_WRONLY // a pipe that was open for reading would never break
	}
	next, err := os.OpenFile(f.path, flags, 0o600)
	if err != nil {
		return fmt.Errorf("open audit log: %w", err)
	}
	info, err := next.Stat()
	if err == nil && info.Mode().IsRegular() {
		err = lock(next)
	}
	if err != nil {
		_ = next.Close()
		return fmt.Errorf("open audit log %s: %w", f.path, err)
	}
	if f.File != nil {
		_ = f.Close()
	}
	f.File, f.size, f.regular, f.limit = next, info.Size(), info.Mode().IsRegular(), f.max
	return nil
}

// Write appends to the file.
func (f *file) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	f.size += int64(n)
	return n, err
}

// current reports whether the open file is still the one at the path.
func (f *file) current() bool {
	at, err := os.Stat(f.path)
	if err != nil {
		return false
	}
	open, err := f.Stat()
	return err == nil && os.SameFile(at, open)
}

// rotate puts the file aside if a line of n bytes would make it too large. If
// it cannot, the log grows on: no record is lost for it.
func (f *file) rotate(n int) {
	if f.limit == 0 || !f.regular || f.size == 0 || f.size+int64(n) <= f.limit {
		return
	}
	if err := f.aside(); err != nil {
		f.limit = f.size + f.max/16 + 1 // and then it is tried again
		f.log.Error("audit log not rotated", "error", err)
		return
	}
	if f.keep > 0 {
		f.prune.Go(f.removeOld)
	}
}

func (f *file) aside() error {
	if !f.current() { // somebody else has put it aside
		return f.replace()
	}
	name := f.free()
	if err := os.Rename(f.path, name); err != nil {
		return err
	}
	if err := f.replace(); err != nil {
		_ = os.Rename(name, f.path)
		return err
	}
	return nil
}

// asideTime is the end of the name of a file that was put aside, which sorts by time.
const asideTime = "20060102T150405.000000Z"

func (f *file) free() string {
	for at := time.Now().UTC(); ; at = at.Add(time.Microsecond) {
		name := f.path + "." + at.Format(asideTime)
		if _, err := os.Lstat(name); err != nil {
			return name
		}
	}
}

var asideEnd = regexp.MustCompile(`^\.\d{8}T\d{6}\.\d{6}Z(\.gz)?$`)

// Aside returns the files beside the log at path that were put aside, oldest first.
func Aside(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
		end, ok := strings.CutPrefix(e.Name(), filepath.Base(path))
		return !ok || !asideEnd.MatchString(end)
	})
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = filepath.Join(filepath.Dir(path), e.Name())
	}
	return names, nil
}

func (f *file) removeOld() {
	names, err := Aside(f.path)
	for _, name := range names[:max(0, len(names)-f.keep)] {
		if e := os.Remove(name); e != nil && !os.IsNotExist(e) {
			err = e
		}
	}
	if err != nil {
		f.log.Error("old audit log not removed", "error", err)
	}
}

func (f *file) close() error {
	f.prune.Wait()
	return f.Close()
}
