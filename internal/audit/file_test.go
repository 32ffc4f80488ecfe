package audit

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// logIn opens a log of a folder of the test's own.
func logIn(t testing.TB, c Config) *Log {
	t.Helper()
	l, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// contents are the texts of the files of a log, oldest first.
func contents(t testing.TB, path string) (texts []string) {
	t.Helper()
	names, err := Aside(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, path) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	return texts
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l, r := logIn(t, Config{Path: path, MaxBytes: 3000}), full(t)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 25 {
				if err := l.Write(r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	texts := contents(t, path)
	if len(texts) < 10 || slices.ContainsFunc(texts, func(s string) bool { return len(s) > 3000 }) {
		t.Errorf("%d files", len(texts))
	}
	if got := unlinked(t, strings.Join(texts, "")); got != strings.Repeat(line(t, r, false), 100) {
		t.Error("records are lost or split")
	}
	slices.Reverse(texts)
	if found := verify(t, nil, texts...); found != nil {
		t.Error(found)
	}
}

func TestKeep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	bystander := path + ".20260102T030405.000000Z.bak"
	if err := os.WriteFile(bystander, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, r := logIn(t, Config{Path: path, MaxBytes: 1, Keep: 2}), full(t)
	for range 10 {
		if err := l.Write(r); err != nil {
			t.Error(err)
		}
		l.file.prune.Wait()
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if texts := contents(t, path); len(texts) != 3 || verify(t, nil, texts...) != nil {
		t.Errorf("%d files", len(texts))
	}
	if _, err := os.Stat(bystander); err != nil {
		t.Error(err)
	}
}

// TestRotationFails makes sure that a log that cannot be put aside grows on.
func TestRotationFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l, r := logIn(t, Config{Path: path, MaxBytes: 1}), full(t)
	l.file.path = path + strings.Repeat("x", 300) // no name that a system takes
	for range 3 {
		if err := l.Write(r); err != nil {
			t.Error(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if texts := contents(t, path); len(texts) != 1 || unlinked(t, texts[0]) != strings.Repeat(line(t, r, false), 3) {
		t.Errorf("%q", texts)
	}
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l, r := logIn(t, Config{Path: path}), full(t)
	write := func() {
		t.Helper()
		if err := l.Write(r); err != nil {
			t.Error(err)
		}
	}
	write()
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	write() // to the file that was moved
	for range 2 {
		if err := l.Reopen(); err != nil {
			t.Error(err)
		}
		write()
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	moved, err := os.ReadFile(path + ".moved")
	if err != nil {
		t.Fatal(err)
	}
	texts := append(contents(t, path), string(moved))
	if found := verify(t, nil, texts...); found != nil || strings.Count(texts[0], "\n") != 2 || strings.Count(texts[1], "\n") != 2 {
		t.Error(found)
	}
}

// TestResume ends a log in many ways, opens it again, and goes on.
func TestResume(t *testing.T) {
	lines := chained(t, nil, 3)
	whole := strings.Join(lines, "")
	text := strings.TrimSuffix(whole, "\n")
	for name, c := range map[string]struct {
		left, found string
		chains      int
	}{
		"nothing":             {"", "", 1},
		"whole":               {whole, "", 1},
		"no end of the line":  {text, "", 1},
		"torn":                {whole + lines[0][:30], "", 1},
		"torn, with an end":   {whole + lines[0][:30] + "\n", "", 1},
		"torn twice":          {whole + lines[0][:30] + "\n" + lines[0][:7], "", 1},
		"torn from the start": {lines[0][:30], "", 1},
		"a large piece":       {whole + strings.Repeat("x", 1<<20), "", 1},
		"changed":             {strings.Join(lines[:2], "") + strings.Replace(lines[2], "alice", "mallo", 1), "record 3 was changed", 2},
	} {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		if err := os.WriteFile(path, []byte(c.left), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			l := logIn(t, Config{Path: path})
			if err := l.Write(full(t)); err != nil {
				t.Error(err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
		texts := contents(t, path)
		found, chains := verdict(t, nil, "", texts...)
		found = slices.DeleteFunc(found, func(f Finding) bool { return f.Note })
		if len(found) > 1 || (len(found) == 1) != (c.found != "") || len(chains) != c.chains {
			t.Errorf("%s: %v, %d chains", name, found, len(chains))
		}
		if c.found != "" && !strings.Contains(found[0].Text, c.found) {
			t.Errorf("%s: %v", name, found)
		}
	}
}

// TestResumeWithKey makes sure that nobody can have a record of his own carried on.
func TestResumeWithKey(t *testing.T) {
	lines := chained(t, testKey, 2)
	forged := resealed(lines[1], "alice", "mallo")
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(path, []byte(lines[0]+forged), 0o600); err != nil {
		t.Fatal(err)
	}
	l := logIn(t, Config{Path: path, Key: testKey})
	if err := l.Write(full(t)); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if found, chains := verdict(t, testKey, "", contents(t, path)...); len(found) != 1 || len(chains) != 2 {
		t.Errorf("%v, %d chains", found, len(chains))
	}
}

func TestOneWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := logIn(t, Config{Path: path})
	if second, err := Open(Config{Path: path}); err == nil {
		_ = second.Close()
		t.Error("opened twice")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := logIn(t, Config{Path: path}).Close(); err != nil {
		t.Error(err)
	}
}

// TestTornAndRotated fills the disk just before a rotation.
func TestTornAndRotated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l, r := logIn(t, Config{Path: path, MaxBytes: 1200}), full(t)
	if err := l.Write(r); err != nil {
		t.Error(err)
	}
	disk := &writer{room: 100}
	l.w = disk
	if err := l.Write(r); err == nil {
		t.Error("wrote to a full disk")
	}
	if _, err := l.file.Write(disk.Bytes()); err != nil {
		t.Error(err)
	}
	l.w = l.file
	for range 6 {
		if err := l.Write(r); err != nil {
			t.Error(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if texts := contents(t, path); len(texts) < 3 || verify(t, nil, texts...) != nil {
		t.Errorf("%v: %d files", verify(t, nil, texts...), len(texts))
	}
}
