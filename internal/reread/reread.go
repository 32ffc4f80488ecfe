// Package reread keeps what files say, and reads them again when they change.
package reread

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

const (
	maxBytes = 1 << 20 // of one file
	// A file that was written this shortly before it was read may be written
	// once more within the same tick of the clock that dates files.
	tick = 2 * time.Second
)

// Files are a few small files that make up one value. Many goroutines may use
// them at once.
type Files[T any] struct {
	what  string
	paths []string
	parse func(texts [][]byte) (T, error)
	log   *slog.Logger

	mu      sync.Mutex
	value   T
	sum     [sha256.Size]byte // of the texts that value was made of
	problem error             // with the files as they are now
	seen    []os.FileInfo     // as they were before they were last read
	hot     bool              // they are to be read again, however they look
}

// Open reads the files and parses their texts, in the order of the paths. What
// names the files in the log. Neither that nor an error of the parser's may
// hold a secret.
func Open[T any](what string, log *slog.Logger, parse func(texts [][]byte) (T, error), paths ...string) (*Files[T], error) {
	f := &Files[T]{what: what, paths: paths, parse: parse, log: log}
	f.look()
	return f, f.problem
}

// Get returns what the files say. While they cannot be read or parsed, that is
// what they last said, and the problem is logged once.
func (f *Files[T]) Get() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.problem
	changed := f.look()
	switch {
	case f.problem != nil && (was == nil || was.Error() != f.problem.Error()):
		f.log.Error("changed files are of no use, the last good ones stay in force", "files", f.what, "error", f.problem)
	case f.problem == nil && (changed || was != nil):
		f.log.Info("changed files are in force", "files", f.what)
	}
	return f.value
}

// look reads the files if they have changed, and reports whether the value has.
func (f *Files[T]) look() (changed bool) {
	infos, err := f.stat()
	if err == nil && !f.hot && same(f.seen, infos) {
		return false
	}
	f.seen, f.hot = infos, false
	var texts [][]byte
	if err == nil {
		texts, err = f.read(infos)
	}
	sum := digest(texts)
	if err == nil && sum != f.sum {
		var value T
		if value, err = f.parse(texts); err == nil {
			f.value, f.sum, changed = value, sum, true
		}
	}
	f.problem = err
	return changed
}

func (f *Files[T]) stat() ([]os.FileInfo, error) {
	infos := make([]os.FileInfo, len(f.paths))
	for i, path := range f.paths {
		var err error
		if infos[i], err = os.Stat(path); err != nil {
			return nil, err
		}
	}
	return infos, nil
}

func (f *Files[T]) read(infos []os.FileInfo) ([][]byte, error) {
	texts := make([][]byte, len(f.paths))
	for i, path := range f.paths {
		var err error
		if texts[i], err = readFile(path, infos[i]); err != nil {
			return nil, err
		}
		f.hot = f.hot || time.Since(infos[i].ModTime()).Abs() < tick
	}
	return texts, nil
}

func digest(texts [][]byte) [sha256.Size]byte {
	var sums []byte
	for _, text := range texts {
		sum := sha256.Sum256(text)
		sums = append(sums, sum[:]...)
	}
	return sha256.Sum256(sums)
}

func same(a, b []os.FileInfo) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() || !a[i].ModTime().Equal(b[i].ModTime()) {
			return false
		}
	}
	return true
}

func readFile(path string, info os.FileInfo) ([]byte, error) {
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path) // a pipe would wait, and give its text once
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	text, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxBytes {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxBytes)
	}
	return text, nil
}
