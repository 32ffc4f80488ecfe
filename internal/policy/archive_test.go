package policy

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestHostileArchives(t *testing.T) {
	whole := pack(t, entries(revision("one"))...)
	const module = "package mcp\ndecision := {\"allow\": true}"
	other := func(kind byte) entry {
		return entry{tar.Header{Name: "x.rego", Typeflag: kind, Linkname: "/etc/passwd", Mode: 0o644}, ""}
	}
	many := make([]entry, maxFiles+1)
	for i := range many {
		many[i] = regular(fmt.Sprintf("%d.txt", i), "")
	}
	corrupt := bytes.Clone(whole)
	corrupt[len(corrupt)-6] ^= 1 // of the checksum
	for _, c := range []struct {
		name string
		raw  []byte
		why  string
	}{
		{"empty", nil, "EOF"},
		{"not gzip", []byte("PK\x03\x04"), "unpack"},
		{"not tar", gz(t, []byte(strings.Repeat("x", 2000))), "unpack"},
		{"empty tar", pack(t), "no rule"},
		{"truncated", whole[:len(whole)/2], "unexpected EOF"},
		{"truncated by a byte", whole[:len(whole)-1], "unexpected EOF"},
		{"wrong checksum", corrupt, "checksum"},
		{"expands beyond reason", pack(t, regular("x.txt", strings.Repeat("x", 8<<20))), "more than"},
		{"sparse file", sparse(t, 1<<40), "more than"},
		{"too many files", pack(t, many...), "more than 10000 files"},
		{"symlink", pack(t, other(tar.TypeSymlink)), "not a regular file"},
		{"hard link", pack(t, other(tar.TypeLink)), "not a regular file"},
		{"device", pack(t, other(tar.TypeChar)), "not a regular file"},
		{"pipe", pack(t, other(tar.TypeFifo)), "not a regular file"},
		{"climbs", pack(t, regular("../p.rego", module)), "leads out"},
		{"climbs inside", pack(t, regular("a/../../p.rego", module)), "leads out"},
		{"twice", pack(t, regular("p.rego", module), regular("p.rego", module)), "there twice"},
		{"twice by another name", pack(t, regular("p.rego", module), regular("./p.rego", module)), "there twice"},
		{"empty one twice", pack(t, regular("a.rego", ""), regular("/a.rego", "")), "there twice"},
		{"no name", pack(t, regular(".", module)), "no name"},
		{"file and folder", pack(t, regular("a", ""), regular("a/p.rego", module)), ""},
		{"no decision", pack(t, regular("p.rego", "package mcp\nallow := true")), "no rule"},
		{"bad Rego", pack(t, regular("p.rego", "package mcp\ndecision := {")), "p.rego"},
		{"Rego of old", pack(t, regular("p.rego", "package mcp\ndecision = x { x := 1 }")), "if"},
		{"unsafe variable", pack(t, regular("p.rego", "package mcp\ndecision := x")), "unsafe"},
		{"recursion", pack(t, regular("p.rego", "package mcp\ndecision := decision")), "recursive"},
		{"no answer of ours", pack(t, regular("p.rego", "package mcp\ndecision := http.send({})")), "http.send"},
		{"bad manifest", pack(t, regular(".manifest", "{"), regular("p.rego", module)), "manifest"},
		{"roots that overlap", pack(t, regular(".manifest", `{"roots":["mcp","mcp/x"]}`), regular("p.rego", module)), "overlapped roots"},
		{"rule outside the roots", pack(t, regular(".manifest", `{"roots":["other"]}`), regular("p.rego", module)), "roots"},
		{"data outside the roots", pack(t, regular(".manifest", `{"roots":["mcp"]}`), regular("p.rego", module), regular("x/data.json", `{"a":1}`)), "roots"},
		{"bad data", pack(t, regular("p.rego", module), regular("data.json", `{"a":`)), "data.json"},
		{"data like a rule", pack(t, regular("p.rego", module), regular("data.json", `{"mcp":{"decision":{"allow":true}}}`)), "conflict"},
		{"wasm", pack(t, regular("p.rego", module), regular("policy.wasm", "\x00asm")), "whole bundles"},
		{"delta", pack(t, regular("patch.json", `{"data":[{"op":"upsert","path":"/a","value":1}]}`)), "whole bundles"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := loadRaw(c.raw)
			if c.why == "" {
				return // must not panic
			}
			if err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("error %v, want %s", err, c.why)
			}
		})
	}
	if err := loadRaw(whole); err != nil {
		t.Error(err)
	}
}

func loadRaw(raw []byte) error {
	files, err := untar(raw)
	if err != nil {
		return err
	}
	b, err := parseBundle(files, nil)
	if err != nil {
		return err
	}
	_, err = newSnapshot(b, files, strings.Repeat("0", 64), "mcp/decision")
	return err
}

// sparse is an archive of a few hundred bytes with a file of that size, all of
// it a hole. The writer does not make these.
func sparse(t *testing.T, size int64) []byte {
	t.Helper()
	record := func(k, v string) string {
		n := len(k) + len(v) + 4
		for len(fmt.Sprintf("%d %s=%s\n", n, k, v)) != n {
			n++
		}
		return fmt.Sprintf("%d %s=%s\n", n, k, v)
	}
	pax := record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") +
		record("GNU.sparse.name", "data.json") + record("GNU.sparse.realsize", fmt.Sprint(size))
	block := func(name string, kind byte, body string) []byte {
		h := make([]byte, 512)
		copy(h, name)
		copy(h[100:], "0000644\x00")
		copy(h[108:], "0000000\x00")
		copy(h[116:], "0000000\x00")
		copy(h[124:], fmt.Sprintf("%011o\x00", len(body)))
		copy(h[136:], "00000000000\x00")
		copy(h[148:], "        ")
		h[156] = kind
		copy(h[257:], "ustar\x0000")
		sum := 0
		for _, b := range h {
			sum += int(b)
		}
		copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
		return append(h, append([]byte(body), make([]byte, (512-len(body)%512)%512)...)...)
	}
	table := fmt.Sprintf("1\n%d\n0\n", size)
	table += strings.Repeat("\x00", 512-len(table))
	raw := append(block("pax", 'x', pax), block("data.json", '0', table)...)
	return gz(t, append(raw, make([]byte, 1024)...))
}
