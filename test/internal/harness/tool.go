package harness

import (
	"os/exec"
	"strings"
	"testing"
)

// Tool installs a tool at the version that the Makefile of the module pins, unless it is installed already,
// and returns its path. name is that of the Makefile's variable; the tests run two folders below it.
func Tool(t testing.TB, name string) string {
	t.Helper()
	cmd := exec.Command("make", "--no-print-directory", "-C", "../..", "tool", "TOOL="+name)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("make tool TOOL=%s: %v\n%s%s", name, err, out, &errs)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// FreePort is a local port that was free a moment ago.
func FreePort(t testing.TB) string {
	t.Helper()
	return freePort(t)
}
