package audit

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// verify checks texts of files called f0, f1 …, and returns what was found
// that is not a note.
func verify(t testing.TB, key []byte, texts ...string) (found []string) {
	t.Helper()
	all, _ := verdict(t, key, "", texts...)
	for _, f := range all {
		if !f.Note {
			found = append(found, f.String())
		}
	}
	return found
}

func verdict(t testing.TB, key []byte, expect string, texts ...string) (found []Finding, chains []Segment) {
	t.Helper()
	v := NewVerifier(key, expect, func(f Finding) { found = append(found, f) })
	for i, text := range texts {
		if err := v.File(fmt.Sprintf("f%d", i), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	return found, v.Finish()
}

var testKey = []byte("a key of the tests' own")

// chained are n records of one chain, each with its end.
func chained(t testing.TB, key []byte, n int) []string {
	t.Helper()
	var out strings.Builder
	l, r := NewLog(&out, false), full(t)
	l.chain = newChain(newHasher(key))
	for range n {
		if err := l.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	return slices.Collect(strings.Lines(out.String()))
}

// resealed is a line that was changed by somebody who makes its hash anew.
func resealed(line, old, changed string) string {
	line = strings.Replace(strings.TrimSuffix(line, "\n"), old, changed, 1)
	l, _ := parseLink([]byte(line))
	s := newHasher(nil).sum([]byte(line[:l.hashed]))
	return line[:l.hashed] + hashName + string(s[:]) + "\"}\n"
}

func TestVerifyFindsWhatWasDone(t *testing.T) {
	other := chained(t, nil, 3)
	for name, c := range map[string]struct {
		change func(lines []string) [][]string // to files
		want   string                          // in what is found; empty: nothing
	}{
		"nothing":            {func(l []string) [][]string { return [][]string{l} }, ""},
		"rotated":            {func(l []string) [][]string { return [][]string{l[:3], l[3:5], l[5:]} }, ""},
		"rotated, any order": {func(l []string) [][]string { return [][]string{l[5:], l[:3], l[3:5]} }, ""},
		"the oldest gone":    {func(l []string) [][]string { return [][]string{l[5:], l[3:5]} }, ""},
		"two processes":      {func(l []string) [][]string { return [][]string{slices.Concat(l[:4], other[:2], l[4:], other[2:])} }, ""},
		"edited":             {func(l []string) [][]string { l[3] = strings.Replace(l[3], "alice", "mallo", 1); return [][]string{l} }, "f0:4: record 4 was changed"},
		"edited, last": {func(l []string) [][]string {
			l[9] = strings.Replace(l[9], "alice", "mallo", 1)
			return [][]string{l}
		}, "f0:10: record 10 was changed"},
		"resealed":        {func(l []string) [][]string { l[3] = resealed(l[3], "alice", "mallo"); return [][]string{l} }, "f0:5: record 5 does not follow record 4"},
		"resealed, first": {func(l []string) [][]string { l[0] = resealed(l[0], "alice", "mallo"); return [][]string{l} }, "f0:2: record 2 does not follow record 1"},
		"resealed at the end of a file": {func(l []string) [][]string {
			l[3] = resealed(l[3], "alice", "mallo")
			return [][]string{l[:4], l[4:]}
		}, "f1:1: record 5 does not follow record 4 in f0"},
		"removed":               {func(l []string) [][]string { return [][]string{slices.Delete(l, 3, 4)} }, "f0:4: record 4 is missing"},
		"removed, two":          {func(l []string) [][]string { return [][]string{slices.Delete(l, 3, 5)} }, "f0:4: records 4 to 5 are missing"},
		"removed between files": {func(l []string) [][]string { return [][]string{l[:3], l[4:]} }, "f1:1: record 4 is missing"},
		"a file removed":        {func(l []string) [][]string { return [][]string{l[:3], l[6:]} }, "f1:1: records 4 to 6 are missing"},
		"reordered":             {func(l []string) [][]string { l[3], l[4] = l[4], l[3]; return [][]string{l} }, "f0:5: record 4 stands after record 5"},
		"repeated":              {func(l []string) [][]string { return [][]string{slices.Insert(l, 4, l[3])} }, "f0:5: record 4 stands after record 4"},
		"repeated in a file":    {func(l []string) [][]string { return [][]string{l, l[3:]} }, "record 4 is in f0 too"},
		"inserted": {func(l []string) [][]string {
			return [][]string{slices.Insert(l, 4, `{"ts":"2026-01-02T02:04:05.000006Z","outcome":"allow"}`+"\n")}
		}, "f0:5: no record of a chain"},
		"inserted, empty":     {func(l []string) [][]string { return [][]string{slices.Insert(l, 4, "\n")} }, "f0:5: no record of a chain"},
		"inserted, first":     {func(l []string) [][]string { return [][]string{slices.Insert(l, 0, "{}\n")} }, "f0:1: no record of a chain"},
		"inserted, last":      {func(l []string) [][]string { return [][]string{append(l, "{}\n")} }, "f0:11: no record of a chain"},
		"inserted, of others": {func(l []string) [][]string { return [][]string{slices.Insert(l, 4, other[1], other[0])} }, "f0:6: record 1 stands after record 2"},
		"renumbered":          {func(l []string) [][]string { return [][]string{{resealed(l[4], `"seq":5`, `"seq":1`)}} }, "f0:1: record 1 follows another one"},
		"no record at all":    {func([]string) [][]string { return [][]string{{"{}\n"}} }, "f0:1: no record of a chain"},
		"no end":              {func(l []string) [][]string { l[9] = strings.TrimSuffix(l[9], "\n"); return [][]string{l} }, ""},
		"cut within a line":   {func(l []string) [][]string { l[9] = l[9][:20]; return [][]string{l} }, ""},
		"a piece removed":     {func(l []string) [][]string { l[4] = l[4][:20] + "\n"; return [][]string{l} }, "f0:5: no record of a chain"},
	} {
		for _, key := range [][]byte{nil, testKey} {
			var texts []string
			for _, lines := range c.change(chained(t, nil, 10)) {
				texts = append(texts, strings.Join(lines, ""))
			}
			if key != nil { // whatever is not made with the key is found
				if found := verify(t, key, texts...); !strings.Contains(strings.Join(found, "\n"), "record") {
					t.Errorf("%s, with a key: %q", name, found)
				}
				continue
			}
			found := strings.Join(verify(t, nil, texts...), "\n")
			if c.want == "" && found != "" || !strings.Contains(found, c.want) {
				t.Errorf("%s: found %q, want %q", name, found, c.want)
			}
		}
	}
}

func TestVerifyWithKey(t *testing.T) {
	lines := chained(t, testKey, 3)
	text := strings.Join(lines, "")
	if found := verify(t, testKey, text); found != nil {
		t.Error(found)
	}
	if found := verify(t, []byte("another key altogether"), text); len(found) != 3 {
		t.Errorf("with another key: %q", found)
	}
	forged := lines[0] + lines[1] + resealed(lines[2], "alice", "mallo")
	if found := verify(t, testKey, forged); len(found) != 1 || !strings.Contains(found[0], "record 3 is not of a chain with a key") {
		t.Errorf("forged: %q", found)
	}
	v := NewVerifier(nil, "", func(Finding) {})
	if err := v.File("f", strings.NewReader(text)); !errors.Is(err, ErrKey) {
		t.Errorf("without a key: %v", err)
	}
}

func TestVerifyExpects(t *testing.T) {
	lines := chained(t, nil, 5)
	l, _ := parseLink([]byte(strings.TrimSuffix(lines[3], "\n")))
	last := string(l.sum[:])
	for n, want := range map[int]int{5: 0, 4: 0, 3: 1} {
		found, _ := verdict(t, nil, last, strings.Join(lines[:n], ""))
		if len(found) != want {
			t.Errorf("%d lines: %v", n, found)
		}
	}
	_, chains := verdict(t, nil, "", strings.Join(lines[2:4], ""))
	if len(chains) != 1 || chains[0].First != 3 || chains[0].Last != 4 || chains[0].Hash != last {
		t.Errorf("%+v", chains)
	}
}

// A changed byte is found wherever it stands.
func TestVerifyFindsEachByte(t *testing.T) {
	lines := chained(t, nil, 3)
	text := strings.Join(lines, "")
	for i := range len(text) - 1 {
		changed := []byte(text)
		changed[i] ^= 1
		if verify(t, nil, string(changed)) == nil {
			t.Errorf("byte %d, %q", i, text[i])
		}
	}
}

func FuzzVerify(f *testing.F) {
	lines := chained(f, nil, 3)
	f.Add(strings.Join(lines, ""), lines[0][:50]+"\n"+lines[1])
	f.Add(`,"torn":18446744073709551615,"chain":""`, "\n\n\"}")
	f.Fuzz(func(t *testing.T, a, b string) {
		v := NewVerifier(nil, "", func(Finding) {})
		for _, text := range []string{a, b} {
			if err := v.File("f", strings.NewReader(text)); err != nil && !errors.Is(err, ErrKey) {
				t.Error(err)
			}
		}
		v.Finish()
	})
}

func BenchmarkVerify(b *testing.B) {
	text := strings.Join(chained(b, nil, 100_000), "")
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if found := verify(b, nil, text); found != nil {
			b.Fatal(found)
		}
	}
	b.ReportMetric(100_000*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkSeal(b *testing.B) {
	for name, key := range map[string][]byte{"hash": nil, "hmac": testKey} {
		b.Run(name, func(b *testing.B) {
			c := newChain(newHasher(key))
			record := full(b).append(nil, true)
			line := make([]byte, 0, len(record)+linkLen)
			b.ReportAllocs()
			for b.Loop() {
				c.seal(append(line[:0], record...), 0)
				c.advance()
			}
		})
	}
}

// TestHashIsAsDocumented makes the hash by what docs/audit.md says of it.
func TestHashIsAsDocumented(t *testing.T) {
	for name, key := range map[string][]byte{"hash": nil, "hmac": testKey} {
		prev := strings.Repeat("A", 32)
		for i, line := range chained(t, key, 3) {
			text, _, _ := strings.Cut(line, `,"`+name+`":"`)
			h := sha256.New()
			if key != nil {
				h = hmac.New(sha256.New, key)
			}
			h.Write([]byte(text))
			hash := base64.URLEncoding.EncodeToString(h.Sum(nil)[:24])
			if end := fmt.Sprintf(`,"seq":%d,"prev":"%s","%s":"%s"}`+"\n", i+1, prev, name, hash); !strings.HasSuffix(line, end) {
				t.Errorf("%s does not end in %s", line, end)
			}
			prev = hash
		}
	}
}
