package bundles

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/crypto/bcrypt"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/memory"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// A registry is the CNCF distribution registry.
type registry struct {
	*harness.Process
	at, dir, config string
}

// newRegistry starts a registry with more settings of its HTTP server and its
// authentication.
func newRegistry(t testing.TB, http, auth string) *registry {
	t.Helper()
	dir := t.TempDir()
	r := &registry{at: "127.0.0.1:" + harness.FreePort(t), dir: dir, config: filepath.Join(dir, "config.yaml")}
	put(t, r.config, fmt.Appendf(nil, "version: 0.1\nlog: {level: warn}\nstorage: {filesystem: {rootdirectory: %s/data}}\n"+
		"http: {addr: %q, secret: test, %s}\n%s\n", dir, r.at, http, auth))
	r.start(t)
	return r
}

func (r *registry) start(t testing.TB) {
	t.Helper()
	r.Process = harness.Start(t, exec.Command(harness.Tool(t, "REGISTRY"), "serve", r.config))
	r.Await(t, "the registry to listen", func() bool {
		resp, err := http.Get("http://" + r.at + "/v2/") // over TLS: an answer 400 all the same
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil
	})
}

// push pushes a bundle in the layout of OPA's, and returns the digests of its
// manifest and of the bundle.
func (r *registry) push(t testing.TB, client remote.Client, plain bool, tag string, bundle []byte) (manifest, layer string) {
	t.Helper()
	repo, err := remote.NewRepository(r.at + "/team/policy")
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP, repo.Client = plain, client
	store := memory.New()
	blob := func(kind string, raw []byte) ocispec.Descriptor {
		d := content.NewDescriptorFromBytes(kind, raw)
		if ok, _ := store.Exists(t.Context(), d); ok {
			return d
		}
		if err := store.Push(t.Context(), d, strings.NewReader(string(raw))); err != nil {
			t.Fatal(err)
		}
		return d
	}
	l := blob(ocispec.MediaTypeImageLayerGzip, bundle)
	c := blob(ocispec.MediaTypeImageConfig, []byte("{}"))
	m := blob(ocispec.MediaTypeImageManifest, encode(t, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: c, Layers: []ocispec.Descriptor{l},
	}))
	if err := store.Tag(t.Context(), m, tag); err != nil {
		t.Fatal(err)
	}
	if _, err := oras.Copy(t.Context(), store, tag, repo, tag, oras.DefaultCopyOptions); err != nil {
		t.Fatal(err)
	}
	return m.Digest.String(), l.Digest.Encoded()
}

func TestRegistry(t *testing.T) {
	r := newRegistry(t, "", "")
	client := &auth.Client{}
	first, layer := r.push(t, client, true, "live", policyOf(t, "1"))
	repo := "oci://" + r.at + "/team/policy"
	byTag := start(t, repo+":live", map[string]any{"pollSeconds": 1})
	byDigest := start(t, repo+"@"+first, nil)
	pinned := start(t, repo+":live", map[string]any{"sha256": layer})
	for _, gw := range []*gateway{byTag, byDigest, pinned} {
		gw.is(t, "1", "source", "")
	}
	_, second := r.push(t, client, true, "live", policyOf(t, "2"))
	byTag.awaits(t, "2")
	byDigest.hangup(t)
	pinned.hangup(t)
	pinned.is(t, "1", "source", "sha256 is "+second+", expected "+layer)
	byDigest.is(t, "1", "source", "")

	r.push(t, client, true, "live", []byte("no bundle"))
	byTag.is(t, "2", "source", "unpack")
	_, third := r.push(t, client, true, "next", policyOf(t, "3"))
	blob := filepath.Join(r.dir, "data/docker/registry/v2/blobs/sha256", third[:2], third, "data")
	raw, err := os.ReadFile(blob)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	put(t, blob, raw)
	start(t, repo+":next", nil).is(t, "", "", "mismatched digest")
	start(t, repo+":none", nil).is(t, "", "", "not found")
	start(t, repo+"@sha256:"+layer, nil).is(t, "", "", "not found")
	r.Stop()
	byTag.is(t, "2", "source", "connection refused")
	r.start(t)
	r.push(t, client, true, "live", policyOf(t, "4"))
	byTag.is(t, "4", "source", "")
}

func TestRegistryWithUsersOverTLS(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.issue(t, "server")
	hash, err := bcrypt.GenerateFromPassword([]byte("canary-7f3a"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	users := filepath.Join(t.TempDir(), "users")
	put(t, users, fmt.Appendf(nil, "gw:%s\n", hash))
	r := newRegistry(t, fmt.Sprintf("tls: {certificate: %s, key: %s}", cert, key),
		fmt.Sprintf("auth: {htpasswd: {realm: test, path: %s}}", users))
	pusher := &auth.Client{
		Client:     &http.Client{Transport: &http.Transport{TLSClientConfig: ca.trust()}},
		Credential: auth.StaticCredential(r.at, auth.Credential{Username: "gw", Password: "canary-7f3a"}),
	}
	r.push(t, pusher, false, "live", policyOf(t, "1"))
	ref := "oci://" + r.at + "/team/policy:live"
	as := func(password string) map[string]any {
		return map[string]any{"ca": ca.file, "credentials": map[string]any{
			"basic": map[string]any{"username": "gw", "password": password},
		}}
	}
	gw := start(t, ref, as("canary-7f3a"))
	gw.is(t, "1", "source", "")
	gw.quiet(t)
	gw = start(t, ref, as("canary-wrong"))
	gw.is(t, "", "", "pull "+r.at)
	gw.quiet(t)
	start(t, ref, map[string]any{"ca": ca.file}).is(t, "", "", "pull "+r.at)
}
