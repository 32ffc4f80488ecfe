// Package helm renders the chart with a matrix of values, holds what comes out to the types of Kubernetes, and runs
// the gateway on it as a cluster would.
package helm

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/gatehouse-mcp/gatehouse/internal/policy"
	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

const chart = "../../helm/gatehouse"

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(harness.Run(m))
}

// helm runs helm template for the release gw in the namespace mcp, and returns what it printed and what it complained of.
func helm(t testing.TB, args ...string) (string, string, error) {
	t.Helper()
	cmd := exec.Command(harness.Tool(t, "HELM"), append([]string{"template", "gw", chart, "--namespace", "mcp"}, args...)...)
	cmd.Env = append(os.Environ(), "HELM_CONFIG_HOME="+t.TempDir(), "HELM_DATA_HOME="+t.TempDir(), "HELM_CACHE_HOME="+t.TempDir())
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	return out.String(), errs.String(), err
}

// render renders the chart with a file of testdata, and more arguments.
func render(t testing.TB, row string, args ...string) string {
	t.Helper()
	out, errs, err := helm(t, append([]string{"--values", "testdata/" + row + ".values.yaml"}, args...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, errs)
	}
	return out
}

func rows(t testing.TB) (names []string) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.values.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no values: %v", err)
	}
	for _, file := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(file), ".values.yaml"))
	}
	return names
}

// Each row of values gives what its golden file says, which an API server would take and the gateway starts with.
func TestMatrix(t *testing.T) {
	objects := harness.BuildIn(t, "objects", "github.com/gatehouse-mcp/gatehouse/test/helm/objects")
	gatehouse := harness.Build(t, "github.com/gatehouse-mcp/gatehouse/cmd/gatehouse")
	for _, row := range rows(t) {
		t.Run(row, func(t *testing.T) {
			text := render(t, row)
			golden(t, "testdata/"+row+".golden.yaml", cut(t, text))
			cmd := exec.Command(objects)
			cmd.Stdin = strings.NewReader(text)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("objects: %v\n%s", err, out)
			}
			r := parse(t, text)
			check := newNode(t, gatehouse).command(t, r, only(t, r.Pod))
			if out, err := check.CombinedOutput(); err != nil || !bytes.HasPrefix(out, []byte("ok: ")) {
				t.Errorf("gatehouse check: %v\n%s", err, out)
			}
		})
	}
}

// What an API server would not take, or what would not work together, does not pass for good.
func TestObjectsAreHeldToTheirTypes(t *testing.T) {
	objects := harness.BuildIn(t, "objects", "github.com/gatehouse-mcp/gatehouse/test/helm/objects")
	good := read(t, "testdata/production.golden.yaml")
	for from, to := range map[string]string{
		"kind: Deployment":                                  "kind: Deploymint",
		"enableServiceLinks: false":                         "enableServiceLink: false",
		"replicas: 3":                                       "replicas: three",
		"maxUnavailable: 0}":                                "maxUnavailable: 0, maxUnavailable: 0}",
		"runAsNonRoot: true":                                "runAsNonRoot: false",
		"capabilities: {drop: [ALL]}":                       "capabilities: {add: [ALL]}",
		"readOnlyRootFilesystem: true":                      "readOnlyRootFilesystem: false",
		"seccompProfile: {type: Runtime":                    "seccompProfile: {type: Unconfined}\n        x: {type: Runtime",
		"automountServiceAccountToken: false\n      enable": "automountServiceAccountToken: true\n      enable",
		"serviceAccountName: gw-gatehouse":                  "serviceAccountName: gw-gatehose",
		"targetPort: mcp":                                   "targetPort: mpc",
		"ports: [{port: admin}]":                            "ports: [{port: adnim}]",
		"- {name: gw-gatehouse, port: 8080}":                "- {name: gw-gatehouse, port: 8888}",
		"app.kubernetes.io/component: admin\n  endpoints":   "app.kubernetes.io/component: none\n  endpoints",
		"- {name: tls, mountPath":                           "- {name: tsl, mountPath",
		"mountPath: /etc/gatehouse/tls,":                    "mountPath: /etc/gatehouse/tls, subPath: tls.crt,",
		"mountPath: /etc/gatehouse/verify,":                 "mountPath: /etc/gatehouse/tls,",
		"name: gw-gatehouse-test\n":                         "name: gw_gatehouse_test\n",
		"app.kubernetes.io/name: gatehouse-test\n    app.kubernetes.io/instance: gw\n    app.kubernetes.io/v": "app.kubernetes.io/name: gatehouse\n    app.kubernetes.io/instance: gw\n    app.kubernetes.io/v",
		"example-team: security": "example-team: in security",
		"  gatehouse.yaml: |":    "  gatehouse/yaml: |",
	} {
		bad := strings.Replace(good, from, to, 1)
		cmd := exec.Command(objects)
		cmd.Stdin = strings.NewReader(bad)
		if out, err := cmd.CombinedOutput(); bad == good || err == nil {
			t.Errorf("%q for %q passes:\n%s", to, from, out)
		}
	}
}

// golden wants a file to say what there is.
func golden(t *testing.T, file, text string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		now := filepath.Join(t.TempDir(), "now.yaml")
		if err := os.WriteFile(now, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		diff, _ := exec.Command("git", "diff", "--no-index", file, now).CombinedOutput()
		t.Errorf("go test ./test/helm -update would change:\n%s", diff)
	}
}

// starter are the files that the gateway reads of the starter policies.
func starter(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := policy.Files("../../policies")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// cut puts the name of each starter policy in place of its text.
func cut(t testing.TB, text string) string {
	t.Helper()
	for name, file := range starter(t) {
		var block strings.Builder
		for line := range strings.Lines(string(file)) {
			block.WriteString("    " + line)
		}
		text = strings.Replace(text, block.String(), "    policies/"+name+"\n", 1)
	}
	return text
}

// The chart's starter policies are those of policies/, and no others.
func TestStarterPolicies(t *testing.T) {
	got, want := parse(t, render(t, "minimal")).ConfigMap["gw-gatehouse-policy"].Data, starter(t)
	for name, text := range want {
		if got[name] != string(text) {
			t.Errorf("%s is another", name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
}

// What cannot be is refused by helm, with the text in the file's first line.
func TestRefused(t *testing.T) {
	files, err := filepath.Glob("testdata/refused/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no values: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want, _, _ := strings.Cut(strings.TrimPrefix(string(text), "# "), "\n")
			if out, errs, err := helm(t, "--values", file); err == nil || out != "" || !strings.Contains(errs, want) {
				t.Errorf("%v, want %q\n%s", err, want, errs)
			}
		})
	}
}

// A key that the gateway's own file has can be said in the chart's values, too.
func TestSchemaHasThePolicyKeys(t *testing.T) {
	var example struct {
		Policy map[string]any
	}
	var schema struct {
		Properties struct {
			Policy struct{ Properties map[string]any }
		}
	}
	decode(t, "../../examples/gatehouse.yaml", &example)
	decode(t, chart+"/values.schema.json", &schema)
	delete(example.Policy, "bundle") // the chart's own
	for key := range example.Policy {
		if _, ok := schema.Properties.Policy.Properties[key]; !ok {
			t.Errorf("values.schema.json has no policy.%s", key)
		}
	}
	if len(example.Policy) < 8 {
		t.Errorf("only %d keys were found", len(example.Policy))
	}
}

func decode(t testing.TB, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(text, into) // JSON is YAML
	}
	if err != nil {
		t.Fatal(err)
	}
}
