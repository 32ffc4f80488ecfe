package deploy

import (
	"debug/elf"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// release makes what a release has, for this machine's kind of processor alone, in a folder of its own.
func release(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	run(t, "make", "--no-print-directory", "dist", "DIST="+dir, "VERSION=v1.2.3", "PLATFORMS=linux/"+runtime.GOARCH)
	return dir
}

func TestRelease(t *testing.T) {
	one, two := release(t), release(t)
	entries, err := os.ReadDir(one)
	if err != nil || len(entries) != 4 {
		t.Fatalf("%d files, %v", len(entries), err)
	}
	for _, entry := range entries {
		if read(t, filepath.Join(one, entry.Name())) != read(t, filepath.Join(two, entry.Name())) {
			t.Errorf("%s is another one the second time", entry.Name())
		}
	}
	sums := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	sums.Dir = two
	if out, err := sums.CombinedOutput(); err != nil || strings.Count(string(out), ": OK") != 3 {
		t.Errorf("%v\n%s", err, out)
	}
	var bill struct {
		BOMFormat  string
		Components []struct{ Name string }
	}
	text := read(t, filepath.Join(one, "gatehouse-linux-"+runtime.GOARCH+".cdx.json"))
	err = json.Unmarshal([]byte(text), &bill)
	if err != nil || bill.BOMFormat != "CycloneDX" || !strings.Contains(text, "github.com/open-policy-agent/opa") {
		t.Errorf("the bill of materials: %v, %d components", err, len(bill.Components))
	}
	archive := filepath.Join(one, "gatehouse-image.tar")
	t.Run("image", func(t *testing.T) { imageRuns(t, archive) })
	t.Run("registry", func(t *testing.T) { imageIsTaken(t, archive) })
}

const zone = `package mcp

test_zone if time.clock([1767225600000000000, "Asia/Kolkata"]) == [5, 30, 0]
`

func imageRuns(t *testing.T, archive string) {
	img := open(t, archive)
	binary, err := elf.Open(filepath.Join(img.root, "gatehouse"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = binary.Close() }()
	if libraries, err := binary.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("it is not static: %q, %v", libraries, err)
	}
	if out, err := img.command("version").CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "gatehouse v1.2.3\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := img.command("demo", "--exit", "--listen", "127.0.0.1:0").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out) // it writes to /tmp
	}
	write(t, filepath.Join(img.root, "zone_test.rego"), zone)
	test := img.command("policy", "test", "zone_test.rego")
	if out, err := test.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS: 1/1") {
		t.Errorf("%v\n%s", err, out)
	}

	file := img.Config.Cmd[len(img.Config.Cmd)-1]
	if err := os.MkdirAll(filepath.Dir(filepath.Join(img.root, file)), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(img.root, file), "{listen: \"127.0.0.1:0\", admin: \"127.0.0.1:0\", mcpServers: {one: {url: \"http://127.0.0.1:1/mcp\"}}}")
	args := img.Config.Cmd
	if os.Getuid() != 0 {
		args = []string{"serve", "--config", strings.TrimPrefix(file, "/")}
	}
	gateway := harness.Start(t, img.command(args...))
	listening := regexp.MustCompile(`"admin":"([^"]+)"`)
	gateway.Await(t, "the log line with the addresses", func() bool { return listening.MatchString(gateway.Output()) })
	admin := "http://" + listening.FindStringSubmatch(gateway.Output())[1]
	ready(t, gateway, admin+"/readyz")
	if os.Getuid() == 0 {
		status := read(t, "/proc/"+pid(gateway)+"/status")
		if !strings.Contains(status, "\nUid:\t65532\t65532\t65532\t65532\n") || !strings.Contains(status, "\nCapEff:\t0000000000000000\n") {
			t.Errorf("it runs as:\n%s", status)
		}
	}
}

// imageIsTaken pushes the image to a registry, as a release does, and pulls it again.
func imageIsTaken(t *testing.T, archive string) {
	crane, dir := harness.Tool(t, "CRANE"), t.TempDir()
	port, layout := harness.FreePort(t), filepath.Join(dir, "layout")
	write(t, filepath.Join(dir, "config.yml"), "version: 0.1\nlog: {accesslog: {disabled: true}}\n"+
		"storage: {filesystem: {rootdirectory: "+filepath.Join(dir, "storage")+"}}\nhttp: {addr: \"127.0.0.1:"+port+"\"}\n")
	registry := harness.Start(t, exec.Command(harness.Tool(t, "REGISTRY"), "serve", filepath.Join(dir, "config.yml")))
	registry.Await(t, "the registry", func() bool {
		resp, err := http.Get("http://127.0.0.1:" + port + "/v2/")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return true
	})
	if err := os.Mkdir(layout, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "tar", "-xf", archive, "-C", layout)
	name := "127.0.0.1:" + port + "/gatehouse:v1.2.3"
	run(t, crane, "push", layout, name)
	run(t, crane, "validate", "--remote", name)
	var index v1.Index
	if err := json.Unmarshal([]byte(read(t, filepath.Join(layout, "index.json"))), &index); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(run(t, crane, "digest", name)); got != index.Manifests[0].Digest.String() {
		t.Errorf("the registry has %s, the archive %s", got, index.Manifests[0].Digest)
	}
}

// The Dockerfile makes the image that the archive holds, with the Go that go.mod names.
func TestDockerfile(t *testing.T) {
	text := read(t, root+"/Dockerfile")
	toolchain := regexp.MustCompile(`(?m)^toolchain go(\S+)$`).FindStringSubmatch(read(t, root+"/go.mod"))
	if toolchain == nil || !strings.Contains(text, "FROM --platform=$BUILDPLATFORM golang:"+toolchain[1]+" AS build\n") {
		t.Errorf("go.mod has the toolchain %q", toolchain)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "binary"), "")
	run(t, "go", "run", "./deploy/image", "-o", filepath.Join(dir, "tar"), "linux/"+runtime.GOARCH+"="+filepath.Join(dir, "binary"))
	config := open(t, filepath.Join(dir, "tar")).Config
	instruction := func(name string) string {
		found := regexp.MustCompile(`(?m)^`+name+` (.*)$`).FindAllStringSubmatch(text, -1)
		return found[len(found)-1][1]
	}
	list := func(name string) (all []string) {
		if err := json.Unmarshal([]byte(instruction(name)), &all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	want := v1.ImageConfig{User: instruction("USER"), Entrypoint: list("ENTRYPOINT"), Cmd: list("CMD"), WorkingDir: "/"}
	want.ExposedPorts, want.Labels = map[string]struct{}{}, config.Labels
	for port := range strings.FieldsSeq(instruction("EXPOSE")) {
		want.ExposedPorts[port+"/tcp"] = struct{}{}
	}
	if d := cmp.Diff(want, config); d != "" || instruction("FROM") != "scratch" {
		t.Errorf("Dockerfile and archive differ (-Dockerfile +archive):\n%s", d)
	}
}
