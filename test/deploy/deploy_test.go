// Package deploy runs what operators run: the image, the unit, the alerts and the example of a whole deployment.
package deploy

import (
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

const root = "../.."

func TestMain(m *testing.M) { os.Exit(harness.Run(m)) }

// run runs a command in the repository and returns what it printed.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func pid(p *harness.Process) string { return strconv.Itoa(p.Pid()) }
