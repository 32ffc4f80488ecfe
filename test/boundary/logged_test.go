package boundary

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// A logged is a gateway whose whole log can be read while it runs, which the harness keeps to itself.
type logged struct {
	*harness.Gateway
	log string // a file
}

// startLogged starts a gateway as the harness does, with a configuration and its log in files.
func startLogged(t testing.TB, policy string, servers map[string]any, change func(config map[string]any)) *logged {
	t.Helper()
	dir := t.TempDir()
	gw := &logged{Gateway: &harness.Gateway{Audit: filepath.Join(dir, "audit.jsonl")}, log: filepath.Join(dir, "log.jsonl")}
	config := map[string]any{
		"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "mcpServers": servers, "audit": map[string]any{"path": gw.Audit},
		"identity": map[string]any{"anonymous": map[string]any{"id": "anonymous", "roles": []string{}}},
		"policy":   map[string]any{"mode": "enforce", "bundle": policy, "pollSeconds": 0, "timeoutMs": 5000, "onMissing": "deny"},
		"limits":   map[string]any{"maxMessageBytes": 65536},
	}
	if change != nil {
		change(config)
	}
	file := filepath.Join(dir, "gatehouse.yaml")
	text, err := json.Marshal(config) // JSON is YAML
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	bin := harness.Build(t, "github.com/gatehouse-mcp/gatehouse/cmd/gatehouse")
	gw.Process = harness.Start(t, exec.Command("sh", "-c", `exec "$0" serve --config "$1" 2>"$2"`, bin, file, gw.log))
	gw.Await(t, "the log line with the addresses", gw.listening)
	return gw
}

// listening reads the addresses from the log, once they are there. The bundle is loaded before.
func (gw *logged) listening() bool {
	text, err := os.ReadFile(gw.log)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		var said struct{ Msg, MCP, Admin string }
		if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "listening" && said.MCP != "" {
			gw.URL, gw.Admin = "http://"+said.MCP+"/mcp", "http://"+said.Admin
			return true
		}
	}
	return false
}

// one is a server named default.
func one(url string) map[string]any { return map[string]any{"default": map[string]any{"url": url}} }
