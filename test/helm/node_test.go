package helm

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/testcert"
)

// A node runs the first container of a pod as a process, with its volumes laid out as the kubelet lays them out.
type node struct {
	root       string // of the container's files
	gatehouse  string
	secrets    map[string]map[string]string
	configMaps map[string]map[string]string // those that are not the chart's
	places     *strings.Replacer            // of what is elsewhere in a cluster
	mounts     int
}

func newNode(t testing.TB, gatehouse string) *node {
	t.Helper()
	n := &node{root: t.TempDir(), gatehouse: gatehouse}
	bundle, key := signedBundle(t, gatehouse)
	web := bundleServer(t, bundle)
	n.places = strings.NewReplacer(
		"/etc/gatehouse/", n.root+"/etc/gatehouse/", "/var/lib/gatehouse/", n.root+"/var/lib/gatehouse/",
		"https://bundles.example/", web+"/", "oci://registry.example/", "oci"+strings.TrimPrefix(web, "http")+"/",
	)
	team := map[string]string{"bundle.tar.gz": string(bundle)}
	for name, text := range starter(t) {
		team[name] = string(text)
	}
	n.configMaps = map[string]map[string]string{"team-policy": team}
	ca := testcert.NewCA(t, "cluster")
	files := ca.Issue("gw.example")
	handles := base64.StdEncoding.EncodeToString(random(t, 32))
	n.secrets = map[string]map[string]string{
		"gatehouse-handles": {"handles.key": handles, "keys.txt": handles},
		"gatehouse-tls":     {"tls.crt": read(t, files.Certificate), "tls.key": read(t, files.Key), "ca.crt": read(t, ca.File)},
		"bundle-key":        {"bundle-key.pem": key},
		"internal-ca":       {"ca.crt": read(t, ca.File)},
		"weather-token":     {"token": "a-token"},
		"api-keys":          {"keys.yaml": "[]"},
	}
	return n
}

// command is what the first container of the pod runs, on an empty disk but for its volumes, and with no variable but
// its own. A Secret's values for variables are all alike.
func (n *node) command(t testing.TB, r *release, of *object, args ...string) *exec.Cmd {
	t.Helper()
	c := &of.Spec.Containers[0]
	for _, v := range of.Spec.Volumes {
		for _, m := range c.VolumeMounts {
			if m.Name == v.Name {
				n.mount(t, filepath.Join(n.root, m.Path), n.files(t, r, v))
			}
		}
	}
	cmd := exec.Command(n.gatehouse)
	cmd.Dir, cmd.Env = n.root, []string{"TMPDIR=/nonexistent"}
	for _, v := range c.Env {
		if v.ValueFrom != nil {
			v.Value = "from-a-secret"
		}
		cmd.Env = append(cmd.Env, v.Name+"="+v.Value)
	}
	for _, arg := range c.Args {
		cmd.Args = append(cmd.Args, n.places.Replace(arg))
	}
	cmd.Args = append(cmd.Args, args...)
	return cmd
}

// files are those of a volume.
func (n *node) files(t testing.TB, r *release, v volume) map[string]string {
	t.Helper()
	files, ok := n.secrets[v.Secret.Name]
	switch {
	case v.Secret.Name == "" && v.ConfigMap.Name == "": // an emptyDir
		return nil
	case v.ConfigMap.Name != "":
		files, ok = n.configMaps[v.ConfigMap.Name]
		if own, found := r.ConfigMap[v.ConfigMap.Name]; found {
			files, ok = own.Data, true
		}
	}
	if !ok {
		t.Fatalf("there is nothing for the volume %+v", v)
	}
	if text, ok := files["gatehouse.yaml"]; ok {
		return map[string]string{"gatehouse.yaml": n.places.Replace(text)}
	}
	return files
}

// mount puts files in place of those of a folder, all at once: each is a link through ..data, a link that is exchanged.
func (n *node) mount(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	n.mounts++
	folder, link := fmt.Sprintf("..2026_%d", n.mounts), filepath.Join(dir, "..data")
	before, _ := os.Readlink(link)
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(os.MkdirAll(filepath.Join(dir, folder), 0o755))
	for name, text := range files {
		do(os.WriteFile(filepath.Join(dir, folder, name), []byte(text), 0o440))
		if err := os.Symlink("..data/"+name, filepath.Join(dir, name)); !os.IsExist(err) {
			do(err)
		}
	}
	do(os.Symlink(folder, link+"_tmp"))
	do(os.Rename(link+"_tmp", link))
	if before != "" {
		do(os.RemoveAll(filepath.Join(dir, before)))
	}
}

// signedBundle is the starter policies as a bundle, and the key that they are signed with.
func signedBundle(t testing.TB, gatehouse string) (bundle []byte, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	half, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	at := filepath.Join(dir, "private.pem")
	if err := os.WriteFile(at, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(dir, "bundle.tar.gz")
	out, err := exec.Command(gatehouse, "policy", "build", "../../policies", "-o", to, "--signing-key", at, "--signing-alg", "ES256").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return []byte(read(t, to)), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: half}))
}

// bundleServer has a bundle at /policy.tar.gz, for those who know the password, and as /team/policy:live in a registry.
func bundleServer(t testing.TB, bundle []byte) string {
	t.Helper()
	sum := fmt.Sprintf("%x", sha256.Sum256(bundle))
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
		"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:%s","size":%d}]}`, sum, len(bundle))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v2/team/policy/manifests/{reference}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		w.Header().Set("Docker-Content-Digest", fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(manifest))))
		_, _ = io.WriteString(w, manifest)
	})
	mux.HandleFunc("GET /v2/team/policy/blobs/sha256:"+sum, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bundle) })
	guarded := func(body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if _, password, _ := r.BasicAuth(); password != "from-a-secret" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = w.Write(body)
		}
	}
	mux.HandleFunc("GET /policy.tar.gz", guarded(bundle))
	mux.HandleFunc("GET /policy.tar.gz.sha256", guarded([]byte(sum+"  policy.tar.gz\n")))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func random(t testing.TB, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func read(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
