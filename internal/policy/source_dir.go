package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// readDir reads a bundle directory, without its tests and hidden files. One that
// Kubernetes mounted is read as of one moment: what is in it are links through
// ..data, a link to a folder that is exchanged, and then removed, when anything
// changes.
func readDir(dir string) (*archive, error) {
	link := filepath.Join(dir, "..data")
	for range 3 {
		folder, err := os.Readlink(link)
		if err != nil || !filepath.IsLocal(folder) {
			return readTree(os.DirFS(dir))
		}
		a, err := readTree(os.DirFS(filepath.Join(dir, folder)))
		if now, _ := os.Readlink(link); now == folder {
			return a, err
		}
	}
	return nil, errors.New("the directory is exchanged again and again")
}

func readTree(root fs.FS) (*archive, error) {
	a := &archive{files: map[string][]byte{}}
	total := int64(0)
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		base := filepath.Base(name)
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && strings.HasPrefix(base, "."):
			return fs.SkipDir
		case d.IsDir(), !inBundle(base):
			return nil
		case len(a.files) >= maxFiles:
			return fmt.Errorf("more than %d files", maxFiles)
		}
		f, err := root.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		raw, err := readAll(f, maxExpanded-total)
		total += int64(len(raw))
		a.files[name] = raw
		return err
	})
	if err != nil {
		return nil, err
	}
	a.sha256 = digestOf(a.files)
	return a, nil
}

// inBundle reports whether a file takes part in a bundle.
func inBundle(base string) bool {
	switch base {
	case ".manifest", "data.json", "data.yaml", "data.yml":
		return true
	}
	return strings.HasSuffix(base, ".rego") && !strings.HasSuffix(base, "_test.rego")
}

func digestOf(files map[string][]byte) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		_, _ = fmt.Fprintf(h, "%d %s %d ", len(name), name, len(files[name]))
		feed(h, files[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// feed adds a text to a hash.
func feed(h hash.Hash, text []byte) {
	for piece := range slices.Chunk(text, maxPiece) {
		h.Write(piece)
		if len(piece) == maxPiece {
			rest()
		}
	}
}
