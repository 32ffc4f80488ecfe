package interop

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// nodeClient is a client in Node: a script that plays the steps and prints the outcomes.
func nodeClient(script string, more ...string) func(*testing.T, string, []step) []outcome {
	return func(t *testing.T, url string, steps []step) []outcome {
		input, err := json.Marshal(steps)
		if err != nil {
			t.Fatal(err)
		}
		var seen []outcome
		node(t, &seen, input, append([]string{script, url}, more...)...)
		return seen
	}
}

// node runs a script of the node folder and decodes the one line that it prints.
func node(t *testing.T, into any, stdin []byte, args ...string) {
	t.Helper()
	harness.Npm(t, "node")
	cmd := exec.Command("node", args...)
	cmd.Dir = "node"
	cmd.Stdin = bytes.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout = &out
	p := harness.Start(t, cmd)
	<-p.Done()
	if err := json.Unmarshal(out.Bytes(), into); err != nil {
		t.Fatalf("%v: %q: %v", err, out.String(), p.Err())
	}
}

// referenceServer starts the TypeScript reference server and returns the URL of its endpoint. It has a tool
// that shows its environment, which must not be this process's.
func referenceServer(t *testing.T) string { return referenceServerOver(t, "streamableHttp") }

// sseServer is the reference server over HTTP+SSE, the transport of 2024-11-05.
func sseServer(t *testing.T) string {
	return strings.Replace(referenceServerOver(t, "sse"), "/mcp", "/sse", 1)
}

func referenceServerOver(t *testing.T, transport string) string {
	t.Helper()
	harness.Npm(t, "node")
	main := filepath.Join("node_modules", "@modelcontextprotocol", "server-everything", "dist", "index.js")
	return harness.StartServer(t, func(port string) *exec.Cmd {
		cmd := exec.Command("node", main, transport)
		cmd.Dir = "node"
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "PORT=" + port}
		return cmd
	})
}
