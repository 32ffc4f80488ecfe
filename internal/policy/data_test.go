package policy

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/util"
)

// read is what OPA itself makes of the data files of a bundle.
func read(t *testing.T, files map[string]string) (any, error) {
	t.Helper()
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o444}
	}
	loader, err := bundle.NewFSLoader(tree)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.NewCustomReader(loader.WithPathFormat(bundle.SlashRooted)).Read()
	return any(b.Data), err
}

func TestDataIsAsOPAReadsIt(t *testing.T) {
	many := make([]string, turn/10) // some turns
	for i := range many {
		many[i] = fmt.Sprintf(`"name-%d": {"a": [%d, "%d", {}], "b": %d.50}`, i, i, i%7, i)
	}
	large := "{" + strings.Join(many, ",") + "}"
	for name, files := range map[string]map[string]string{
		"no data":            {},
		"empty object":       {"data.json": `{}`},
		"every kind":         {"data.json": `{"a": null, "b": [true, false, [], {}], "c": {"d": "", "": "e"}, "f": 1}`},
		"numbers":            {"data.json": `{"n": [0, -0, -1, 7, 512, 513, 1.0, 1.50, 1e2, 1E+2, 1e-2, 12345678901234567890123, 0.10000000000000000555]}`},
		"numbers of a kind":  {"data.json": `{"a": 1, "b": 1.0, "c": "1", "d": 1, "e": 1.0}`},
		"escapes":            {"data.json": `{"\u0061": "\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00", "é😀": "\u2028"}`},
		"names of one name":  {"data.json": `{"a": 1, "\u0061": 2}`},
		"a name twice":       {"data.json": `{"a": {"x": 1}, "b": 1, "a": {"y": 1}}`},
		"a name twice, far":  {"data.json": `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"a":2}`},
		"the ninth again":    {"data.json": `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"h":2}`},
		"lone surrogate":     {"data.json": `{"a": "\ud800", "\udc00": 1}`},
		"bad UTF-8":          {"data.json": "{\"a\xff\": \"\xc3\"}"},
		"byte order mark":    {"data.json": "\ufeff{}"},
		"large":              {"data.json": large},
		"large and nested":   {"data.json": `{"a": {"b": ` + large + `}}`},
		"array":              {"data.json": `[1]`},
		"null":               {"data.json": `null`},
		"nothing":            {"data.json": ``},
		"space":              {"data.json": ` `},
		"more than one":      {"data.json": `{} {}`},
		"more than one, bad": {"data.json": `{} x`},
		"cut off":            {"data.json": `{"a": [1,`},
		"no JSON":            {"data.json": `{"a": 01}`},
		"no name":            {"data.json": `{1: 2}`},
		"no names":           {"data.json": `{"a": 1, {"b": 2}: 3}`},
		"no colon":           {"data.json": `{"a" 1}`},
		"a comma too many":   {"data.json": `{"a": [1,],}`},
		"deep":               {"data.json": `{"a": ` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`},
		"too deep":           {"data.json": strings.Repeat("[", 20000) + strings.Repeat("]", 20000)},
		"folders":            {"a/data.json": `1`, "b/c/data.json": `{"d": [2]}`, "b/data.json": `{"x": {"y": null}}`, "data.json": `{"b": {"z": {}}}`},
		"folders with dots":  {".a/data.json": `1`, "b.c/data.json": `2`},
		"one place":          {"a/data.json": `1`, "data.json": `{"a": 1}`},
		"one place, deeper":  {"a/b/data.json": `{"c": 1}`, "data.json": `{"a": {"b": {"c": {}}}}`},
		"a value above":      {"a/b/data.json": `1`, "data.json": `{"a": "x"}`},
		"YAML":               {"data.yaml": "a: 1\nb: [x, 1.50, yes, ~]\n", "c/data.yml": "- {d: 2026-01-01}\n"},
		"YAML and JSON":      {"data.yaml": "a: {b: 1}\n", "data.json": `{"a": {"c": 2}}`, "a/data.yml": "d: 3"},
		"YAML of one place":  {"data.yaml": "a: 1\n", "data.json": `{"a": 1}`},
		"no YAML":            {"data.yaml": "a: [1\n"},
		"other names":        {"other.json": `{`, "xdata.json": `{`, "data.json.txt": `{`},
		"roots":              {".manifest": `{"roots": ["a/b", "/c/"]}`, "data.json": `{"a": {"b": 1}, "c": {"d": {"e": 2}}}`},
		"an outer object":    {".manifest": `{"roots": ["a/b/c"]}`, "data.json": `{"a": {}}`},
		"beside a root":      {".manifest": `{"roots": ["a/b"]}`, "data.json": `{"a": {"x": 1}}`},
		"above a root":       {".manifest": `{"roots": ["a/b"]}`, "data.json": `{"a": 1}`},
		"empty, beside":      {".manifest": `{"roots": ["a/b"]}`, "data.json": `{"x": {}}`},
		"like a root":        {".manifest": `{"roots": ["a/b"]}`, "data.json": `{"x": {"a": {}}}`},
		"a root like a path": {".manifest": `{"roots": ["a/b"]}`, "data.json": `{"a/b": 1}`},
		"no roots":           {".manifest": `{"roots": []}`, "data.json": `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			raw := map[string][]byte{}
			for name, text := range files {
				raw[name] = []byte(text)
			}
			want, wrong := read(t, files)
			b, err := parseBundle(raw, nil)
			var d *data
			if err == nil {
				d, err = dataOf(raw, *b.Manifest.Roots, func([]string) bool { return false })
			}
			if fmt.Sprint(err) != fmt.Sprint(wrong) {
				t.Fatalf("error %v, OPA's is %v", err, wrong)
			}
			if err == nil {
				sameData(t, d.terms, want)
			}
		})
	}
}

// sameData compares terms with what was decoded, numbers as they are written,
// and also as rules would.
func sameData(t *testing.T, v ast.Value, want any) {
	t.Helper()
	if got := ast.MustJSON(v); !reflect.DeepEqual(want, got) {
		t.Error(cmp.Diff(want, got))
	}
	if terms := ast.MustInterfaceToValue(want); v.Compare(terms) != 0 || v.Hash() != terms.Hash() || !v.IsGround() {
		t.Errorf("not the terms of %v", want)
	}
}

func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		`{"a": [1, 1.0, "1", -0, true, null, {"a": 1}]}`, `{"a":1,"a":1}`, `"\ud83d\ude00\u0000"`, "\"\xff\"", `1e5`, `[] []`,
		`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"a":2}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		term, _, err := decode(string(text), nil)
		if err != nil {
			return // OPA reads it, or does not
		}
		var want any
		if err := util.UnmarshalJSON(text, &want); err != nil {
			t.Fatalf("%q: OPA: %v", text, err)
		}
		sameData(t, term.Value, want)
	})
}

// A number that no evaluation could handle is an error, and not the end of the
// process.
func TestNumberOutOfReach(t *testing.T) {
	for _, file := range []string{"data.json", "data.yaml"} {
		_, err := tryLoad(t, map[string]string{file: `{"a": 1e100000}`, "p.rego": "package mcp\ndecision := true"})
		if err == nil || !strings.Contains(err.Error(), "number too big") {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// What the gateway itself looks at is there, whatever rules read of it.
func TestOwnDataIsNoTable(t *testing.T) {
	for _, name := range ownData {
		s := load(t, map[string]string{
			name + "/data.json": users(),
			"p.rego":            "package mcp\ndecision := {\"allow\": true} if data." + name + "[input.user.id]",
		})
		if _, ok := s.store.(*tables); ok {
			t.Errorf("data.%s is a table", name)
		}
	}
}
