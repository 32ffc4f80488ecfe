package reread

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// joined takes texts that are not empty, and joins them.
func joined(texts [][]byte) (string, error) {
	for _, text := range texts {
		if len(text) == 0 {
			return "", errors.New("an empty file")
		}
	}
	return string(bytes.Join(texts, []byte("+"))), nil
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// age dates a file back, so that it is not read again for being new.
func age(t *testing.T, path string, by time.Duration) {
	t.Helper()
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(-by)); err != nil {
		t.Fatal(err)
	}
}

type log struct{ bytes.Buffer }

func (l *log) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *log) count(t *testing.T, level string, want int) {
	t.Helper()
	if got := strings.Count(l.String(), "level="+level); got != want {
		t.Errorf("%d lines at %s, want %d:\n%s", got, level, want, l)
	}
}

// A step changes the files, and what then holds is what Get returns, twice.
func TestGet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	write(t, a, "1")
	write(t, b, "2")
	logged := &log{}
	f, err := Open("pair", logged.logger(), joined, a, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name          string
		change        func()
		want          string
		errors, infos int // lines so far
	}{
		{"nothing", func() {}, "1+2", 0, 0},
		{"same size within a tick", func() { write(t, a, "3") }, "3+2", 0, 1},
		{"emptied", func() { write(t, b, "") }, "3+2", 1, 1},
		{"still empty, and old", func() { age(t, a, time.Hour); age(t, b, time.Hour) }, "3+2", 1, 1},
		{"as it was", func() { write(t, b, "2") }, "3+2", 1, 2},
		{"emptied again", func() { write(t, b, "") }, "3+2", 2, 2},
		{"removed", func() { _ = os.Remove(b) }, "3+2", 3, 2},
		{"a folder", func() { _ = os.Mkdir(b, 0o700) }, "3+2", 4, 2},
		{"back", func() { _ = os.Remove(b); write(t, b, "4") }, "3+4", 4, 3},
		{"too large", func() { write(t, b, strings.Repeat("x", maxBytes+1)) }, "3+4", 5, 3},
		{"replaced by another, equally old", func() {
			write(t, b, "5")
			age(t, b, time.Hour)
		}, "3+5", 5, 4},
		{"touched", func() { age(t, b, 2*time.Hour) }, "3+5", 5, 4},
	} {
		step.change()
		for range 2 {
			if got := f.Get(); got != step.want {
				t.Errorf("%s: %q, want %q", step.name, got, step.want)
			}
		}
		logged.count(t, "ERROR", step.errors)
		logged.count(t, "INFO", step.infos)
	}
}

// A mounted secret is a link to a folder that is exchanged as a whole.
func TestGetThroughLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link, old := filepath.Join(dir, "now"), time.Now().Add(-time.Hour)
	for _, name := range []string{"v1", "v2"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name, "token")
		write(t, path, name)
		if err := os.Chtimes(path, old, old); err != nil { // both look alike but for what they are
			t.Fatal(err)
		}
	}
	swap := func(to string) {
		if err := os.Symlink(to, link+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".new", link); err != nil {
			t.Fatal(err)
		}
	}
	swap("v1")
	f, err := Open("token", (&log{}).logger(), joined, filepath.Join(link, "token"))
	if err != nil || f.Get() != "v1" {
		t.Fatal(f.Get(), err)
	}
	swap("v2")
	if got := f.Get(); got != "v2" {
		t.Errorf("%q after the swap", got)
	}
}

// What is settled is not parsed again.
func TestOldFilesAreLeftAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a")
	write(t, path, "1")
	age(t, path, time.Hour)
	parsed := 0
	f, err := Open("a", (&log{}).logger(), func([][]byte) (int, error) {
		parsed++
		return parsed, nil
	}, path)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		f.Get()
	}
	age(t, path, 2*time.Hour) // another date, the same text
	if f.Get(); parsed != 1 {
		t.Errorf("parsed %d times", parsed)
	}
}

func TestOpenTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	write(t, empty, "")
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "no such file", dir: "not a regular file", empty: "an empty file", os.DevNull: "not a regular file",
	} {
		if _, err := Open("a", (&log{}).logger(), joined, path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

// Whoever asks while files change gets one state or the other.
func TestGetAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a")
	write(t, path, "old")
	f, err := Open("a", slog.New(slog.DiscardHandler), joined, path)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if got := f.Get(); got != "old" && got != "new" {
					t.Errorf("%q", got)
				}
			}
		})
	}
	for _, text := range []string{"new", "old", "new"} {
		write(t, path+".next", text)
		if err := os.Rename(path+".next", path); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	if got := f.Get(); got != "new" {
		t.Errorf("%q in the end", got)
	}
}
