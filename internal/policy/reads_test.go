package policy

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReads(t *testing.T) {
	for _, c := range []struct {
		body    string // of a rule
		members string // read, or * for all
		args    bool
	}{
		{`input.kind == "x"`, "kind", false},
		{`input.tool.name == "x"`, "tool", false},
		{`input["tool"]["name"] == "x"`, "tool", false},
		{`input.tool.args.a == 1`, "tool", true},
		{`input.tool[k] == 1`, "tool", true},
		{`x := input.tool; x.args`, "tool", true},
		{`f(input.tool)`, "tool", true},
		{`input.prompt.args.a`, "prompt", true},
		{`input.params.uri == "x"`, "params", true},
		{`input.user.id == input.headers.a`, "headers user", false},
		{`not input.client.name`, "client", false},
		{`every h in input.headers { h != input.request_ip }`, "headers request_ip", false},
		{`[h | some h in input.headers; h == input.user.id] == []`, "headers user", false},
		{`data.x[input.user.id][input.tool.name]`, "tool user", false},
		{`input[x].y`, "*", true},
		{`input[_] == 1`, "*", true},
		{`x := input; x.tool`, "*", true},
		{`f(input)`, "*", true},
		{`json.marshal(input) != ""`, "*", true},
		{`object.get(input, "tool", 1) == 2`, "*", true},
		{`walk(input, [p, v])`, "*", true},
		{`some k, v in input`, "*", true},
		{`y with input as {"a": 1}`, "*", true},
		{`y with input.tool as {"a": input.user}`, "tool user", true},
		{`x := {"a": input}`, "*", true},
		{`imported.args.a == 1`, "tool", true},
	} {
		s := rego(t, `import input.tool as imported
decision := {"allow": true} if other
f(x) if x.args
y if data.z
other if { `+c.body+` }`)
		got := strings.Join(slices.Sorted(maps.Keys(s.reads.members)), " ")
		if s.reads.all {
			got = "*"
		}
		if got != c.members || s.reads.args != c.args {
			t.Errorf("%s: reads %s (args %t), want %s (%t)", c.body, got, s.reads.args, c.members, c.args)
		}
	}
}

// Leaving out what is not read changes no decision.
func TestReadsDifferential(t *testing.T) {
	modules := []string{
		`decision := {"allow": true, "reason": json.marshal(input)}`,
		`decision := {"allow": true, "reason": json.marshal([input[x] | some x in ["tool", "headers", "client"]])}`,
		`decision := {"allow": true, "reason": json.marshal([object.get(input, k, 0) | some k in ["tool", "response", "error"]])}`,
		`decision := {"allow": true, "reason": sprintf("%v", [{p | walk(input, [p, _])}])}`,
		`decision := {"allow": true, "reason": f(input)}` + "\n" + `f(x) := x.headers.a`,
		`decision := {"allow": true, "reason": concat(",", [k | some k, _ in input])}`,
		`decision := {"allow": true, "reason": json.marshal(y)} if y := input.tool`,
		`decision := {"allow": x} if x := y with input as {"tool": input.tool}` + "\n" + `y := input.tool.name == "x"`,
		`decision := {"allow": x} if x := y with input.user as input.client` + "\n" + `y := input.user.name == "c"`,
		`decision := {"allow": count(input) > 5}`,
		`decision := {"allow": every_header}` + "\n" + `every_header if { every h in input.headers { h != "" } }`,
		`decision := {"allow": true} if not input.error` + "\n" + `decision := {"allow": false} if input.error`,
		`decision := {"allow": true, "reason": concat(",", [h | some h in input.headers])}`,
		`decision := {"allow": data.users[input.user.id][input.resource.path]}`,
		"import input.headers as h\n" + `decision := {"allow": h.a == "1"}`,
		`default decision := {"allow": false}` + "\n" + `decision := {"allow": true, "reason": input.params.name} if input.response`,
	}
	data := `{"users":{"alice":{"/b":true}}}`
	for name, text := range styles {
		modules = append(modules, "# "+name+"\n"+text)
	}
	for _, module := range modules {
		files := map[string]string{"p.rego": "package mcp\n" + module, "data.json": data}
		lean, whole := load(t, files), load(t, files)
		whole.reads = &reads{all: true}
		for _, args := range arguments {
			for _, phase := range []Phase{Request, Response, ServerRequest} {
				in := call(t, "x", args)
				in.Phase, in.ClientName, in.Headers = phase, "c", http.Header{"A": {"1"}}
				in.Resource = ParseResource("file:///b")
				if phase == Response {
					in.Response = value(t, `{"r":1}`)
				} else {
					in.Error = value(t, `{"e":1}`)
				}
				got, want := lean.Decide(in), whole.Decide(in)
				got.Eval, want.Eval = 0, 0
				if errText(got.Err) != errText(want.Err) {
					t.Errorf("%s: error %v, want %v", module, got.Err, want.Err)
				}
				got.Err, want.Err = nil, nil
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s, %s %s: %s", module, phase, args, diff)
				}
			}
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
