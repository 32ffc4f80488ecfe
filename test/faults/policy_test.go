package faults

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/policy"
	"github.com/gatehouse-mcp/gatehouse/policies"
)

// rule is a fault of testdata/faulty.
func rule(name string) func(*testing.T, *stage) {
	return func(t *testing.T, s *stage) {
		s.place(t, bundleOf(t, "testdata/faulty"))
		s.fault = name
	}
}

// hungry is such a fault whose rule would take memory without end. How much it takes depends on how late its
// deadline is noticed, and so on what else the machine does.
func hungry(name string) func(*testing.T, *stage) {
	return func(t *testing.T, s *stage) {
		rule(name)(t, s)
		s.bound = 1 << 30
		s.config = append(s.config, func(c map[string]any) { c["policy"].(map[string]any)["timeoutMs"] = 100 })
	}
}

// stuck is a rule that runs on past its deadline, since a built-in does not look at the clock.
func stuck(t *testing.T, s *stage) {
	hungry("stuck")(t, s)
	s.args = strings.Repeat("x", 1<<20)
}

// bundleOf is a bundle of the policy.rego of a folder.
func bundleOf(t *testing.T, folder string) []byte {
	t.Helper()
	rego, err := os.ReadFile(folder + "/policy.rego")
	if err != nil {
		t.Fatal(err)
	}
	return regoOf(t, string(rego))
}

// goodBundle allows everything.
func goodBundle(t *testing.T) []byte { return bundleOf(t, "testdata/allow") }

// regoOf is a bundle of one module.
func regoOf(t *testing.T, rego string) []byte {
	return tarOf(t, map[string][]byte{"policy.rego": []byte(rego)})
}

func tarOf(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var raw bytes.Buffer
	zw := gzip.NewWriter(&raw)
	tw := tar.NewWriter(zw)
	for name, content := range files {
		err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg})
		if err == nil {
			_, err = tw.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return raw.Bytes()
}

func digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// bad is a bundle that is broken in some way, in place of the good one.
func bad(make func(t *testing.T, good []byte) []byte) func(*testing.T, *stage) {
	return func(t *testing.T, s *stage) {
		s.unready = true
		s.place(t, make(t, goodBundle(t)))
	}
}

func truncated(_ *testing.T, good []byte) []byte { return good[:len(good)/2] }

func noArchive(*testing.T, []byte) []byte { return []byte("<html>404</html>") }

func bomb(t *testing.T, _ []byte) []byte {
	return tarOf(t, map[string][]byte{"data.json": bytes.Repeat([]byte(" "), 4<<20)})
}

func badRego(t *testing.T, _ []byte) []byte { return regoOf(t, "package mcp\n\ndecision := {") }

func noRule(t *testing.T, _ []byte) []byte { return regoOf(t, "package mcp\n\nallow := true\n") }

func forbidden(t *testing.T, _ []byte) []byte {
	return regoOf(t, "package mcp\n\ndecision := {\"allow\": true} if http.send({\"method\": \"get\", \"url\": \"http://127.0.0.1:1\"})\n")
}

// starter is a bundle that is good in itself.
func starter(t *testing.T, _ []byte) []byte {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, policies.FS()); err != nil {
		t.Fatal(err)
	}
	raw, err := policy.Build(folder, "")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// missing is a bundle that is not there.
func missing(t *testing.T, s *stage) {
	s.unready = true
	if err := os.Remove(s.file); err != nil {
		t.Fatal(err)
	}
}

// wrongDigest is a good bundle, and another one's digest.
func wrongDigest(t *testing.T, s *stage) {
	s.unready = true
	s.place(t, starter(t, nil))
	s.write(t, s.file+".sha256", []byte(digest(goodBundle(t))))
}

// unreadable is a bundle that the disk cannot give back: a link to a file whose every read fails.
func unreadable(t *testing.T, s *stage) {
	s.unready = true
	missing(t, s)
	if err := os.Symlink("/proc/self/mem", s.file); err != nil {
		t.Fatal(err)
	}
	s.mend = func(t *testing.T) { missing(t, s) }
}

// source is a server of bundles that breaks once the good one is in force. begun waits for what tells
// that it did.
func source(broken http.HandlerFunc, begun func(*testing.T, *stage)) func(*testing.T, *stage) {
	return func(t *testing.T, s *stage) {
		var breaks atomic.Bool
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if breaks.Load() && strings.HasSuffix(r.URL.Path, ".tar.gz") {
				s.asked.Store(true)
				broken(w, r)
				return
			}
			http.ServeFile(w, r, s.file)
		}))
		t.Cleanup(func() {
			web.CloseClientConnections()
			web.Close()
		})
		s.bundle = web.URL + "/bundle.tar.gz"
		s.strike = func(t *testing.T) {
			breaks.Store(true)
			begun(t, s)
		}
		s.mend = func(*testing.T) {
			breaks.Store(false)
			web.CloseClientConnections()
		}
	}
}

// isRefused waits until what the source gives is refused, isAsked only until it is asked.
func isRefused(t *testing.T, s *stage) { s.reload(t) }

func isAsked(t *testing.T, s *stage) {
	s.hangup(t)
	s.gw.Await(t, "the source to be asked", s.asked.Load)
}

func drips(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, "\x1f")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func neverAnswers(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func neverEnds(w http.ResponseWriter, _ *http.Request) {
	zeros := make([]byte, 1<<20)
	for {
		if _, err := w.Write(zeros); err != nil {
			return
		}
	}
}

func redirects(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/elsewhere", http.StatusFound)
}

func isGone(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }
