package deploy

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

func TestUnit(t *testing.T) {
	analyze, file := harness.Tool(t, "SYSTEMD"), filepath.Join(t.TempDir(), "gatehouse.service")
	unit, installed := read(t, root+"/deploy/systemd/gatehouse.service"), "ExecStart=/usr/local/bin/gatehouse "
	if !strings.Contains(unit, installed) || !strings.Contains(unit, "\nExecReload=/bin/kill -HUP $MAINPID\n") {
		t.Errorf("another unit than this test knows:\n%s", unit)
	}
	binary := harness.Build(t, "github.com/gatehouse-mcp/gatehouse/cmd/gatehouse")
	write(t, file, strings.Replace(unit, installed, "ExecStart="+binary+" ", 1))
	if said := run(t, analyze, "verify", file); said != "" {
		t.Error(said)
	}
	run(t, analyze, "security", "--offline=true", "--threshold=15", file) // of 100, where 0 is no exposure
}
