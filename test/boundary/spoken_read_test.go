package boundary

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// TestSpoken has a bare HTTP client, and real clients by way of gatehouse wrap, read what hostile processes say, with a
// policy that hides a tool and stops a text. Neither may reach what a client gives its program. What does not
// come is told at once: the clients wait for much longer.
func TestSpoken(t *testing.T) {
	t.Parallel()
	all := spoken()
	servers, endpoints := map[string]any{}, []endpoint(nil)
	for _, f := range all {
		command := asChild(t, "scripted", f.name)
		servers[f.name] = map[string]any{"command": command[0], "args": command[1:]}
	}
	gw := startLogged(t, "testdata/guard", servers, func(config map[string]any) {
		config["processes"] = map[string]any{"max": 1000}
	})
	for _, f := range all {
		endpoints = append(endpoints, endpoint{Name: f.name, URL: strings.TrimSuffix(gw.URL, "/mcp") + "/servers/" + f.name + "/mcp"})
	}
	for _, e := range endpoints {
		readSession(t, e)
	}
	mustNotHold(t, map[string]string{"metrics": everythingWritten(t, gw)["metrics"], "audit": everythingWritten(t, gw)["audit"]}, canary)
	t.Run("wrap", func(t *testing.T) {
		gatehouse := harness.Build(t, "github.com/gatehouse-mcp/gatehouse/cmd/gatehouse")
		for name, read := range readers {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var wrapped []endpoint
				for _, f := range all {
					if strings.Contains(f.name, "-document-") {
						continue // what is in a message, TestFramings has them read
					}
					audit := filepath.Join(t.TempDir(), "audit.jsonl")
					command := append([]string{gatehouse}, wrapArguments(t, "testdata/guard", audit, asChild(t, "scripted", f.name))...)
					wrapped = append(wrapped, endpoint{Name: f.name, Command: command})
				}
				saw := read(t, slices.Clone(wrapped))
				for _, e := range wrapped {
					checkRead(t, e.Name, saw[e.Name])
				}
			})
		}
	})
}

// readSession reads all that a bare HTTP client gets in a session. Each call has one answer.
func readSession(t *testing.T, e endpoint) {
	t.Helper()
	s := &principal{}
	s.open(t, e.URL)
	for _, method := range []string{"tools/call", "tools/list", "vendor/do"} {
		text := `{"jsonrpc":"2.0","id":7,"method":"` + method + `","params":{"name":"echo"}}`
		given := exchange(t, http.MethodPost, e.URL, posting{text: text, headers: s.headers()})
		checkRead(t, "raw", []string{given, "harmless harmless harmless"})
		if strings.Count(given, `"id":7`) != 1 {
			t.Errorf("%s: %s: %.300s", e.Name, method, given)
		}
	}
}
