// Package policies holds the starter policies and makes an OPA bundle of them.
package policies

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

//go:embed *.rego data.json README.md
var files embed.FS

// FS returns the starter policies as they lie in this folder: rules, their tests, data
// and README.
func FS() fs.FS { return files }

// Bundle returns the starter policies, without tests, as a .tar.gz in OPA's bundle
// format. The same files give the same bytes, whatever the machine, the clock or the Go
// version; the manifest's revision names those files.
func Bundle() ([]byte, error) { return BundleOf(files) }

// BundleOf makes such a bundle of the rules, without tests, and the data.json of another folder.
func BundleOf(fsys fs.FS) ([]byte, error) {
	names, err := fs.Glob(fsys, "*.rego")
	if err != nil {
		return nil, err
	}
	names = append(names, "data.json")

	var content []file
	sum := sha256.New()
	for _, name := range names {
		if strings.HasSuffix(name, "_test.rego") {
			continue
		}
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		_, _ = fmt.Fprintf(sum, "%s %d\n", name, len(data))
		sum.Write(data)
		content = append(content, file{name, data})
	}

	manifest, err := json.Marshal(struct {
		Revision    string   `json:"revision"`
		Roots       []string `json:"roots"`
		RegoVersion int      `json:"rego_version"`
	}{
		Revision: "starter-" + hex.EncodeToString(sum.Sum(nil))[:16],
		// One empty root: the bundle owns all rules and data, so a file that an operator
		// adds needs no change here.
		Roots:       []string{""},
		RegoVersion: 1,
	})
	if err != nil {
		return nil, err
	}
	return archive(append([]file{{".manifest", manifest}}, content...))
}

type file struct {
	name string
	data []byte
}

// archive writes files in the given order with nothing in the headers that could vary.
func archive(files []file) ([]byte, error) {
	var out bytes.Buffer
	// Stored, not compressed: what deflate writes changes between Go versions.
	zip, err := gzip.NewWriterLevel(&out, gzip.NoCompression)
	if err != nil {
		return nil, err
	}
	tape := tar.NewWriter(zip)
	for _, f := range files {
		head := &tar.Header{
			Format:   tar.FormatUSTAR,
			Typeflag: tar.TypeReg,
			Name:     f.name,
			Mode:     0o644,
			Size:     int64(len(f.data)),
			ModTime:  time.Unix(0, 0),
		}
		if err := tape.WriteHeader(head); err != nil {
			return nil, err
		}
		if _, err := tape.Write(f.data); err != nil {
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
