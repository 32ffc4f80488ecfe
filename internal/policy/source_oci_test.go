package policy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"

	"github.com/gatehouse-mcp/gatehouse/internal/login"
)

// A fakeRegistry does what a real one will not: it names token services on
// other hosts, redirects, and serves manifests that lie.
type fakeRegistry struct {
	*httptest.Server
	mu       sync.Mutex
	layer    []byte
	manifest ocispec.Manifest
	realm    string           // of the token service; empty: none is needed
	blob     http.HandlerFunc // in place of the blob; may be nil
	shown    []string         // Authorization where there is no token yet
}

func newFakeRegistry(t *testing.T) *fakeRegistry {
	t.Helper()
	f := &fakeRegistry{layer: pack(t, entries(revision("one"))...)}
	f.manifest = ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest,
		Layers: []ocispec.Descriptor{
			content.NewDescriptorFromBytes("text/plain", []byte("passed over")),
			content.NewDescriptorFromBytes(ocispec.MediaTypeImageLayerGzip, f.layer),
		},
	}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	auth := r.Header.Get("Authorization")
	if auth != "Bearer of-the-registry" {
		f.shown = append(f.shown, auth)
	}
	switch {
	case r.URL.Path == "/token":
		if auth == "Bearer "+canary {
			_, _ = fmt.Fprint(w, `{"token":"of-the-registry"}`)
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
	case f.realm != "" && auth != "Bearer of-the-registry":
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+f.realm+`",service="test",scope="repository:p:pull"`)
		w.WriteHeader(http.StatusUnauthorized)
	case strings.Contains(r.URL.Path, "/manifests/"):
		raw, _ := json.Marshal(f.manifest)
		d := content.NewDescriptorFromBytes(f.manifest.MediaType, raw)
		w.Header().Set("Content-Type", d.MediaType)
		w.Header().Set("Docker-Content-Digest", d.Digest.String())
		w.Header().Set("Content-Length", fmt.Sprint(d.Size))
		_, _ = w.Write(raw)
	case f.blob != nil:
		f.blob(w, r)
	default:
		_, _ = w.Write(f.layer)
	}
}

func (f *fakeRegistry) config(tag string) Config {
	return Config{
		Bundle: strings.Replace(f.URL, "http://", ociScheme, 1) + "/p:" + tag, Credentials: login.Credentials{Bearer: canary},
	}
}

func TestRegistryToken(t *testing.T) {
	f := newFakeRegistry(t)
	f.realm = f.URL + "/token"
	w := watchAs(t, f.config("live"))
	w.good("one", 1)
	w.good("one", 1)

	other := newFakeRegistry(t)
	f.realm = other.URL + "/token"
	w = watchAs(t, f.config("live"))
	w.bad("401", "", 1)
	if len(other.shown) == 0 || strings.Contains(fmt.Sprint(other.shown), canary) {
		t.Errorf("the token service of another host was shown %q", other.shown)
	}
	if strings.Contains(w.log.String(), canary) {
		t.Errorf("log %s", w.log.String())
	}
}

func TestHostileRegistry(t *testing.T) {
	for why, change := range map[string]func(*fakeRegistry){
		"redirects are not followed": func(f *fakeRegistry) {
			f.blob = http.RedirectHandler("http://127.0.0.1:1/elsewhere", http.StatusTemporaryRedirect).ServeHTTP
		},
		"mismatch": func(f *fakeRegistry) { f.layer = append([]byte{}, make([]byte, len(f.layer))...) },
		"has no layer of type": func(f *fakeRegistry) {
			f.manifest.Layers = f.manifest.Layers[:1]
		},
		"more than 134217728 bytes": func(f *fakeRegistry) { f.manifest.Layers[1].Size = maxArchive + 1 },
		"more than 1048576 bytes": func(f *fakeRegistry) {
			f.manifest.Annotations = map[string]string{"x": strings.Repeat("x", maxManifest)}
		},
		"application/vnd.oci.image.index.v1+json, has no layer": func(f *fakeRegistry) {
			f.manifest = ocispec.Manifest{MediaType: ocispec.MediaTypeImageIndex}
		},
		"500": func(f *fakeRegistry) {
			f.blob = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }
		},
		"Content-Length": func(f *fakeRegistry) {
			f.blob = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("short")) }
		},
	} {
		t.Run(why, func(t *testing.T) {
			f := newFakeRegistry(t)
			w := watchAs(t, f.config("live"))
			w.good("one", 1)
			f.manifest.Annotations = map[string]string{"new": "digest"}
			change(f)
			w.bad(why, "one", 2)
		})
	}
	watchAs(t, Config{Bundle: "oci://"}).bad("invalid reference", "", 1)
}
