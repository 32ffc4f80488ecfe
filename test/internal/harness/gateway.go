package harness

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A Gateway is a running gatehouse with one server behind it.
type Gateway struct {
	*Process
	URL   string // of the MCP endpoint
	Admin string // the base URL of /healthz, /readyz and /metrics
	Audit string // the file that the decision records go to
	File  string // its configuration
}

// Options are what a test may choose about its gateway.
type Options struct {
	Upstream string   // the URL of the server behind the gateway
	Command  []string // in its place, how to start one that speaks on stdio
	Policy   string   // the folder of the policy bundle
	// Change, where set, may edit the configuration before it is written: enforce mode, an anonymous
	// caller, and a time limit that a busy machine can keep.
	Change  func(config map[string]any)
	Stdout  *os.File // where its standard output goes; nil: with the log
	Unready bool     // it cannot get ready as it is: do not wait for that
}

// StartGateway builds gatehouse, starts it in front of one server on free ports, and returns once it is
// ready. It is stopped when the test ends.
func StartGateway(t testing.TB, o Options) *Gateway {
	t.Helper()
	dir := t.TempDir()
	gw := &Gateway{Audit: filepath.Join(dir, "audit.jsonl")}
	server := map[string]any{"url": o.Upstream}
	if o.Command != nil {
		server = map[string]any{"command": o.Command[0], "args": o.Command[1:]}
	}
	config := map[string]any{
		"listen":     "127.0.0.1:0",
		"admin":      "127.0.0.1:0",
		"mcpServers": map[string]any{"default": server},
		"identity":   map[string]any{"anonymous": map[string]any{"id": "anonymous", "roles": []string{}}},
		"policy":     map[string]any{"mode": "enforce", "bundle": o.Policy, "pollSeconds": 0, "timeoutMs": 5000, "onMissing": "deny"},
		"audit":      map[string]any{"path": gw.Audit},
	}
	if o.Change != nil {
		o.Change(config)
	}
	file := filepath.Join(dir, "gatehouse.yaml")
	gw.File = file
	text, err := json.MarshalIndent(config, "", "  ") // JSON is YAML
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(Build(t, "github.com/gatehouse-mcp/gatehouse/cmd/gatehouse"), "serve", "--config", file)
	if o.Stdout != nil {
		cmd.Stdout = o.Stdout
	}
	gw.Process = Start(t, cmd)
	gw.Await(t, "the log line with the addresses", gw.listening)
	if !o.Unready {
		gw.Await(t, "/readyz", func() bool { return answers(gw.Admin+"/readyz", http.StatusOK) })
	}
	return gw
}

// listening reads the addresses from the log, once they are there.
func (gw *Gateway) listening() bool {
	for line := range strings.Lines(gw.output.String()) {
		var said struct{ Msg, MCP, Admin string }
		if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "listening" && said.MCP != "" {
			gw.URL, gw.Admin = "http://"+said.MCP+"/mcp", "http://"+said.Admin
			return true
		}
	}
	return false
}

// answers reports whether a URL answers a GET with a status; zero stands for any.
func answers(url string, status int) bool {
	client := http.Client{Timeout: patience}
	resp, err := client.Get(url)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return status == 0 || resp.StatusCode == status
}
