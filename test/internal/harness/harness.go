// Package harness starts what the end-to-end suites need: binaries built once for each test process, a
// gateway on ports of its own, upstream servers, and pinned Node packages.
//
// A package that uses it calls [Run] from its TestMain. Nothing here sleeps for a fixed time: a child is
// ready when it says so or answers, and every wait has a deadline.
package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// patience is how long a child may take to start or to stop on a busy machine.
const patience = 60 * time.Second

// work is the folder of this test process's binaries; Run makes and removes it.
var work string

// Run runs a package's tests between making and removing the folder that the built binaries go to. It
// returns the exit code for os.Exit.
func Run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "gatehouse-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	work = dir
	return m.Run()
}

// builds holds one build function for each package.
var builds sync.Map

// Build builds a main package of this module or of one of its dependencies, once for each test process, and
// returns the path of the binary.
func Build(t testing.TB, pkg string) string { return BuildIn(t, ".", pkg) }

// BuildIn is [Build] for the module in dir, which may be another: a tool with dependencies of its own.
func BuildIn(t testing.TB, dir, pkg string) string {
	t.Helper()
	build, _ := builds.LoadOrStore(dir+"\x00"+pkg, sync.OnceValues(func() (string, error) { return goBuild(dir, pkg) }))
	bin, err := build.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// goBuild builds with the module's own versions, as they stand in go.mod and go.sum.
func goBuild(dir, pkg string) (string, error) {
	if work == "" {
		return "", fmt.Errorf("building %s: TestMain has to call harness.Run", pkg)
	}
	bin := filepath.Join(work, filepath.Base(pkg))
	out, err := exec.Command("go", "build", "-C", dir, "-o", bin, pkg).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", pkg, err, out)
	}
	return bin, nil
}
