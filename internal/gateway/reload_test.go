package gateway

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// revision is a bundle whose rules and data both tell its revision.
func revision(t *testing.T, name string) []byte {
	t.Helper()
	var out bytes.Buffer
	zw := gzip.NewWriter(&out)
	tw := tar.NewWriter(zw)
	for _, f := range []struct{ name, text string }{
		{".manifest", `{"revision":"` + name + `"}`},
		{"data.json", `{"revision":"` + name + `"}`},
		{"policy.rego", "package mcp\n\ndecision := {\"allow\": \"" + name + "\" == data.revision, \"reason\": data.revision}"},
	} {
		err := tw.WriteHeader(&tar.Header{Name: f.name, Mode: 0o600, Size: int64(len(f.text))})
		if err == nil {
			_, err = tw.Write([]byte(f.text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if tw.Close() != nil || zw.Close() != nil {
		t.Fatal("writing a bundle failed")
	}
	return out.Bytes()
}

// Hundreds of reloads go on while messages pass: no record may mix two
// revisions, no exchange may be judged by two, and nothing may fail.
func TestReloadUnderLoad(t *testing.T) {
	const reloads, callers = 200, 4
	b := newBench(t, allowAll)
	path := filepath.Join(t.TempDir(), "bundle.tar.gz")
	engine := policy.New(policy.Config{Bundle: path, Decision: "mcp/decision", Timeout: 10 * time.Second, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(engine.Close)
	b.Policy = engine
	bundles := [][]byte{revision(t, "one"), revision(t, "two")}
	swap := func(n int) {
		if err := os.WriteFile(path+".new", bundles[n%2], 0o600); err != nil {
			t.Error(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Error(err)
		}
		if err := engine.Reload(context.Background()); err != nil {
			t.Error(err)
		}
	}
	swap(0)
	done := make(chan struct{})
	var group sync.WaitGroup
	for caller := range callers {
		group.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				if c := b.post(toolCall(fmt.Sprintf("t%d-%d", caller, n), "{}")); c.status != 200 {
					t.Errorf("client got %d %s", c.status, c.text)
					return
				}
			}
		})
	}
	for n := range reloads {
		swap(n + 1)
	}
	close(done)
	group.Wait()

	seen, exchanges := map[string]bool{}, map[string]string{}
	for _, r := range b.records() {
		used := r["bundle"].(map[string]any)["revision"].(string)
		seen[used] = true
		tool := r["tool"].(string)
		if before, ok := exchanges[tool]; ok && before != used {
			t.Errorf("%s was judged by %s and by %s", tool, before, used)
		}
		exchanges[tool] = used
		if r["reason"] != used || r["outcome"] != "allow" {
			t.Errorf("record mixes revisions: %v", r)
		}
	}
	if len(seen) != 2 || len(exchanges) < callers {
		t.Errorf("revisions %v in %d exchanges", seen, len(exchanges))
	}
	if strings.Contains(b.audit.String(), `"outcome":"error"`) {
		t.Error("a decision failed")
	}
}
