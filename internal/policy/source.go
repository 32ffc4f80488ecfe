package policy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
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
	sha256 string // hex: of the .tar.gz, or of a directory's names and contents
	etag   string
	dir    bool
}

// size is that of all files, in bytes.
func (a *archive) size() (n int64) {
	for _, raw := range a.files {
		n += int64(len(raw))
	}
	return n
}

// A source fetches bundles from one place: a .tar.gz file, a directory, or an
// HTTP(S) URL of a .tar.gz.
type source struct {
	location string
	sha256   string // expected hex digest, or a place that ends in .sha256 and has it
	client   *http.Client
}

func newSource(location, digest string) *source {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = 30 * time.Second
	transport.DisableCompression = true // the digest is of the bytes as they are
	return &source{
		location: location,
		sha256:   digest,
		client: &http.Client{
			Transport: transport,
			Timeout:   2 * time.Minute,
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return errors.New("redirects are not followed")
			},
		},
	}
}

// fetch returns the bundle if its digest is the expected one, and errUnchanged
// if it is the one with the given etag or digest.
func (s *source) fetch(ctx context.Context, etag, digest string) (*archive, error) {
	want, err := s.expected(ctx)
	if err != nil {
		return nil, err
	}
	if isURL(s.location) && want != "" && want != digest {
		etag = "" // the server's copy must be seen, since ours is not what is wanted
	}
	a, err := s.read(ctx, etag)
	if err != nil {
		return nil, err
	}
	if want != "" && a.dir {
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

// expected is the digest that the bundle must have, or empty.
func (s *source) expected(ctx context.Context) (string, error) {
	if !strings.HasSuffix(s.sha256, ".sha256") {
		return strings.ToLower(s.sha256), nil
	}
	raw, _, err := s.get(ctx, s.sha256, "", 4096)
	if err != nil {
		return "", fmt.Errorf("read digest: %w", err)
	}
	first := strings.SplitN(strings.TrimSpace(string(raw)), " ", 2)[0]
	if b, err := hex.DecodeString(first); err != nil || len(b) != sha256.Size {
		return "", errors.New("read digest: the file does not begin with a hex SHA-256")
	}
	return strings.ToLower(first), nil
}

func (s *source) read(ctx context.Context, etag string) (*archive, error) {
	if !isURL(s.location) {
		if info, err := os.Stat(s.location); err != nil {
			return nil, err
		} else if info.IsDir() {
			return readDir(s.location)
		}
	}
	raw, etag, err := s.get(ctx, s.location, etag, maxArchive)
	if err != nil {
		return nil, err
	}
	files, err := untar(raw)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	return &archive{files: files, sha256: hex.EncodeToString(sum[:]), etag: etag}, nil
}

// get reads a file, or a URL unless it still has the etag.
func (s *source) get(ctx context.Context, place, etag string, limit int64) ([]byte, string, error) {
	if !isURL(place) {
		f, err := os.Open(filepath.Clean(place))
		if err != nil {
			return nil, "", err
		}
		defer func() { _ = f.Close() }()
		raw, err := readAll(f, limit)
		return raw, "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, place, nil)
	if err != nil {
		return nil, "", cause(err)
	}
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, "", fmt.Errorf("GET %s: %w", redact(req), cause(err))
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK:
		raw, err := readAll(resp.Body, limit)
		return raw, resp.Header.Get("ETag"), err
	case http.StatusNotModified:
		if etag != "" {
			return nil, "", errUnchanged
		}
	}
	return nil, "", fmt.Errorf("GET %s: %s", redact(req), resp.Status)
}

// cause leaves out the URL, in which there may be a secret.
func cause(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

func redact(req *http.Request) string { return req.URL.Scheme + "://" + req.URL.Host + req.URL.Path }

func isURL(place string) bool {
	return strings.HasPrefix(place, "http://") || strings.HasPrefix(place, "https://")
}

func readAll(r io.Reader, limit int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return raw, err
}

// readDir reads a bundle directory, without its tests and hidden files.
func readDir(dir string) (*archive, error) {
	a := &archive{files: map[string][]byte{}, dir: true}
	total := int64(0)
	root := os.DirFS(dir)
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
		h.Write(files[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}
