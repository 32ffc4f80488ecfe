package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bundle.tar.gz")
	digest, err := write(path)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(bundle)); got != digest {
		t.Errorf("the file has digest %s, write returned %s", got, digest)
	}
	line, err := os.ReadFile(path + ".sha256")
	if err != nil {
		t.Fatal(err)
	}
	if want := digest + "  bundle.tar.gz\n"; string(line) != want {
		t.Errorf("digest file is %q, want %q", line, want)
	}
}

func TestWriteToNowhere(t *testing.T) {
	if _, err := write(filepath.Join(t.TempDir(), "missing", "bundle.tar.gz")); err == nil {
		t.Error("no error for a folder that does not exist")
	}
}
