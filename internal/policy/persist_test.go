package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A site is a bundle file, a persist directory and a list of revoked revisions.
type site struct {
	t                     *testing.T
	bundle, shelf, revoke string
	packed                map[string][]byte
}

func newSite(t *testing.T) *site {
	dir := t.TempDir()
	return &site{t, filepath.Join(dir, "b.tar.gz"), filepath.Join(dir, "shelf"), filepath.Join(dir, "revoked.txt"), map[string][]byte{}}
}

// publish makes a revision the source's bundle, and returns its digest.
func (s *site) publish(name string) string {
	s.t.Helper()
	if s.packed[name] == nil {
		s.packed[name] = pack(s.t, entries(revision(name))...)
	}
	write(s.t, s.bundle, s.packed[name])
	return digest(s.packed[name])
}

func (s *site) gone() { _ = os.Remove(s.bundle) }

func (s *site) start(change func(*Config)) *watched {
	cfg := Config{Bundle: s.bundle, Persist: s.shelf}
	if change != nil {
		change(&cfg)
	}
	return watchAs(s.t, cfg)
}

func (s *site) revoked(text string) { write(s.t, s.revoke, []byte(text)) }

func (s *site) rollBack(to string) {
	s.t.Helper()
	if _, err := OpenShelf(s.shelf).RollBack(to); err != nil {
		s.t.Fatal(err)
	}
}

// is reloads, and wants a revision in force, where it came from, and an error
// with that text, or none.
func (w *watched) is(revision, from, why string) {
	w.t.Helper()
	err := w.Reload(w.t.Context())
	if why == "" && err != nil || why != "" && (err == nil || !strings.Contains(err.Error(), why)) {
		w.t.Errorf("error %v, want %q", err, why)
	}
	st := w.Status()
	if st.From != from || (st.Err == nil) != (err == nil) {
		w.t.Errorf("status %+v, want from %q", st, from)
	}
	w.inForce(revision, len(w.loads))
}

func monotonic(c *Config) { c.Monotonic = true }

func TestPersistence(t *testing.T) {
	s := newSite(t)
	s.start(nil).is("", "", "no such file") // nothing anywhere
	s.publish("one")
	s.start(nil).is("one", FromSource, "")
	s.gone()
	w := s.start(nil)
	w.is("one", FromPersist, "no such file")
	if !strings.Contains(w.log.String(), `msg="bundle activated from persistence" revision=one`) {
		t.Errorf("log %s", w.log.String())
	}
	w.is("one", FromPersist, "no such file")
	s.publish("one")
	w.is("one", FromSource, "")
	s.publish("two")
	w.is("two", FromSource, "")
	write(t, s.bundle, []byte("broken"))
	s.start(nil).is("two", FromPersist, "unpack")
}

func TestPersistedAreCheckedAgain(t *testing.T) {
	s := newSite(t)
	s.publish("one")
	w := s.start(nil)
	w.is("one", FromSource, "")
	two := s.publish("two")
	w.is("two", FromSource, "")
	s.gone()
	s.start(func(c *Config) { c.SHA256 = two }).is("two", FromPersist, "no such file")
	s.start(func(c *Config) { c.SHA256 = strings.Repeat("0", 64) }).is("", "", "no such file")
	s.start(func(c *Config) { c.Verify = &Verify{signers(t)["ES256"].public, "ES256", "", ""} }).is("", "", "no such file")
	s.revoked("two\n")
	s.start(func(c *Config) { c.Revoked = s.revoke }).is("one", FromPersist, "no such file")
	s.revoked("one\nsha256:" + two)
	s.start(func(c *Config) { c.Revoked = s.revoke }).is("", "", "no such file")

	path := filepath.Join(s.shelf, kept{2, two}.file())
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, raw[:len(raw)/2])
	w = s.start(nil)
	w.is("one", FromPersist, "no such file")
	if !strings.Contains(w.log.String(), "persisted bundle refused") {
		t.Errorf("log %s", w.log.String())
	}
	write(t, path, pack(t, entries(revision("six"))...))
	s.start(nil).is("one", FromPersist, "no such file")
	s.publish("two") // mends it
	s.start(nil).is("two", FromSource, "")
	s.gone()
	s.start(nil).is("two", FromPersist, "no such file")
}

func TestAHandfulIsPersisted(t *testing.T) {
	s := newSite(t)
	w := s.start(nil)
	write(t, filepath.Join(s.shelf, ".new-1-00000001-x.tar.gz"), []byte("left by a kill"))
	for n := range 2 * keepBundles {
		s.publish(fmt.Sprint(n))
		w.is(fmt.Sprint(n), FromSource, "")
	}
	s.publish("7") // again
	w.is("7", FromSource, "")
	list, err := OpenShelf(s.shelf).List()
	got := ""
	for _, k := range list {
		got += k.Revision + " "
	}
	if err != nil || got != "7 9 8 6 5 " {
		t.Errorf("persisted are %s, %v", got, err)
	}
	names, err := filepath.Glob(filepath.Join(s.shelf, ".new*"))
	if len(names) > 0 || err != nil {
		t.Errorf("left over: %v, %v", names, err)
	}
}

// A bundle that cannot be persisted comes into force, and that is told.
func TestPersistDirectoryFails(t *testing.T) {
	s := newSite(t)
	write(t, s.shelf, []byte("a file"))
	s.publish("one")
	s.start(nil).is("one", FromSource, "not a directory")
}

func TestMonotonic(t *testing.T) {
	s := newSite(t)
	w := s.start(monotonic)
	s.publish("abc")
	w.is("", "", `"abc" cannot be ordered`)
	s.publish("9")
	w.is("9", FromSource, "")
	s.publish("10")
	w.is("10", FromSource, "")
	s.publish("9")
	w.is("10", FromSource, `revision "9" is older than "10"`)
	s.publish("1.0.0")
	w.is("10", FromSource, "cannot be ordered: one is a semantic version, the other an integer")
	s.publish("11")
	w.is("11", FromSource, "")
	s.publish("10") // and it is remembered
	s.start(monotonic).is("11", FromPersist, "older")
	if err := os.RemoveAll(s.shelf); err != nil {
		t.Fatal(err)
	}
	w.is("11", FromSource, "older") // in the process too
}

func TestRollback(t *testing.T) {
	s := newSite(t)
	w := s.start(monotonic)
	for _, name := range []string{"1", "2", "3"} {
		s.publish(name)
		w.is(name, FromSource, "")
	}
	s.rollBack("")
	s.gone()
	w.is("2", FromRollback, "no such file") // with the source down
	if !strings.Contains(w.log.String(), "explicit rollback") {
		t.Errorf("log %s", w.log.String())
	}
	s.publish("3")
	w.is("2", FromRollback, "") // not newer than what was in force
	loads := len(w.loads)
	w.good("2", loads)
	s.start(monotonic).is("2", FromRollback, "") // across a restart
	s.rollBack("")
	w.is("1", FromRollback, "")
	s.rollBack("3")
	w.is("3", FromRollback, "")
	s.rollBack("1")
	w.is("1", FromRollback, "")
	if err := OpenShelf(s.shelf).Clear(); err != nil {
		t.Fatal(err)
	}
	w.is("3", FromSource, "")
	s.rollBack("1")
	w.is("1", FromRollback, "")
	s.publish("4")
	w.is("4", FromSource, "")
	s.start(monotonic).is("4", FromSource, "") // the rollback is over
	s.gone()
	s.start(monotonic).is("4", FromPersist, "no such file")
}

// Revisions without an order: what was never in force ends a rollback.
func TestRollbackWithoutOrder(t *testing.T) {
	s := newSite(t)
	w := s.start(nil)
	for _, name := range []string{"good", "bad"} {
		s.publish(name)
		w.is(name, FromSource, "")
	}
	s.rollBack("good")
	w.is("good", FromRollback, "")
	s.publish("good")
	w.is("good", FromRollback, "")
	s.publish("bad")
	w.is("good", FromRollback, "")
	s.publish("mended")
	w.is("mended", FromSource, "")
}

func TestRollbackToWhatIsNotThere(t *testing.T) {
	s := newSite(t)
	s.publish("1")
	w := s.start(nil)
	w.is("1", FromSource, "")
	shelf := OpenShelf(s.shelf)
	if _, err := shelf.RollBack(""); err == nil || !strings.Contains(err.Error(), "no older bundle") {
		t.Errorf("error %v", err)
	}
	if _, err := shelf.RollBack("7"); err == nil || !strings.Contains(err.Error(), `no bundle of revision "7"`) {
		t.Errorf("error %v", err)
	}
	if _, err := OpenShelf(s.shelf + "x").List(); err == nil {
		t.Error("no error for a directory that is not there")
	}
	write(t, filepath.Join(s.shelf, wishFile), []byte("../../etc/passwd"))
	w.is("1", FromSource, "no such bundle is persisted")
	s.revoked("1")
	write(t, filepath.Join(s.shelf, wishFile), []byte(s.publish("1")))
	s.start(func(c *Config) { c.Revoked = s.revoke }).is("", "", `revision "1" is revoked`)
}

func TestRevoked(t *testing.T) {
	s := newSite(t)
	list := func(c *Config) { c.Revoked = s.revoke }
	s.publish("1")
	s.start(list).is("", "", "no list of revoked revisions was ever read")
	s.revoked("# none\n")
	w := s.start(list)
	w.is("1", FromSource, "")
	s.publish("2")
	w.is("2", FromSource, "")
	s.revoked("2 # leaks\n")
	w.is("1", FromPersist, `revision "2" is revoked`) // back, and the source's is refused
	w.is("1", FromPersist, `revision "2" is revoked`)
	s.revoked("1\n2\n")
	w.is("1", FromPersist, "the bundle in force is revoked, and no other is persisted")
	s.publish("3")
	w.is("3", FromSource, "")
	_ = os.Remove(s.revoke)
	w.is("3", FromSource, "revoked.txt: no such file") // and the last list counts
	s.publish("2")
	w.is("3", FromSource, `revision "2" is revoked`)
	s.start(list).is("3", FromPersist, `revision "2" is revoked`) // in a later run too
	s.revoked("")
	w.is("2", FromSource, "")
}

// A revoked bundle that nothing can replace stays, and that is told each time.
func TestRevokedAndAlone(t *testing.T) {
	s := newSite(t)
	s.revoked("")
	s.publish("1")
	w := s.start(func(c *Config) { c.Revoked, c.Persist = s.revoke, "" })
	w.is("1", FromSource, "")
	s.revoked("1")
	for range 2 {
		w.is("1", FromSource, `revision "1" is revoked`)
	}
	if n := strings.Count(w.log.String(), "level=ERROR"); n != 2 {
		t.Errorf("%d errors in the log: %s", n, w.log.String())
	}
}

// gatehouse check holds a bundle to all that serve would, and changes nothing.
func TestReadOnly(t *testing.T) {
	s := newSite(t)
	trial := func(c *Config) { c.ReadOnly, c.Monotonic, c.Revoked = true, true, s.revoke }
	s.revoked("")
	s.publish("2")
	s.start(trial).is("2", FromSource, "")
	if _, err := os.Stat(s.shelf); err == nil {
		t.Error("a trial wrote")
	}
	w := s.start(monotonic)
	w.is("2", FromSource, "")
	s.publish("3")
	w.is("3", FromSource, "")
	s.rollBack("2")
	s.start(trial).is("3", FromSource, "")
	s.publish("2")
	s.start(trial).is("", "", "older")
	s.gone()
	s.start(trial).is("", "", "no such file")
}
