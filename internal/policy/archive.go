package policy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"testing/fstest"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
)

// untar unpacks a .tar.gz within the bounds on bundles.
func untar(raw []byte) (map[string][]byte, error) {
	zr, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	limit := min(maxExpanded, 1<<20+int64(len(raw))*maxRatio)
	counted := &io.LimitedReader{R: zr, N: limit + 1}
	u := unpacking{files: map[string][]byte{}, left: limit}
	for tr := tar.NewReader(counted); ; {
		h, err := tr.Next()
		if err == nil {
			err = u.add(h, tr)
		} else if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, counted) // up to the checksum
			if err == nil && counted.N > 0 {
				return u.files, nil
			}
		}
		if counted.N <= 0 {
			err = fmt.Errorf("more than %d bytes", limit)
		}
		if err != nil {
			return nil, fmt.Errorf("unpack: %w", err)
		}
	}
}

// An unpacking is the files found so far, and how many bytes more there may
// be: a sparse file has more of them than its archive.
type unpacking struct {
	files map[string][]byte
	left  int64
}

func (u *unpacking) add(h *tar.Header, r io.Reader) error {
	name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
	switch {
	case h.Typeflag == tar.TypeDir:
		return nil
	case h.Typeflag != tar.TypeReg:
		return fmt.Errorf("%q is not a regular file", h.Name)
	case strings.Contains("/"+h.Name+"/", "/../"):
		return fmt.Errorf("%q leads out of the bundle", h.Name)
	case name == "":
		return fmt.Errorf("%q is no name of a file", h.Name)
	case u.files[name] != nil:
		return fmt.Errorf("%q is there twice", name)
	case len(u.files) >= maxFiles:
		return fmt.Errorf("more than %d files", maxFiles)
	}
	raw, err := readAll(r, u.left)
	u.left -= int64(len(raw))
	if raw == nil {
		raw = []byte{}
	}
	u.files[name] = raw
	return err
}

// parseBundle reads the files as an OPA bundle, all but the data. With verify, its signature must
// be good for every file.
func parseBundle(files map[string][]byte, verify *Verify) (*bundle.Bundle, error) {
	if verify != nil {
		if err := verify.check(files); err != nil {
			return nil, err
		}
	}
	tree := fstest.MapFS{}
	for name, raw := range files {
		if !holdsData(name) {
			tree[name] = &fstest.MapFile{Data: raw, Mode: 0o444}
		}
	}
	loader, err := bundle.NewFSLoader(tree)
	if err != nil {
		return nil, err
	}
	loader = loader.WithPathFormat(bundle.SlashRooted) // else a leading dot is lost: .p.rego would be p.rego
	r := bundle.NewCustomReader(loader).WithCapabilities(capabilities()).
		WithRegoVersion(ast.RegoV1).WithSizeLimitBytes(maxExpanded).
		WithSkipBundleVerification(true) // it was done
	b, err := r.Read()
	if err != nil {
		return nil, err
	}
	if len(b.WasmModules) > 0 || b.Type() != bundle.SnapshotBundleType {
		return nil, errors.New("only whole bundles of Rego and data are loaded")
	}
	for _, m := range b.Modules {
		if v := versionOf(&b, m.RelativePath); v != ast.RegoV0 && v != ast.RegoV1 {
			return nil, fmt.Errorf("%s is Rego of version %d; v0 and v1 are known", m.Path, v.Int())
		}
	}
	return &b, nil
}

// versionOf is the version of Rego that a file is in: v1 unless the manifest
// says otherwise.
func versionOf(b *bundle.Bundle, file string) ast.RegoVersion {
	v, err := b.RegoVersionForFile(file, ast.RegoV1)
	if err != nil {
		return ast.RegoUndefined
	}
	return v
}
