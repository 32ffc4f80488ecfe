package policy

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// packed makes a bundle of files as a directory has them.
func packed(t *testing.T, revision string, files map[string]string) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := Build(dir, revision)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func manifest(t *testing.T, bundle []byte) string {
	t.Helper()
	files, err := untar(bundle)
	if err != nil {
		t.Fatal(err)
	}
	return string(files[".manifest"])
}

func TestPackIsReproducible(t *testing.T) {
	t.Parallel()
	files := map[string]string{"a.rego": "package a\n", "a_test.rego": "package a_test\n", "data.json": "{}", "notes.md": "x"}
	base := packed(t, "", files)
	if !bytes.Equal(base, packed(t, "", files)) {
		t.Error("two builds differ")
	}
	for name, text := range map[string]string{"a_test.rego": "package b_test\n", "notes.md": "y", ".hidden": "z"} {
		other := maps.Clone(files)
		other[name] = text
		if !bytes.Equal(base, packed(t, "", other)) {
			t.Errorf("%s is in the bundle", name)
		}
	}
	for name, text := range map[string]string{"data.json": "{ }", "a.rego": "package b\n", "b.rego": "package b\n"} {
		other := maps.Clone(files)
		other[name] = text
		if manifest(t, packed(t, "", other)) == manifest(t, base) {
			t.Errorf("another %s left the revision as it was", name)
		}
	}
}

func TestSetManifest(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ revision, own, want string }{
		{"r1", ``, `{"revision":"r1","roots":[""],"rego_version":1}`},
		{"r1", `{"revision":"r0"}`, `{"revision":"r1","roots":[""],"rego_version":1}`},
		{"", `{"revision":"r0","roots":["mcp"],"rego_version":0,"metadata":{"n":1e3}}`, `{"revision":"r0","roots":["mcp"],"rego_version":0,"metadata":{"n":1e3}}`},
	} {
		files := map[string]string{"a.rego": "package a\n"}
		if tc.own != "" {
			files[".manifest"] = tc.own
		}
		if got := manifest(t, packed(t, tc.revision, files)); strings.TrimSpace(got) != tc.want {
			t.Errorf("%+v: %s", tc, got)
		}
	}
	if err := SetManifest(map[string][]byte{".manifest": []byte("[]")}, ""); err == nil {
		t.Error("a manifest that is no object was taken")
	}
}
