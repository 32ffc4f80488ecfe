// Command build writes the bundle of the starter policies and, beside it, its SHA-256 in
// the format of sha256sum.
package main

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gatehouse-mcp/gatehouse/policies"
)

func main() {
	out := flag.String("o", "bundle.tar.gz", "file to write; the digest goes to the same name with .sha256")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	digest, err := write(*out)
	if err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
	fmt.Println(digest)
}

// write writes the bundle to path and its digest to path.sha256, and returns the digest.
func write(path string) (string, error) {
	bundle, err := policies.Bundle()
	if err != nil {
		return "", err
	}
	digest := fmt.Sprintf("%x", sha256.Sum256(bundle))
	if err := replace(path, bundle); err != nil {
		return "", err
	}
	line := fmt.Sprintf("%s  %s\n", digest, filepath.Base(path))
	return digest, replace(path+".sha256", []byte(line))
}

// replace writes a file in one step, because a gateway may be reading it.
func replace(path string, data []byte) error {
	temp := path + ".tmp"
	if err := os.WriteFile(temp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
