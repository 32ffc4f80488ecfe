package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestReadBack(t *testing.T) {
	r := full(t)
	var out strings.Builder
	l := NewLog(&out, true)
	for range 2 {
		if err := l.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for e, err := range Entries("f", strings.NewReader(out.String())) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; !e.Time.Equal(r.Time) || e.DecisionID != "D1" || e.Phase != "request" || e.Kind != "tools/call" || e.Server != "s" ||
			e.Tool != "n" || e.Target() != "n" || e.User != "alice" || e.RequestIP != "192.0.2.1" || e.Mode != "enforce" || e.Outcome != Deny ||
			e.Code != "policy_deny" || e.Reason != "role_mismatch" || e.Message != r.Message || e.Status != 403 || e.Revision != "one" ||
			e.BundleSHA256 != "abc" || e.Eval != 1500 || e.Items != 3 || e.Hidden != 2 || e.Seq != int64(n) || len(e.Chain) != idLen {
			t.Errorf("%+v", e)
		}
		if want := strings.TrimPrefix(goldenInput, `,"input":`); string(e.Input) != want {
			t.Errorf("input %s", e.Input)
		}
	}
	if n != 2 {
		t.Errorf("%d records", n)
	}
}

func TestReadRefuses(t *testing.T) {
	const good = `{"ts":"2026-01-02T03:04:05Z","outcome":"allow"}`
	for text, want := range map[string]bool{
		good: true, `{"ts":"2026-01-02T03:04:05Z","outcome":"allow","later":{"x":[1]}}`: true,
		``: false, `{}`: false, `[]`: false, `1`: false, good + `x`: false, good + good: false, good[:30]: false,
		`{"ts":"2026-01-02T03:04:05Z"}`: false, `{"outcome":"allow"}`: false, `{"ts":"now","outcome":"allow"}`: false,
		`{"ts":"2026-01-02T03:04:05Z","outcome":"allow","outcome":"deny"}`:        false,
		`{"ts":"2026-01-02T03:04:05Z","outcome":"allow","input":{"a":1,"a":2}}`:   false,
		`{"ts":"2026-01-02T03:04:05Z","outcome":"allow","status":"403"}`:          false,
		`{"ts":"2026-01-02T03:04:05Z","outcome":"allow","user":7}`:                false,
		`{"ts":"2026-01-02T03:04:05Z","outcome":"allow","user":"` + "\xff" + `"}`: false,
		`{"ts":"2026-01-02T03:04:05Z","outcome":"allow","bundle":"one"}`:          false,
	} {
		if _, err := new(Parser).Parse([]byte(text)); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// failing is a reader that ends with an error.
type failing struct{ io.Reader }

var errDisk = errors.New("disk error")

func (f failing) Read(b []byte) (int, error) {
	n, err := f.Reader.Read(b)
	if errors.Is(err, io.EOF) {
		err = errDisk
	}
	return n, err
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for text, want := range map[string]string{
		"": "", "a": "1 a false;", "a\n": "1 a true;", "a\n\nb": "1 a true;2  true;3 b false;", long + "\na\n": "1 " + long + " true;2 a true;",
	} {
		var got strings.Builder
		for l, err := range Lines("f", strings.NewReader(text)) {
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(&got, "%d %s %v;", l.Number, l.Text, l.Ended)
		}
		if got.String() != want {
			t.Errorf("%.20q: %.60q", text, got.String())
		}
	}
	var last error
	for _, err := range Lines("f", failing{strings.NewReader("a\nb\n")}) {
		last = err
	}
	if !errors.Is(last, errDisk) {
		t.Error(last)
	}
}

func TestReportIsBounded(t *testing.T) {
	r := NewReport(Unenforced)
	at := time.Unix(1, 0)
	for i := range 3 * maxGroups {
		r.Add(&Entry{Time: at.Add(time.Duration(i)), Outcome: WouldDeny, Code: "c", Reason: "r", User: fmt.Sprint(i), DecisionID: fmt.Sprint(i)})
		r.Add(&Entry{Time: at, Outcome: Allow})
	}
	r.Sort()
	if len(r.Users.Groups) != maxGroups || r.Users.Cut != 2*maxGroups || r.Records != 6*maxGroups || r.Outcomes[Allow] != 3*maxGroups {
		t.Errorf("%d users, %d cut", len(r.Users.Groups), r.Users.Cut)
	}
	g := r.Rules.Groups[0]
	if len(r.Rules.Groups) != 1 || g.Count != 3*maxGroups || fmt.Sprint(g.Examples) != "[2997 2998 2999]" || !g.First.Equal(at) || !g.Last.Equal(at.Add(2999)) {
		t.Errorf("%+v", g)
	}
}

// TestTailFollows writes and rotates while somebody follows, who misses nothing.
func TestTailFollows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l, r := logIn(t, Config{Path: path, MaxBytes: 2000}), full(t)
	write := func(from, to int) {
		for i := from; i < to; i++ {
			r.DecisionID = fmt.Sprintf("D%03d", i)
			if err := l.Write(r); err != nil {
				t.Error(err)
			}
		}
	}
	write(0, 20)
	tail, err := OpenTail(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tail.Close() }()
	last, err := tail.Last(1, func(line []byte) bool { return !bytes.Contains(line, []byte("D019")) })
	if err != nil || len(last) != 1 || !bytes.Contains(last[0], []byte("D018")) {
		t.Fatalf("%v: %s", err, last)
	}
	write(20, 60) // some files more
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	next := 20
	err = tail.Follow(ctx, func(line []byte) error {
		if !bytes.Contains(line, fmt.Appendf(nil, "D%03d", next)) {
			t.Errorf("want D%03d: %s", next, line)
		}
		switch next++; next {
		case 60:
			write(60, 80)
		case 80:
			cancel()
		}
		return nil
	})
	if err != nil || next != 80 {
		t.Errorf("%v, %d read", err, next)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestTailOfUnfinishedLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	if err := os.WriteFile(path, []byte("one\ntwo\nthr"), 0o600); err != nil {
		t.Fatal(err)
	}
	tail, err := OpenTail(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tail.Close() }()
	all, err := tail.Last(9, func([]byte) bool { return true })
	if err != nil || string(bytes.Join(all, []byte(","))) != "one,two" {
		t.Fatalf("%v: %q", err, all)
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("ee\n"); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = tail.Follow(ctx, func(line []byte) error {
		defer cancel()
		if string(line) != "three" {
			t.Errorf("%q", line)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestEscapeJSON(t *testing.T) {
	for _, s := range nasty {
		text := string(EscapeJSON([]byte(`{"a":"` + strings.NewReplacer("\n", `\n`, "\r", `\r`, "\x00", `\u0000`, "\x1b", `\u001b`, `"`, `\"`, `\`, `\\`).Replace(s) + `"}`)))
		check(t, `{"reason":`+strings.TrimPrefix(text, `{"a":`)+"\n", s)
	}
}

func BenchmarkParse(b *testing.B) {
	record := append(full(b).append(nil, true), '}')
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	var p Parser
	for b.Loop() {
		if _, err := p.Parse(record); err != nil {
			b.Fatal(err)
		}
	}
}
