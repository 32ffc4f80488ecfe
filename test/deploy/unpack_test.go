package deploy

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// unpack unpacks a tar file, and tells of who its files belong to and may write them.
func unpack(t testing.TB, from io.Reader, dir string) {
	t.Helper()
	for r := tar.NewReader(from); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Mode&0o022 != 0 && h.Name != "tmp/" {
			t.Errorf("%s: mode %o, of %d:%d", h.Name, h.Mode, h.Uid, h.Gid)
		}
		path := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o700)
		} else {
			err = os.MkdirAll(filepath.Dir(path), 0o755)
			if err == nil {
				var data []byte
				data, err = io.ReadAll(r)
				err = errors.Join(err, os.WriteFile(path, data, 0o600))
			}
		}
		mode := fs.FileMode(h.Mode & 0o777)
		if h.Mode&0o1000 != 0 {
			mode |= fs.ModeSticky
		}
		if err := errors.Join(err, os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
}

// An image is one that is unpacked.
type image struct {
	v1.Image
	root string
}

// open unpacks the image of this machine's kind.
func open(t testing.TB, archive string) *image {
	t.Helper()
	layout := t.TempDir()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	unpack(t, f, layout)
	blob := func(d v1.Descriptor, into any) string {
		path := filepath.Join(layout, "blobs", "sha256", d.Digest.Encoded())
		if text := read(t, path); into != nil {
			if err := json.Unmarshal([]byte(text), into); err != nil || d.Digest.Algorithm().FromString(text) != d.Digest {
				t.Fatalf("%s: %v", d.Digest, err)
			}
		}
		return path
	}
	var index, all v1.Index
	if err := json.Unmarshal([]byte(read(t, filepath.Join(layout, "index.json"))), &index); err != nil {
		t.Fatal(err)
	}
	blob(index.Manifests[0], &all)
	if len(all.Manifests) != 1 || all.Manifests[0].Platform.Architecture != runtime.GOARCH {
		t.Fatalf("%+v", all.Manifests)
	}
	var manifest v1.Manifest
	blob(all.Manifests[0], &manifest)
	img := &image{root: t.TempDir()}
	blob(manifest.Config, &img.Image)
	layer, err := os.Open(blob(manifest.Layers[0], nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = layer.Close() }()
	files, err := gzip.NewReader(layer)
	if err != nil {
		t.Fatal(err)
	}
	unpack(t, files, img.root)
	for dir := img.root; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) { // its user is somebody else
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return img
}

// command is a command in the image as its user, where root is at hand to change into them.
func (i *image) command(args ...string) *exec.Cmd {
	if os.Getuid() != 0 {
		cmd := exec.Command(filepath.Join(i.root, i.Config.Entrypoint[0]), args...)
		cmd.Dir, cmd.Env = i.root, []string{"TMPDIR=" + filepath.Join(i.root, "tmp")}
		return cmd
	}
	cmd := exec.Command("chroot", append([]string{"--userspec=" + i.Config.User, i.root, i.Config.Entrypoint[0]}, args...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	return cmd
}
