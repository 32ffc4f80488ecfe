package policy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// revision is a bundle whose every decision carries its revision twice: in the
// rule and in the data.
func revision(name string) map[string]string {
	return map[string]string{
		".manifest": `{"revision":"` + name + `","roots":["mcp"]}`,
		"p.rego": `package mcp
decision := {"allow": true, "reason": concat(" ", ["` + name + `", data.mcp.revision])}`,
		"mcp/data.json": `{"revision":"` + name + `"}`,
	}
}

type entry struct {
	header tar.Header
	body   string
}

func regular(name, body string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(body))}, body}
}

func entries(files map[string]string) (all []entry) {
	for name, body := range files {
		all = append(all, regular(name, body))
	}
	return all
}

func pack(t testing.TB, all ...entry) []byte {
	t.Helper()
	var raw bytes.Buffer
	w := tar.NewWriter(&raw)
	for _, e := range all {
		if err := w.WriteHeader(&e.header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return gz(t, raw.Bytes())
}

func gz(t testing.TB, raw []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

func write(t testing.TB, path string, raw []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A watched is an engine and what it told of itself.
type watched struct {
	*Engine
	t     *testing.T
	loads []error // as OnLoad was told
	log   bytes.Buffer
}

func watch(t *testing.T, bundle, sha256 string) *watched {
	t.Helper()
	return watchAs(t, Config{Bundle: bundle, SHA256: sha256})
}

// watchAs makes an engine of a configuration, whose rest it fills in.
func watchAs(t *testing.T, cfg Config) *watched {
	t.Helper()
	w := &watched{t: t}
	cfg.Decision, cfg.Timeout = "mcp/decision", patience
	cfg.Log = slog.New(slog.NewTextHandler(&w.log, nil))
	cfg.OnLoad = func(err error) { w.loads = append(w.loads, err) }
	w.Engine = New(cfg)
	t.Cleanup(w.Close)
	return w
}

// good reloads, and wants the revision in force and this many loads in all.
func (w *watched) good(revision string, loads int) {
	w.t.Helper()
	if err := w.Reload(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	if st := w.Status(); st.Err != nil || st.Attempted.IsZero() {
		w.t.Errorf("status %+v", st)
	}
	w.inForce(revision, loads)
}

// bad reloads, and wants an error that says why, and the old revision in force.
func (w *watched) bad(why, revision string, loads int) {
	w.t.Helper()
	err := w.Reload(w.t.Context())
	if err == nil || !strings.Contains(err.Error(), why) {
		w.t.Fatalf("error %v, want %s", err, why)
	}
	if st := w.Status(); st.Err == nil || len(w.loads) == 0 || w.loads[len(w.loads)-1] == nil {
		w.t.Errorf("status %+v, told %v", st, w.loads)
	}
	if !strings.Contains(w.log.String(), "bundle refused") {
		w.t.Errorf("log %s", w.log.String())
	}
	w.inForce(revision, loads)
}

func (w *watched) inForce(revision string, loads int) {
	w.t.Helper()
	if len(w.loads) != loads {
		w.t.Errorf("told of %d loads, want %d", len(w.loads), loads)
	}
	s := w.Pin()
	if revision == "" {
		if s != nil {
			w.t.Errorf("%s in force", s.Revision)
		}
		return
	}
	if s == nil {
		w.t.Fatal("nothing in force")
	}
	d := s.Decide(call(w.t, "x", `{}`))
	if want := revision + " " + revision; s.Revision != revision || d.Reason != want || !d.Allow {
		w.t.Errorf("revision %s, decision %+v, want %s", s.Revision, d, revision)
	}
}

func TestFileBundle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bundle.tar.gz")
	w := watch(t, path, "")
	w.bad("no such file", "", 1)
	write(t, path, pack(t, entries(revision("one"))...))
	w.good("one", 2)
	first := w.Pin()
	w.good("one", 2)
	if w.Pin() != first {
		t.Error("an unchanged bundle was activated")
	}
	write(t, path, []byte("no bundle"))
	w.bad("unpack", "one", 3)
	if w.Pin() != first {
		t.Error("a broken bundle changed something")
	}
	write(t, path, pack(t, entries(revision("two"))...))
	w.good("two", 4)
	if d := first.Decide(call(t, "x", `{}`)); d.Reason != "one one" {
		t.Errorf("a pinned snapshot says %+v", d)
	}
	if !strings.Contains(w.log.String(), "revision=two") {
		t.Errorf("log %s", w.log.String())
	}
}

func TestDirectoryBundle(t *testing.T) {
	dir := t.TempDir()
	put := func(files map[string]string) {
		for name, body := range files {
			write(t, filepath.Join(dir, name), []byte(body))
		}
	}
	put(revision("one"))
	put(map[string]string{"p_test.rego": "package nonsense !", ".hidden/p.rego": "nor this", "README.md": "nor that"})
	w := watch(t, dir, "")
	w.good("one", 1)
	w.good("one", 1)
	put(map[string]string{"p_test.rego": "changed"})
	w.good("one", 1)
	put(map[string]string{"p.rego": "package mcp\ndecision := "})
	w.bad("p.rego", "one", 2)
	put(revision("two"))
	w.good("two", 3)

	watch(t, dir, strings.Repeat("0", 64)).bad("directory", "", 1)
}

// mount lays files out in a directory as the kubelet does, in place of those of before.
func mount(t testing.TB, dir, folder string, files map[string]string) {
	t.Helper()
	link := filepath.Join(dir, "..data")
	before, _ := os.Readlink(link)
	for name, body := range files {
		write(t, filepath.Join(dir, folder, name), []byte(body))
		first, _, _ := strings.Cut(name, "/")
		if err := os.Symlink("..data/"+first, filepath.Join(dir, first)); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	err := os.Symlink(folder, link+"_tmp")
	if err == nil {
		err = os.Rename(link+"_tmp", link)
	}
	if err == nil && before != "" {
		err = os.RemoveAll(filepath.Join(dir, before))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestMountedDirectory(t *testing.T) {
	dir := t.TempDir()
	mount(t, dir, "..1", revision("one"))
	w := watch(t, dir, "")
	w.good("one", 1)
	mount(t, dir, "..2", revision("two"))
	w.good("two", 2)
}

// A mounted directory that changes while it is read is never a mixture.
func TestMountedDirectoryIsOfOneMoment(t *testing.T) {
	dir, whole := t.TempDir(), map[string]bool{}
	names := []string{"one", "two"}
	for _, name := range names {
		files := map[string][]byte{}
		for file, body := range revision(name) {
			files[file] = []byte(body)
		}
		whole[digestOf(files)] = true
	}
	mount(t, dir, "..0", revision(names[0]))
	read := make(chan string)
	go func() {
		for t.Context().Err() == nil {
			a, err := readDir(dir)
			if err != nil {
				continue // it was exchanged each time
			}
			select {
			case read <- a.sha256:
			case <-t.Context().Done():
			}
		}
	}()
	for i, n := 1, 0; n < 100; i++ {
		mount(t, dir, fmt.Sprintf("..%d", i), revision(names[i%2]))
		select {
		case sha256 := <-read:
			if n++; !whole[sha256] {
				t.Fatal("a mixture")
			}
		default:
		}
	}
}

func TestDigest(t *testing.T) {
	dir := t.TempDir()
	path, sums := filepath.Join(dir, "b.tar.gz"), filepath.Join(dir, "b.tar.gz.sha256")
	one, two := pack(t, entries(revision("one"))...), pack(t, entries(revision("two"))...)
	write(t, path, one)

	w := watch(t, path, strings.ToUpper(digest(one)))
	w.good("one", 1)
	if w.Pin().SHA256 != digest(one) {
		t.Errorf("digest %s", w.Pin().SHA256)
	}
	write(t, path, two)
	w.bad("expected "+digest(one), "one", 2)
	write(t, path, one)
	w.good("one", 2)

	w = watch(t, path, sums)
	w.bad("read digest", "", 1)
	for _, text := range []string{"", "\n", "x", digest(one)[1:], digest(one) + "0", "sha256:" + digest(one)} {
		write(t, sums, []byte(text))
		if err := w.Reload(t.Context()); err == nil {
			t.Errorf("%q is a digest", text)
		}
	}
	write(t, sums, []byte(digest(one)+"  b.tar.gz\n"))
	w.good("one", 8)
	write(t, path, two)
	w.bad("expected", "one", 9)
	write(t, sums, []byte(digest(two)+" *b.tar.gz\n"))
	w.good("two", 10)
}

func TestRevisionFallback(t *testing.T) {
	raw := pack(t, regular("p.rego", "package mcp\ndecision := {\"allow\": true}"))
	path := filepath.Join(t.TempDir(), "b.tar.gz")
	write(t, path, raw)
	w := watch(t, path, "")
	if err := w.Reload(t.Context()); err != nil || w.Pin().Revision != digest(raw)[:12] {
		t.Errorf("%v, revision %v", err, w.Pin())
	}
}

func TestPoll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.tar.gz")
	write(t, path, pack(t, entries(revision("one"))...))
	loaded := make(chan error, 1)
	e := New(Config{Bundle: path, Decision: "mcp/decision", Poll: time.Millisecond, Timeout: patience, Log: slog.New(slog.DiscardHandler), OnLoad: func(err error) { loaded <- err }})
	defer e.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { e.Poll(ctx); close(ended) }()
	if err := <-loaded; err != nil {
		t.Error(err)
	}
	cancel()
	<-ended
	New(Config{Bundle: path}).Poll(t.Context())    // no interval: returns
	New(Config{Poll: time.Hour}).Poll(t.Context()) // no bundle: returns
}

// No decision mixes two revisions, whatever is loaded meanwhile.
func TestReloadUnderLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.tar.gz")
	bundles := [2][]byte{pack(t, entries(revision("one"))...), pack(t, entries(revision("two"))...)}
	write(t, path, bundles[0])
	w := watch(t, path, "")
	w.good("one", 1)
	var done atomic.Bool
	var judged atomic.Int64
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			in := call(t, "x", `{}`)
			for !done.Load() {
				s := w.Pin()
				for _, phase := range []Phase{Request, Response} {
					in.Phase = phase
					d := s.Decide(in)
					if !d.Allow || d.Reason != s.Revision+" "+s.Revision {
						t.Errorf("revision %s: %+v", s.Revision, d)
						return
					}
				}
				judged.Add(1)
				if d, _ := s.Visible(item(in)); d.Reason != s.Revision+" "+s.Revision {
					t.Errorf("revision %s: %+v", s.Revision, d)
					return
				}
			}
		})
	}
	for i := range 150 {
		write(t, path, bundles[(i+1)%2])
		if err := w.Reload(t.Context()); err != nil {
			t.Error(err)
		}
	}
	done.Store(true)
	group.Wait()
	if len(w.loads) != 151 || judged.Load() == 0 {
		t.Errorf("%d loads, judged %d", len(w.loads), judged.Load())
	}
}
