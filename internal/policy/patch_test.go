package policy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

func TestApplyPatch(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 100) + `1` + strings.Repeat(`}`, 100)
	for _, c := range []struct{ name, text, patch, want string }{
		// RFC 7396, appendix A, as far as the patch is an object.
		{"merge replace", `{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{"merge add", `{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{"merge remove", `{"a":"b"}`, `{"a":null}`, `{}`},
		{"merge remove one", `{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{"merge array by string", `{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{"merge string by array", `{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{"merge within", `{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{"merge array of objects", `{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{"merge into array", `["a","b"]`, `{"a":"b"}`, `{"a":"b"}`},
		{"merge keeps null", `{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{"merge into a number", `[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{"merge nested nulls", `{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{"merge null in an array", `{}`, `{"a":[null,{"b":null}]}`, `{"a":[null,{"b":null}]}`},
		{"merge object over scalar", `{"a":1}`, `{"a":{"b":null,"c":2}}`, `{"a":{"c":2}}`},
		{"merge untouched", `{"n":9007199254740993,"f":1.0,"h":"<&>","e":1e2}`, `{"x":1.50}`, `{"n":9007199254740993,"f":1.0,"h":"<&>","e":1e2,"x":1.50}`},
		{"merge escaped name", `{"\u0061":1}`, `{"a":2}`, `{"a":2}`},
		{"merge deep", `{}`, deep, deep},
		{"merge duplicate", `{}`, `{"a":1,"a":2}`, ""},

		{"add", `{"a":1}`, `[{"op":"add","path":"/b","value":2}]`, `{"a":1,"b":2}`},
		{"add null", `{}`, `[{"op":"add","path":"/b","value":null}]`, `{"b":null}`},
		{"append", `{"a":[1]}`, `[{"op":"add","path":"/a/-","value":2}]`, `{"a":[1,2]}`},
		{"insert", `{"a":[1]}`, `[{"op":"add","path":"/a/0","value":2}]`, `{"a":[2,1]}`},
		{"replace", `{"a":{"b":1}}`, `[{"op":"replace","path":"/a/b","value":1.0}]`, `{"a":{"b":1.0}}`},
		{"remove", `{"a":1,"b":2}`, `[{"op":"remove","path":"/a"}]`, `{"b":2}`},
		{"move", `{"a":1}`, `[{"op":"move","from":"/a","path":"/b"}]`, `{"b":1}`},
		{"copy", `{"a":1}`, `[{"op":"copy","from":"/a","path":"/b"}]`, `{"a":1,"b":1}`},
		{"test", `{"a":1}`, `[{"op":"test","path":"/a","value":1},{"op":"remove","path":"/a"}]`, `{}`},
		{"tilde", `{"a/b":1,"c~d":2}`, `[{"op":"remove","path":"/a~1b"},{"op":"remove","path":"/c~0d"}]`, `{}`},
		{"empty name", `{"":1}`, `[{"op":"replace","path":"/","value":2}]`, `{"":2}`},
		{"name with a hyphen", `{"-x":{"-1":1}}`, `[{"op":"replace","path":"/-x/-1","value":2}]`, `{"-x":{"-1":2}}`},
		{"untouched", `{"n":9007199254740993,"f":1.0,"h":"<&>","s":"\u0041"}`, `[{"op":"add","path":"/x","value":"<"}]`, `{"n":9007199254740993,"f":1.0,"h":"<&>","s":"A","x":"<"}`},

		{"test fails", `{"a":1}`, `[{"op":"test","path":"/a","value":2}]`, ""},
		{"one of two fails", `{"a":1}`, `[{"op":"remove","path":"/a"},{"op":"remove","path":"/b"}]`, ""},
		{"the whole", `{"a":1}`, `[{"op":"replace","path":"","value":2}]`, ""},
		{"add the whole", `{"a":1}`, `[{"op":"add","path":"","value":{}}]`, ""},
		{"remove the whole", `{"a":1}`, `[{"op":"remove","path":""}]`, ""},
		{"move the whole", `{"a":1}`, `[{"op":"move","from":"","path":"/b"}]`, ""},
		{"copy the whole", `{"a":1}`, `[{"op":"copy","from":"","path":"/b"}]`, ""},
		{"move into itself", `{"a":{"b":1}}`, `[{"op":"move","from":"/a","path":"/a/b"}]`, ""},
		{"no path", `{"a":1}`, `[{"op":"remove"}]`, ""},
		{"no from", `{"a":1}`, `[{"op":"move","path":"/b"}]`, ""},
		{"no value", `{"a":1}`, `[{"op":"add","path":"/b"}]`, ""},
		{"path not a string", `{"a":1}`, `[{"op":"remove","path":["/a"]}]`, ""},
		{"path without a slash", `{"a":1}`, `[{"op":"remove","path":"a"}]`, ""},
		{"negative index", `{"a":[1,2]}`, `[{"op":"remove","path":"/a/-1"}]`, ""},
		{"negative index, then append", `{"a":[[1],[2]]}`, `[{"op":"add","path":"/a/-1/-","value":3}]`, ""},
		{"remove the end", `{"a":[1]}`, `[{"op":"remove","path":"/a/-"}]`, ""},
		{"through the end", `{"a":[[1]]}`, `[{"op":"add","path":"/a/-/0","value":3}]`, ""},
		{"index past the end", `{"a":[1]}`, `[{"op":"add","path":"/a/2","value":3}]`, ""},
		{"no such place", `{"a":1}`, `[{"op":"add","path":"/b/c","value":3}]`, ""},
		{"into a scalar", `{"a":1}`, `[{"op":"add","path":"/a/c","value":3}]`, ""},
		{"no such operation", `{"a":1}`, `[{"op":"drop","path":"/a"}]`, ""},
		{"no operation", `{"a":1}`, `[{"path":"/a"}]`, ""},
		{"operation in capitals", `{"a":1}`, `[{"OP":"remove","path":"/a"}]`, ""},
		{"not an operation", `{"a":1}`, `["remove"]`, ""},
		{"null operation", `{"a":1}`, `[null]`, ""},
		{"duplicate in an operation", `{"a":1}`, `[{"op":"test","op":"remove","path":"/a"}]`, ""},
		{"duplicate in a value", `{}`, `[{"op":"add","path":"/a","value":{"b":1,"b":2}}]`, ""},
		{"path in two cases", `{"a":1}`, `[{"op":"remove","path":"/a","Path":""}]`, `{}`},
		{"patch a string", `{}`, `"x"`, ""},
		{"patch null", `{}`, `null`, ""},
		{"patch empty", `{}`, ``, ""},
		{"patch trailing", `{}`, `{} {}`, ""},
		{"text a scalar", `1`, `[{"op":"add","path":"/a","value":1}]`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ApplyPatch(c.text, c.patch)
			if c.want == "" {
				if err == nil {
					t.Fatalf("got %s", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := mcp.ParseValue(got); err != nil {
				t.Errorf("%s: %v", got, err)
			}
			decode := func(text string) (v any) {
				dec := json.NewDecoder(strings.NewReader(text))
				dec.UseNumber()
				if err := dec.Decode(&v); err != nil {
					t.Fatal(err)
				}
				return v
			}
			if diff := cmp.Diff(decode(c.want), decode(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCopyBomb(t *testing.T) {
	ops := []string{`{"op":"add","path":"/a","value":["` + strings.Repeat("x", 1000) + `"]}`}
	for range 30 {
		ops = append(ops, `{"op":"copy","from":"/a","path":"/a/-"}`)
	}
	if got, err := ApplyPatch(`{}`, "["+strings.Join(ops, ",")+"]"); err == nil {
		t.Errorf("%d bytes", len(got))
	}
}

func FuzzApplyPatch(f *testing.F) {
	f.Add(`{"a":[1,{"b":null}]}`, `[{"op":"move","from":"/a/1/b","path":"/a/-"}]`)
	f.Add(`[null]`, `{"a":{"b":null}}`)
	f.Add(`{"a":null}`, `[{"op":"test","path":"/a/b","value":null}]`)
	f.Add(`null`, `[{"op":"add","path":"/0","value":[]}]`)
	f.Fuzz(func(_ *testing.T, text, patch string) {
		if _, err := mcp.ParseValue(text); err == nil {
			_, _ = ApplyPatch(text, patch) // must not panic
		}
	})
}
