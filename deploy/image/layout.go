package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	_ "crypto/sha256" // for digests
	"encoding/json"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// A layout is an OCI image layout in the making, with one image for many platforms.
type layout struct {
	files  []file
	images []v1.Descriptor
}

// A file is one of an archive. A name that ends in / is a folder's.
type file struct {
	name string
	mode int64
	data []byte
}

// user is nobody's: the number that distroless images have for nonroot.
const user = "65532:65532"

func newLayout() *layout {
	return &layout{files: []file{{name: v1.ImageLayoutFile, mode: 0o644, data: []byte(`{"imageLayoutVersion":"1.0.0"}`)}}}
}

// add adds the image of one platform: the binary, and a folder for temporary files.
func (l *layout) add(system, machine, version string, made time.Time, binary []byte) error {
	files, err := pack(made, []file{{name: "gatehouse", mode: 0o755, data: binary}, {name: "tmp/", mode: 0o1777}})
	if err != nil {
		return err
	}
	zipped, err := compress(files)
	if err != nil {
		return err
	}
	about := v1.Image{Created: &made, Platform: v1.Platform{OS: system, Architecture: machine}}
	about.Config = v1.ImageConfig{
		User:         user,
		Entrypoint:   []string{"/gatehouse"},
		Cmd:          []string{"serve", "--config", "/etc/gatehouse/gatehouse.yaml"},
		ExposedPorts: map[string]struct{}{"8080/tcp": {}, "8081/tcp": {}},
		WorkingDir:   "/",
		Labels:       labels(version),
	}
	about.RootFS = v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(files)}}
	config, err := l.put(v1.MediaTypeImageConfig, about)
	if err != nil {
		return err
	}
	image, err := l.put(v1.MediaTypeImageManifest, v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Config: config,
		Layers: []v1.Descriptor{l.blob(v1.MediaTypeImageLayerGzip, zipped)}, Annotations: labels(version),
	})
	image.Platform = &about.Platform
	l.images = append(l.images, image)
	return err
}

func labels(version string) map[string]string {
	return map[string]string{
		v1.AnnotationTitle:    "gatehouse",
		v1.AnnotationSource:   "https://github.com/gatehouse-mcp/gatehouse",
		v1.AnnotationLicenses: "Apache-2.0",
		v1.AnnotationVersion:  version,
	}
}

// archive is the layout as a tar file, with the image under the name of its version.
func (l *layout) archive(version string) ([]byte, error) {
	if len(l.images) == 0 {
		return nil, errors.New("there is no binary to pack")
	}
	list := v1.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex,
		Manifests: l.images, Annotations: labels(version),
	}
	all, err := l.put(v1.MediaTypeImageIndex, list)
	if err != nil {
		return nil, err
	}
	all.Annotations = map[string]string{v1.AnnotationRefName: version}
	list.Manifests, list.Annotations = []v1.Descriptor{all}, nil
	text, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	l.files = append(l.files, file{name: v1.ImageIndexFile, mode: 0o644, data: text})
	return pack(time.Unix(0, 0), l.files)
}

// put adds a document.
func (l *layout) put(mediaType string, v any) (v1.Descriptor, error) {
	text, err := json.Marshal(v)
	return l.blob(mediaType, text), err
}

func (l *layout) blob(mediaType string, data []byte) v1.Descriptor {
	sum := digest.FromBytes(data)
	l.files = append(l.files, file{name: "blobs/sha256/" + sum.Encoded(), mode: 0o644, data: data})
	return v1.Descriptor{MediaType: mediaType, Digest: sum, Size: int64(len(data))}
}

// pack makes a tar file of files that belong to root.
func pack(made time.Time, files []file) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: made, Format: tar.FormatUSTAR}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}

func compress(data []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}
