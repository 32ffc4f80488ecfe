package harness

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Npm installs the packages that a folder's package-lock.json pins, unless they are installed already. A
// lock on the folder keeps test processes that run side by side out of each other's way.
func Npm(t testing.TB, dir string) {
	t.Helper()
	if err := npmCI(dir); err != nil {
		t.Fatal(err)
	}
}

func npmCI(dir string) error {
	folder, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }() // and with it the lock
	if err := lock(folder); err != nil {
		return err
	}
	want, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return err
	}
	installed := filepath.Join(dir, "node_modules", ".installed-lock.json")
	if have, err := os.ReadFile(installed); err == nil && bytes.Equal(have, want) {
		return nil
	}
	cmd := exec.Command("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci in %s: %w\n%s", dir, err, out)
	}
	return os.WriteFile(installed, want, 0o644)
}

func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) }

// Alone waits until no other process on this machine is alone in that name, and is so until release is called, or it ends.
func Alone(name string) (release func(), err error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), name+".lock"), os.O_RDONLY|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	return func() { _ = f.Close() }, lock(f)
}
