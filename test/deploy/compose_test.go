package deploy

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

const composed = root + "/deploy/compose/"

// A service is one of the compose file, as Docker Compose understands it.
type service struct {
	Image       string
	ReadOnly    bool     `json:"read_only"`
	CapDrop     []string `json:"cap_drop"`
	SecurityOpt []string `json:"security_opt"`
	Command     []string
	Ports       []struct {
		HostIP string `json:"host_ip"`
	}
	Volumes []struct{ Type, Source, Target string }
}

func services(t testing.TB) map[string]service {
	t.Helper()
	out := run(t, harness.BuildIn(t, "compose", "github.com/gatehouse-mcp/gatehouse/test/deploy/compose"), "deploy/compose/docker-compose.yml")
	var project struct{ Services map[string]service }
	if err := json.Unmarshal([]byte(out), &project); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return project.Services
}

func TestComposeIsConfined(t *testing.T) {
	all := services(t)
	if len(all) != 6 {
		t.Errorf("%d services", len(all))
	}
	pinned := regexp.MustCompile(`:\d[\w.-]*$|:v\d[\w.-]*$|^gatehouse:`)
	for name, s := range all {
		if !s.ReadOnly || len(s.CapDrop) != 1 || s.CapDrop[0] != "ALL" || len(s.SecurityOpt) != 1 || !pinned.MatchString(s.Image) {
			t.Errorf("%s: %+v", name, s)
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s has a port on %q", name, p.HostIP)
			}
		}
		for _, v := range s.Volumes {
			if _, err := os.Stat(v.Source); v.Type == "bind" && err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// changed writes a file of the example with changes to a folder, and returns its path.
func changed(t testing.TB, dir, name string, changes ...string) string {
	t.Helper()
	text := read(t, composed+name)
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(text, changes[i]) {
			t.Fatalf("%s has no %q", name, changes[i])
		}
	}
	path := filepath.Join(dir, name)
	write(t, path, strings.NewReplacer(changes...).Replace(text))
	return path
}

// A stack is the compose file's, run without an engine.
type stack struct {
	gateway, prometheus string // base URLs
	bundle              string // the file that nginx serves
}

// up starts the services one after the other, each by its file, with the addresses and folders of this test. Beside
// what the example has there are a server that is down, a candidate and a decision log, so that all metrics are there.
func up(t *testing.T) stack {
	dir, all := t.TempDir(), services(t)
	gatehouse := harness.Build(t, "github.com/gatehouse-mcp/gatehouse/cmd/gatehouse")
	build := strings.NewReplacer("/bundles", dir, "/policy", "deploy/compose/policy").Replace(strings.Join(all["policies"].Command, " "))
	run(t, gatehouse, "policy", "test", "--coverage", "--threshold", "100", "deploy/compose/policy")
	run(t, gatehouse, strings.Fields(build)...)
	bundles, admin, listen := address(t), address(t), address(t)
	nginx := changed(t, dir, "nginx.conf", "/tmp/", dir+"/", "listen 8080", "listen "+bundles, "/bundles", dir, "/dev/stdout", dir+"/log")
	write(t, nginx, "user root;\n"+read(t, nginx))
	run(t, harness.Tool(t, "NGINX"), "-t", "-e", "stderr", "-c", nginx)
	harness.Start(t, exec.Command(harness.Tool(t, "NGINX"), "-e", "stderr", "-c", nginx, "-g", "daemon off; master_process off;"))

	candidate := filepath.Join(dir, "candidate")
	if err := os.Mkdir(candidate, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(candidate, "p.rego"), "package mcp\n\ndecision := {\"allow\": true}\n")
	config := changed(t, dir, "gatehouse.yaml", "drainSeconds: 5", "", "0.0.0.0:8080", listen, "0.0.0.0:8081", admin, "bundles:8080", bundles,
		"http://everything:3001/mcp", everything(t, all["everything"].Command),
		"mcpServers:", "mcpServers:\n  down: {url: \"http://127.0.0.1:1/mcp\"}",
		"policy:", "audit: {path: \""+dir+"/audit.jsonl\", decisionLogs: {console: true}}\npolicy:\n  candidate: {bundle: "+candidate+"}")
	gateway := harness.Start(t, exec.Command(gatehouse, "serve", "--config", config))
	ready(t, gateway, "http://"+admin+"/readyz")

	at := address(t)
	alerts, err := filepath.Abs(root + "/deploy/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	file := changed(t, dir, "prometheus.yml", "5s", "1s", "gatehouse:8081", admin, "/etc/prometheus/alerts.yml", alerts)
	prometheus := harness.Start(t, exec.Command(harness.Tool(t, "PROMETHEUS"), "--config.file="+file,
		"--storage.tsdb.path="+filepath.Join(dir, "tsdb"), "--web.listen-address="+at))
	ready(t, prometheus, "http://"+at+"/-/ready")
	return stack{gateway: "http://" + listen, prometheus: "http://" + at, bundle: filepath.Join(dir, "bundle.tar.gz")}
}

func address(t testing.TB) string { return net.JoinHostPort("127.0.0.1", harness.FreePort(t)) }

func ready(t testing.TB, p *harness.Process, url string) {
	t.Helper()
	p.Await(t, url, func() bool {
		resp, err := http.Get(url)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// everything starts the server of the example: the same package at the same version.
func everything(t testing.TB, command []string) string {
	t.Helper()
	folder := root + "/test/interop/node"
	harness.Npm(t, folder)
	name, version, _ := strings.Cut(strings.TrimPrefix(command[2], "@"), "@")
	if !strings.Contains(read(t, folder+"/package.json"), `"@`+name+`": "`+version+`"`) {
		t.Fatalf("%s is not the version that is tested", command[2])
	}
	return harness.StartServer(t, func(port string) *exec.Cmd {
		cmd := exec.Command("node", "node_modules/@"+name+"/dist/index.js", command[3])
		cmd.Dir, cmd.Env = folder, []string{"PATH=" + os.Getenv("PATH"), "PORT=" + port}
		return cmd
	})
}

// call calls a tool as a client of the official SDK.
func (s stack) call(t testing.TB, server, tool string, args map[string]any) (string, error) {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(context.Background(), &mcp.StreamableClientTransport{Endpoint: s.gateway + "/servers/" + server + "/mcp"}, nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = session.Close() }()
	result, err := session.CallTool(context.Background(), &mcp.CallToolParams{Name: tool, Arguments: args})
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(result.Content)
	return string(text), err
}
