package bundles

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// rollback runs gatehouse policy rollback.
func rollback(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := exec.Command(gatehouse(t), append([]string{"policy", "rollback", "--persist", dir}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// Tuesday's policy is bad: back to Monday's in a second, with the bundle server
// down, and on to Wednesday's by itself.
func TestGoBackInASecond(t *testing.T) {
	n := newNginx(t, "")
	dir, bundle := filepath.Join(t.TempDir(), "kept"), n.path("html/b.tar.gz")
	url := "http://127.0.0.1:" + n.port + "/b.tar.gz"
	settings := map[string]any{"persist": dir, "monotonic": true}
	put(t, bundle, policyOf(t, "1.9.0"))
	gw := start(t, url, settings)
	tuesday := policyOf(t, "1.10.0")
	put(t, bundle, tuesday)
	gw.hangup(t)
	gw.is(t, "1.10.0", "source", "")
	put(t, bundle, policyOf(t, "1.9.9"))
	gw.hangup(t)
	gw.is(t, "1.10.0", "source", `revision "1.9.9" is older than "1.10.0"`)

	n.Stop()
	if out := rollback(t, dir); !strings.HasPrefix(out, "roll back to 1.9.0 (sha256 ") {
		t.Errorf("rollback printed %s", out)
	}
	gw.hangup(t)
	gw.is(t, "1.9.0", "rollback", "connection refused")
	if !strings.Contains(gw.Output(), `"msg":"bundle activated by explicit rollback","revision":"1.9.0"`) {
		t.Errorf("log:\n%s", gw.Output())
	}
	list := strings.Split(rollback(t, dir, "--list"), "\n")
	if len(list) != 4 || !strings.HasPrefix(list[1], "1.10.0 ") || !strings.HasPrefix(list[2], "1.9.0 ") || !strings.HasSuffix(list[2], "rollback") {
		t.Errorf("the list is %q", list)
	}

	put(t, bundle, tuesday)
	n.start(t)
	gw.Stop()
	gw = start(t, url, settings) // a restart changes nothing
	gw.is(t, "1.9.0", "rollback", "")
	rollback(t, dir, "--clear")
	gw.hangup(t)
	gw.is(t, "1.10.0", "source", "")
	rollback(t, dir, "--to", "1.9.0")
	gw.hangup(t)
	gw.is(t, "1.9.0", "rollback", "")
	put(t, bundle, policyOf(t, "1.10.1"))
	gw.hangup(t)
	gw.is(t, "1.10.1", "source", "")
	rollback(t, dir) // one step back is Tuesday's again
	gw.hangup(t)
	gw.is(t, "1.10.0", "rollback", "")
}

func TestRevokedBundle(t *testing.T) {
	n := newNginx(t, "")
	dir, bundle, list := filepath.Join(t.TempDir(), "kept"), n.path("html/b.tar.gz"), n.path("html/revoked.txt")
	url := "http://127.0.0.1:" + n.port
	settings := map[string]any{"persist": dir, "revoked": url + "/revoked.txt"}
	put(t, bundle, policyOf(t, "a"))
	start(t, url+"/b.tar.gz", settings).is(t, "", "", "no list of revoked revisions was ever read")
	put(t, list, []byte("# none yet\n"))
	gw := start(t, url+"/b.tar.gz", settings)
	gw.is(t, "a", "source", "")
	put(t, bundle, policyOf(t, "b"))
	gw.hangup(t)
	gw.is(t, "b", "source", "")
	put(t, list, []byte("b\n"))
	gw.hangup(t)
	gw.is(t, "a", "persist", `revision "b" is revoked`)
	put(t, list, []byte("b\na\n"))
	gw.hangup(t)
	gw.is(t, "a", "persist", "the bundle in force is revoked, and no other is persisted")
	n.Stop()
	gw.Stop()
	gw = start(t, url+"/b.tar.gz", settings) // the list is remembered
	gw.is(t, "", "", "list of revoked revisions not read")
	put(t, list, []byte("b\n"))
	n.start(t)
	gw.hangup(t)
	gw.is(t, "a", "persist", `revision "b" is revoked`)
}

func TestStartWithTheServerDown(t *testing.T) {
	n := newNginx(t, "")
	dir := filepath.Join(t.TempDir(), "kept")
	url := "http://127.0.0.1:" + n.port + "/b.tar.gz"
	put(t, n.path("html/b.tar.gz"), policyOf(t, "1"))
	gw := start(t, url, map[string]any{"persist": dir})
	gw.is(t, "1", "source", "")
	gw.Stop()
	n.Stop()
	gw = start(t, url, map[string]any{"persist": dir, "onMissing": "deny"})
	gw.is(t, "1", "persist", "connection refused")
	if !strings.Contains(gw.Output(), `"msg":"bundle activated from persistence","revision":"1"`) {
		t.Errorf("log:\n%s", gw.Output())
	}
	n.start(t)
	gw.hangup(t)
	gw.is(t, "1", "source", "")
}

// However a gateway is killed while it persists, the next one has a whole
// bundle to enforce.
func TestKilledWhilePersisting(t *testing.T) {
	dir := t.TempDir()
	kept, bundle := filepath.Join(dir, "kept"), filepath.Join(dir, "b.tar.gz")
	noise := rand.NewChaCha8([32]byte{})
	heavy := func(n int) []byte {
		raw := make([]byte, 6<<20)
		_, _ = noise.Read(raw)
		return pack(t, map[string]string{
			".manifest": fmt.Sprintf(`{"revision":"%d"}`, n),
			"p.rego":    fmt.Sprintf("package mcp\n\ndecision := {\"allow\": false, \"reason\": \"%d\"}\n", n),
			"noise.txt": base64.StdEncoding.EncodeToString(raw),
		})
	}
	put(t, bundle, heavy(0))
	settings := map[string]any{"persist": kept, "monotonic": true}
	start(t, bundle, settings).is(t, "0", "source", "")
	caught := 0
	for n := 1; n <= 8; n++ {
		gw := start(t, bundle, settings)
		put(t, bundle, heavy(n))
		before := names(t, kept)
		gw.hangup(t)
		for now := before; now == before; now = names(t, kept) {
		}
		if err := gw.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-gw.Done()
		if strings.Contains(names(t, kept), ".new-") {
			caught++
		}
		if err := os.Rename(bundle, bundle+".away"); err != nil {
			t.Fatal(err)
		}
		gw = start(t, bundle, settings)
		if got := gw.obeys(t); got != fmt.Sprint(n) && got != fmt.Sprint(n-1) {
			t.Errorf("after the kill at %d: %s is obeyed", n, got)
		}
		gw.Stop()
		put(t, bundle, heavy(n))
	}
	if caught == 0 {
		t.Error("no gateway was killed while it wrote")
	}
}

// names are those of the files in a folder, in one text.
func names(t testing.TB, dir string) string {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, entry := range all {
		text += entry.Name() + "\n"
	}
	return text
}
