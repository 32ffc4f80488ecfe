package policy

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// boundsOf are those that a text of data.arguments states.
func boundsOf(t testing.TB, text string) bounds {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(`{"arguments":` + text + `}`))
	dec.UseNumber() // as bundles are read
	var data map[string]any
	if err := dec.Decode(&data); err != nil {
		t.Fatal(err)
	}
	return newBounds(data)
}

func TestBounds(t *testing.T) {
	for _, c := range []struct {
		bounds string // of the tool x
		kept   string // arguments, one on a line
		other  string // those that do not keep them, or of which it does not tell
	}{
		{`{}`, "{}\n{\"a\":1}", "[]\nnull\n\"a\""},
		{`{"properties":{},"additionalProperties":false}`, `{}`, `{"a":1}`},
		{`{"required":["a"]}`, `{"a":1}`, "{}\n{\"a\":null}\n{\"A\":1}"},
		{`{"properties":{"a":{"minimum":-1,"maximum":1e1}}}`, "{}\n{\"a\":-1}\n{\"a\":10.0}\n{\"b\":99}", "{\"a\":-1.01}\n{\"a\":11}\n{\"a\":\"1\"}\n{\"a\":null}"},
		{`{"properties":{"a":{"exclusiveMinimum":0,"exclusiveMaximum":9007199254740993}}}`, `{"a":9007199254740992}`, "{\"a\":0}\n{\"a\":9007199254740993}"},
		{`{"properties":{"a":{"minLength":1,"maxLength":2}}}`, "{\"a\":\"é\"}\n{\"a\":\"\\n\\u00e9\"}", "{\"a\":\"\"}\n{\"a\":\"abc\"}\n{\"a\":[1]}"},
		{`{"properties":{"a":{"minItems":1,"maxItems":2,"items":{"type":"integer"}}}}`, `{"a":[1,-2]}`, "{\"a\":[]}\n{\"a\":[1,2,3]}\n{\"a\":[1.5]}\n{\"a\":\"1\"}\n{\"a\":{}}"},
		{`{"properties":{"a":{"type":["string","null"]}}}`, "{\"a\":null}\n{\"a\":\"\"}", `{"a":1}`},
		{`{"properties":{"a":{"type":"boolean"},"b":{"type":"number"},"c":{"type":"object"},"d":{"type":"array"}}}`, `{"a":false,"b":1e3,"c":{},"d":[]}`, "{\"a\":1}\n{\"b\":true}\n{\"c\":[]}\n{\"d\":{}}"},
		{`{"properties":{"a":{"enum":["x",1,null,{"b":1}]},"b":{"const":true}}}`, "{\"a\":\"x\"}\n{\"a\":1.0}\n{\"a\":null,\"b\":true}", "{\"a\":\"y\"}\n{\"a\":{\"b\":1}}\n{\"b\":1}"},
		{`{"properties":{"a":{"pattern":"^[a-z]+$"}}}`, `{"a":"abc"}`, "{\"a\":\"aBc\"}\n{\"a\":1}"},
		{
			`{"properties":{"a":{"title":"A","required":["b"],"properties":{"b":{"maxLength":1}},"additionalProperties":false}}}`,
			`{"a":{"b":"c"}}`, "{\"a\":{}}\n{\"a\":{\"b\":\"cd\"}}\n{\"a\":{\"b\":\"c\",\"d\":1}}\n{\"a\":[]}",
		},
		// What it does not know, or cannot make sense of, is never kept.
		{`{"properties":{"a":{"sql":{}}}}`, `{"b":1}`, `{"a":1}`},
		{`{"properties":{"a":true}}`, "", `{}`},
		{`{"properties":{"a":{"items":false}}}`, "", `{"a":[]}`},
		{`{"properties":{"a":{"properties":null}}}`, "", `{"a":{}}`},
		{`{"properties":{"a":{"additionalProperties":null}}}`, "", `{"a":{}}`},
		{`{"properties":{"a":{"required":[1]}}}`, "", `{"a":{}}`},
		{`{"properties":{"a":{"maxLength":1.5}}}`, "", `{"a":""}`},
		{`{"properties":{"a":{"maximum":"1"}}}`, "", `{"a":1}`},
		{`{"properties":{"a":{"pattern":"("}}}`, "", `{"a":""}`},
		{`{"properties":{"a":{"pattern":1}}}`, "", `{"a":""}`},
		{`{"properties":{"a":{"type":"text"}}}`, "", `{"a":""}`},
		{`{"properties":{"a":{"enum":"x"}}}`, "", `{"a":"x"}`},
		{`{"properties":[]}`, "", `{}`},
		{`{"required":"a"}`, "", `{"a":1}`},
		{`{"minProperties":1}`, "", `{"a":1}`},
		{`[]`, "", `{}`},
	} {
		all := boundsOf(t, `{"s":{"x":`+c.bounds+`}}`)
		for want, lines := range map[bool]string{true: c.kept, false: c.other} {
			for args := range strings.FieldsFuncSeq(lines, func(r rune) bool { return r == '\n' }) {
				if got := all.kept(call(t, "x", args)); got != want {
					t.Errorf("%s: %s: kept %t", c.bounds, args, got)
				}
			}
		}
	}
}

// All bounds that apply count, and only those of a call that is about to be made.
func TestBoundsThatApply(t *testing.T) {
	all := boundsOf(t, `{"s":{"x":{"required":["a"]}},"*":{"x":{"required":["b"]},"y":{"required":["b"]}},"odd":[]}`)
	for _, c := range []struct {
		tool, args string
		change     func(*Input)
		kept       bool
	}{
		{"x", `{"a":1,"b":1}`, func(*Input) {}, true},
		{"x", `{"a":1}`, func(*Input) {}, false},
		{"x", `{"b":1}`, func(*Input) {}, false},
		{"x", `{"b":1}`, func(in *Input) { in.Server = "t" }, true},
		{"y", `{"b":1}`, func(*Input) {}, true},
		{"z", `{"b":1}`, func(*Input) {}, false}, // it has none
		{"y", `{"b":1}`, func(in *Input) { in.Tool.Args = mcp.Value{} }, false},
		{"y", `{"b":1}`, func(in *Input) { in.Tool = nil }, false},
		{"y", `{"b":1}`, func(in *Input) { in.Phase = Response }, false},
		{"y", `{"b":1}`, func(in *Input) { in.Phase = List }, false},
		{"y", `{"b":1}`, func(in *Input) { in.Kind = "tasks/get" }, false},
		{"y", `{"b":"` + strings.Repeat("b", maxBounded) + `"}`, func(*Input) {}, false},
	} {
		in := call(t, c.tool, c.args)
		c.change(in)
		if got := all.kept(in); got != c.kept {
			t.Errorf("%+v: kept %t", c, got)
		}
	}
	none := boundsOf(t, `{"*":{"y":{"additionalProperties":false}}}`)
	if in := call(t, "y", `{}`); !none.kept(in) {
		t.Error("a call without arguments")
	} else if in.Tool.Args = (mcp.Value{}); !none.kept(in) {
		t.Error("a call that has no arguments at all")
	}
}

// randomBounds are those of a tool.
func randomBounds(r *rand.Rand) string {
	more := []string{"", "", `"additionalProperties":false,`, `"required":["a"],`, `"required":[],"title":"t",`, `"type":"object",`, `"required":"a",`}
	return `{` + more[min(r.IntN(20), r.IntN(len(more)))] + `"properties":{"a":` + randomBound(r, 2) + `,"b":` + randomBound(r, 2) + `}}`
}

// randomBound is the bound of a value, mostly one that makes sense.
func randomBound(r *rand.Rand, depth int) string {
	words := []string{
		`"type":"string"`, `"type":"integer"`, `"type":["number","array"]`, `"type":"object"`, `"minimum":1`, `"maximum":2.5`, `"exclusiveMaximum":3`,
		`"minLength":1`, `"maxLength":2`, `"minItems":1`, `"maxItems":2`, `"enum":["a","é",1,null]`, `"const":"a"`, `"pattern":"^[a-c]"`, `"title":"t"`,
		`"required":["a"]`, `"additionalProperties":false`, `"additionalProperties":true`,
	}
	odd := []string{
		`"format":"date"`, `"required":null`, `"properties":null`, `"additionalProperties":null`, `"additionalProperties":1`, `"items":true`, `"type":"odd"`,
		`"maximum":"2"`, `"uniqueItems":true`, `"odd":1`, `"properties":{"a":false}`, `"required":[null]`, `"enum":{"a":1}`, `"path":["/a"]`, `"maxLength":1e0`,
	}
	if depth > 0 {
		words = append(words, `"items":`+randomBound(r, depth-1), `"properties":{"a":`+randomBound(r, depth-1)+`,"b":`+randomBound(r, depth-1)+`}`)
	}
	chosen := map[string]string{}
	for range r.IntN(4) {
		word := words[r.IntN(len(words))]
		if r.IntN(30) == 0 {
			word = odd[r.IntN(len(odd))]
		}
		name, _, _ := strings.Cut(word, ":")
		chosen[name] = word
	}
	var all []string
	for _, word := range chosen {
		all = append(all, word)
	}
	return "{" + strings.Join(all, ",") + "}"
}

func randomArgument(r *rand.Rand, depth int) string {
	if depth == 0 || r.IntN(2) == 0 {
		return []string{`"a"`, `""`, `"abc"`, `"é"`, `"\u0061"`, `1`, `1.0`, `2`, `2.5`, `1e0`, `-7`, `null`, `true`, `{}`, `[]`, `"2020-01-01"`, `"/a/b"`}[r.IntN(17)]
	}
	if r.IntN(2) == 0 {
		return `[` + randomArgument(r, depth-1) + `,` + randomArgument(r, depth-1) + `]`
	}
	return randomArguments(r, depth-1)
}

func randomArguments(r *rand.Rand, depth int) string {
	var all []string
	for _, name := range []string{"a", "b", "c"} {
		if r.IntN(3) > 0 {
			all = append(all, `"`+name+`":`+randomArgument(r, depth))
		}
	}
	return "{" + strings.Join(all, ",") + "}"
}

// The starter policies decide the same whether the gateway looks at the bounds
// or they do, in whatever order the calls come.
func TestBoundsDifferential(t *testing.T) {
	const tools = 200
	r := rand.New(rand.NewPCG(4, 5))
	var names, texts []string
	for n := range tools {
		names = append(names, fmt.Sprintf(`"t%d":true`, n))
		texts = append(texts, fmt.Sprintf(`"t%d":%s`, n, randomBounds(r)))
	}
	arguments := "{" + strings.Join(texts, ",") + "}"
	files := starterFiles(t)
	files["data.json"] = `{"roles":{"dev":{"tools":{"*":{` + strings.Join(names, ",") + `}}}},"arguments":{"s":` + arguments + `,"*":` +
		`{"t1":{"required":["b"]}}}}`
	s := load(t, files)
	kept, allowed, denied := 0, 0, 0
	for range 3000 {
		in := call(t, fmt.Sprintf("t%d", r.IntN(tools)), randomArguments(r, 3))
		want := s.evaluate(in) // without: only Decide looks at the bounds
		got := s.Decide(in)
		if !same(got, want) {
			t.Fatalf("%s %s:\nwith    %+v\nwithout %+v", in.Tool.Name, in.Tool.Args.Text(), got, want)
		}
		switch {
		case s.bounds.kept(in):
			kept++
		case got.Allow:
			allowed++
		default:
			denied++
		}
	}
	if kept < 300 || denied < 300 || allowed > kept/2 {
		t.Errorf("%d kept, %d allowed all the same, %d denied", kept, allowed, denied)
	}
	if n := len(s.settled.items); n > 2*tools {
		t.Errorf("%d keys for one caller and %d tools", n, tools)
	}
}

// A rule that looks at the arguments is asked about each call, kept bounds or not.
func TestBoundsAreNotTheOnlyRule(t *testing.T) {
	files := starterFiles(t)
	files["own.rego"] = "package mcp\ndeny contains {\"reason\": \"hot\"} if {\n\tinput.tool.name == \"temp.convert\"\n\tinput.tool.args.temp > 100\n}"
	raw, err := os.ReadFile("../../policies/data.json")
	if err != nil {
		t.Fatal(err)
	}
	files["data.json"] = string(raw)
	s := load(t, files)
	for _, temp := range []string{"20", "101", "99", "5000", "20"} {
		in := call(t, "temp.convert", `{"temp":`+temp+`}`)
		if !s.bounds.kept(in) {
			t.Errorf("%s: not kept", temp)
		}
		if d := s.Decide(in); d.Allow == (len(temp) > 2) {
			t.Errorf("%s: %+v", temp, d)
		}
	}
}
