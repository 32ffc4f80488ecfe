// Package bundles runs the gateway against real bundle servers: nginx, the CNCF
// distribution registry, and servers that hold their answers back or want tokens.
package bundles

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Run(m)) }

// policyOf is a bundle that refuses everything, and says its revision as the reason.
func policyOf(t testing.TB, revision string) []byte {
	t.Helper()
	return pack(t, map[string]string{
		".manifest": fmt.Sprintf(`{"revision":%q,"roots":["mcp"]}`, revision),
		"p.rego":    fmt.Sprintf("package mcp\n\ndecision := {\"allow\": false, \"reason\": %q}\n", revision),
	})
}

func pack(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	zw := gzip.NewWriter(&out)
	w := tar.NewWriter(zw)
	for name, text := range files {
		err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))})
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// puts counts the files, each of which is a second newer than the one before:
// nginx makes its ETag of the second and the size.
var puts atomic.Int64

// put replaces a file in one step.
func put(t testing.TB, path string, raw []byte) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path+".new", raw, 0o644)
	}
	if at := time.Unix(1_700_000_000+puts.Add(1), 0); err == nil {
		err = os.Chtimes(path+".new", at, at)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A gateway is one that is asked which policy it obeys.
type gateway struct{ *harness.Gateway }

// start starts a gateway. Its policy section is that of the harness, with these
// keys over it.
func start(t testing.TB, bundle string, policy map[string]any) *gateway {
	t.Helper()
	return &gateway{harness.StartGateway(t, harness.Options{
		Upstream: "http://127.0.0.1:1/mcp", Policy: bundle,
		Change: func(config map[string]any) {
			section := config["policy"].(map[string]any)
			section["onMissing"] = "allow" // it is ready without a bundle
			for k, v := range policy {
				section[k] = v
			}
		},
	})}
}

// obeys is the revision that refuses a call, or the answer if none does.
func (g *gateway) obeys(t testing.TB) string {
	t.Helper()
	resp, err := http.Post(g.URL, "application/json", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Error struct{ Data struct{ Reason string } }
	}
	if json.Unmarshal(raw, &answer) == nil && answer.Error.Data.Reason != "" {
		return answer.Error.Data.Reason
	}
	return string(raw)
}

// awaits waits until a revision is obeyed.
func (g *gateway) awaits(t testing.TB, revision string) {
	t.Helper()
	g.Await(t, "revision "+revision, func() bool { return g.obeys(t) == revision })
}

// is waits until /readyz tells of a revision and of an error with some text, or
// of none, and wants that revision to be obeyed.
func (g *gateway) is(t testing.TB, revision, from, why string) {
	t.Helper()
	var ready struct {
		Policy struct{ Revision, From, Error string }
	}
	g.Await(t, fmt.Sprintf("%s from %s, error %q", revision, from, why), func() bool {
		resp, err := http.Get(g.Admin + "/readyz")
		if err != nil {
			return false
		}
		defer func() { _ = resp.Body.Close() }()
		ready.Policy.Revision, ready.Policy.From, ready.Policy.Error = "", "", ""
		p := &ready.Policy
		return json.NewDecoder(resp.Body).Decode(&ready) == nil && p.Revision == revision && p.From == from &&
			(why == "") == (p.Error == "") && strings.Contains(p.Error, why)
	})
	if revision != "" && g.obeys(t) != revision {
		t.Errorf("%s is obeyed, want %s", g.obeys(t), revision)
	}
}

// hangup sends SIGHUP.
func (g *gateway) hangup(t testing.TB) {
	t.Helper()
	if err := g.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// quiet wants no secret, which all have canary in them, in what the gateway logged.
func (g *gateway) quiet(t testing.TB) {
	t.Helper()
	if strings.Contains(g.Output(), "canary") {
		t.Errorf("the log holds a secret:\n%s", g.Output())
	}
}
