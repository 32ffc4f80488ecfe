package bundles

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// keyPair writes a new key for an algorithm, and returns the files of its
// private and its public half.
func keyPair(t testing.TB, algorithm string) (private, public string) {
	t.Helper()
	dir := t.TempDir()
	private, public = filepath.Join(dir, "private"), filepath.Join(dir, "public")
	var key, half any
	switch algorithm {
	case "HS256":
		put(t, private, []byte("a secret of thirty-two bytes or more"))
		return private, private
	case "RS256":
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		key, half = k, &k.PublicKey
	case "ES256":
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key, half = k, &k.PublicKey
	}
	one, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.MarshalPKIXPublicKey(half)
	if err != nil {
		t.Fatal(err)
	}
	put(t, private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: one}))
	put(t, public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: other}))
	return private, public
}

// opaBuild builds a bundle as an author does: opa build, with more arguments.
func opaBuild(t testing.TB, to, revision string, args ...string) {
	t.Helper()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "p.rego"), fmt.Appendf(nil, "package mcp\n\ndecision := {\"allow\": false, \"reason\": %q}\n", revision))
	put(t, filepath.Join(dir, "data.json"), []byte(`{"team": {"n": 1e3}}`))
	put(t, filepath.Join(dir, ".manifest"), []byte(`{"roots": ["mcp", "team"]}`))
	cmd := exec.Command(harness.Tool(t, "OPA"), append([]string{"build", "-b", ".", "-r", revision, "-o", to}, args...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestSignedByOPA(t *testing.T) {
	for _, algorithm := range []string{"RS256", "ES256", "HS256"} {
		t.Run(algorithm, func(t *testing.T) {
			private, public := keyPair(t, algorithm)
			claims := filepath.Join(t.TempDir(), "claims.json")
			put(t, claims, []byte(`{"scope": "write"}`))
			sign := []string{"--signing-key", private, "--signing-alg", algorithm, "--claims-file", claims}
			bundle := filepath.Join(t.TempDir(), "b.tar.gz")
			opaBuild(t, bundle, "1", sign...)
			verify := map[string]any{"verify": map[string]any{"key": public, "algorithm": algorithm, "scope": "write"}}
			gw := start(t, bundle, verify)
			gw.is(t, "1", "source", "")

			opaBuild(t, bundle, "2")
			gw.hangup(t)
			gw.is(t, "1", "source", "the bundle is not signed")
			if n := strings.Count(gw.Output(), `"msg":"bundle refused"`); n != 1 {
				t.Errorf("%d lines tell that the bundle was refused:\n%s", n, gw.Output())
			}
			put(t, claims, []byte(`{"scope": "read"}`))
			opaBuild(t, bundle, "3", sign...)
			gw.hangup(t)
			gw.is(t, "1", "source", "scope mismatch")
			put(t, claims, []byte(`{"scope": "write"}`))
			opaBuild(t, bundle, "4", sign...)
			gw.hangup(t)
			gw.is(t, "4", "source", "")
		})
	}
}

// gatehouse check holds a bundle to what serve would.
func TestCheckVerifies(t *testing.T) {
	dir := t.TempDir()
	private, public := keyPair(t, "ES256")
	bundle, config := filepath.Join(dir, "b.tar.gz"), filepath.Join(dir, "g.yaml")
	put(t, config, fmt.Appendf(nil, "mcpServers: {a: {url: http://127.0.0.1:1}}\npolicy: {bundle: %s, verify: {key: %s, algorithm: ES256}, persist: %s/p, monotonic: true}",
		bundle, public, dir))
	check := func() (string, error) {
		out, err := exec.Command(gatehouse(t), "check", "--config", config).CombinedOutput()
		return string(out), err
	}
	opaBuild(t, bundle, "1")
	if out, err := check(); err == nil || !strings.Contains(out, "the bundle is not signed") {
		t.Errorf("%v: %s", err, out)
	}
	opaBuild(t, bundle, "one", "--signing-key", private, "--signing-alg", "ES256")
	if out, err := check(); err == nil || !strings.Contains(out, "cannot be ordered") {
		t.Errorf("%v: %s", err, out)
	}
	opaBuild(t, bundle, "1", "--signing-key", private, "--signing-alg", "ES256")
	if out, err := check(); err != nil || !strings.Contains(out, "bundle 1 (sha256 ") {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "p")); err == nil {
		t.Error("check wrote into the persist directory")
	}
}

func gatehouse(t testing.TB) string {
	return harness.Build(t, "github.com/gatehouse-mcp/gatehouse/cmd/gatehouse")
}
