package policy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Bounds on a bundle. They hold for every source.
const (
	maxArchive  = 128 << 20 // bytes of a .tar.gz
	maxExpanded = 512 << 20 // bytes of all files
	maxFiles    = 10_000
	maxRatio    = 200 // of expanded to compressed size, past the first MiB
)

// errUnchanged says that the source has nothing newer.
var errUnchanged = errors.New("bundle unchanged")

// An archive is a bundle as fetched, before anything of it is believed.
type archive struct {
	files  map[string][]byte
	raw    []byte // the .tar.gz; nil for a directory
	sha256 string // hex: of the .tar.gz, or of a directory's names and contents
	etag   string // of the answer, or the digest of an OCI manifest
}

// size is that of all files, in bytes.
func (a *archive) size() (n int64) {
	for _, raw := range a.files {
		n += int64(len(raw))
	}
	return n
}

// unpack makes an archive of a .tar.gz.
func unpack(raw []byte, etag string) (*archive, error) {
	files, err := untar(raw)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	feed(sum, raw)
	return &archive{files: files, raw: raw, sha256: hex.EncodeToString(sum.Sum(nil)), etag: etag}, nil
}

// A source fetches bundles from one place: a .tar.gz file, a directory, an
// HTTP(S) URL of a .tar.gz, a repository of an OCI registry, or the process itself.
type source struct {
	location string
	files    fs.FS  // nil unless there is no location
	sha256   string // expected hex digest, or a place that ends in .sha256 and has it
	web      *web
	image    *image // nil unless the location is oci://
}

func newSource(cfg *Config) *source {
	s := &source{location: cfg.Bundle, files: cfg.Files, sha256: cfg.SHA256, web: newWeb(cfg)}
	if strings.HasPrefix(cfg.Bundle, ociScheme) {
		s.image = newImage(cfg, s.web)
	}
	return s
}

// fetch returns the bundle if its digest is the expected one, and errUnchanged
// if it is the one with the given etag or digest. A server that can is asked to
// wait that long for a newer one.
func (s *source) fetch(ctx context.Context, etag, digest string, wait time.Duration) (*archive, error) {
	want, err := s.expected(ctx)
	if err != nil {
		return nil, err
	}
	if want != "" && want != digest {
		etag = "" // the server's copy must be seen, since ours is not what is wanted
	}
	a, err := s.read(ctx, etag, wait)
	if err != nil {
		return nil, err
	}
	if wait > 0 && want != "" && want != a.sha256 { // it may have changed with the bundle
		if want, err = s.expected(ctx); err != nil {
			return nil, err
		}
	}
	if want != "" && a.raw == nil {
		return nil, errors.New("sha256 is set, but the bundle is a directory: pin the digest of a .tar.gz")
	}
	if want != "" && want != a.sha256 {
		return nil, fmt.Errorf("sha256 is %s, expected %s", a.sha256, want)
	}
	if a.sha256 == digest {
		return a, errUnchanged
	}
	return a, nil
}

// pinned is the digest that the configuration itself names, or empty.
func (s *source) pinned() string {
	if strings.HasSuffix(s.sha256, ".sha256") {
		return ""
	}
	return strings.ToLower(s.sha256)
}

// expected is the digest that the bundle must have, or empty.
func (s *source) expected(ctx context.Context) (string, error) {
	if !strings.HasSuffix(s.sha256, ".sha256") {
		return s.pinned(), nil
	}
	raw, err := s.text(ctx, s.sha256, 4096)
	if err != nil {
		return "", fmt.Errorf("read digest: %w", err)
	}
	first := strings.SplitN(strings.TrimSpace(string(raw)), " ", 2)[0]
	if b, err := hex.DecodeString(first); err != nil || len(b) != sha256.Size {
		return "", errors.New("read digest: the file does not begin with a hex SHA-256")
	}
	return strings.ToLower(first), nil
}

func (s *source) read(ctx context.Context, etag string, wait time.Duration) (*archive, error) {
	var raw []byte
	var err error
	switch {
	case s.files != nil:
		return readTree(s.files)
	case s.image != nil:
		raw, etag, err = s.image.pull(ctx, etag)
	case isURL(s.location):
		raw, etag, err = s.web.get(ctx, s.location, request{etag: etag, wait: wait, limit: maxArchive, bundle: true})
	default:
		if info, err := os.Stat(s.location); err != nil {
			return nil, err
		} else if info.IsDir() {
			return readDir(s.location)
		}
		raw, err = readFile(s.location, maxArchive)
	}
	if err != nil {
		return nil, err
	}
	return unpack(raw, etag)
}

// text reads a small file or URL beside the bundle.
func (s *source) text(ctx context.Context, place string, limit int64) ([]byte, error) {
	if !isURL(place) {
		return readFile(place, limit)
	}
	raw, _, err := s.web.get(ctx, place, request{limit: limit})
	return raw, err
}

// waits reports whether the server holds an answer back until there is
// something new.
func (s *source) waits() bool { return s.web.waits }

func (s *source) close() { s.web.close() }

func isURL(place string) bool {
	return strings.HasPrefix(place, "http://") || strings.HasPrefix(place, "https://")
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return readAll(f, limit)
}

// readAll reads all that r gives.
func readAll(r io.Reader, limit int64) ([]byte, error) {
	var c chunks
	n, err := io.Copy(&c, io.LimitReader(r, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	if err != nil {
		return nil, err
	}
	return c.join(), nil
}
