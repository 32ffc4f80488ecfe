package policy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/util"
)

// Files reads the files of a bundle, a .tar.gz or a directory, that the gateway
// would read: of a directory no tests and no hidden folders.
func Files(path string) (map[string][]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		a, err := readDir(path)
		if err != nil {
			return nil, err
		}
		return a.files, nil
	}
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	raw, err := readAll(f, maxArchive)
	if err != nil {
		return nil, err
	}
	return untar(raw)
}

// Build packs the directory as a bundle of a revision, which may be empty.
func Build(dir, revision string) ([]byte, error) {
	files, err := Files(dir)
	if err == nil {
		err = SetManifest(files, revision)
	}
	if err != nil {
		return nil, err
	}
	return Pack(files)
}

// SetManifest gives files the manifest of a bundle, made of the one that they
// have. Without a revision the manifest's own stays, or else becomes one that
// names the contents. A bundle owns all rules and data unless its roots say
// otherwise, and is Rego v1 unless it says otherwise.
func SetManifest(files map[string][]byte, revision string) error {
	var m bundle.Manifest
	if raw, ok := files[bundle.ManifestExt]; ok {
		if err := util.UnmarshalJSON(raw, &m); err != nil {
			return err
		}
	}
	m.Init()
	if m.RegoVersion == nil {
		m.SetRegoVersion(ast.RegoV1)
	}
	if revision != "" {
		m.Revision = revision
	}
	write := func() (err error) {
		files[bundle.ManifestExt], err = json.Marshal(m)
		return err
	}
	if m.Revision == "" {
		if err := write(); err != nil {
			return err
		}
		m.Revision = digestOf(files)[:16]
	}
	return write()
}

// Pack makes a .tar.gz of files. The same files give the same bytes, whatever
// the machine, the clock or the Go version.
func Pack(files map[string][]byte) ([]byte, error) {
	var out bytes.Buffer
	// Stored, not compressed: what deflate writes changes between Go versions.
	zip, err := gzip.NewWriterLevel(&out, gzip.NoCompression)
	if err != nil {
		return nil, err
	}
	tape := tar.NewWriter(zip)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		head := &tar.Header{
			Format: tar.FormatUSTAR, Typeflag: tar.TypeReg, Name: name, Mode: 0o644,
			Size: int64(len(files[name])), ModTime: time.Unix(0, 0),
		}
		if err := tape.WriteHeader(head); err != nil {
			return nil, err
		}
		if _, err := tape.Write(files[name]); err != nil {
			return nil, err
		}
	}
	if err := tape.Close(); err != nil {
		return nil, err
	}
	if err := zip.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
