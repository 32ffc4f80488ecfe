package policy

import (
	"net/http"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A style is a way to write a policy in which the tool "some" can be called
// with t below 5 and "/srv" in path, and the tool "none" with nothing.
var styles = map[string]string{
	"allow rule": `
default allow := false
allow if { input.tool.name == "some"; input.tool.args.t < 5 }
decision := {"allow": allow}`,
	"arguments first": `
default allow := false
allow if { input.tool.args.t < 5; input.tool.name == "some" }
decision := {"allow": allow}`,
	"set and count": denials + `decision := {"allow": count(deny) == 0}`,
	"set and count in a rule": denials + `
default decision := {"allow": false}
decision := {"allow": true} if count(deny) == 0`,
	"set and count below one": denials + `
default allow := false
allow if { n := count(deny); n < 1 }
decision := {"allow": allow, "reason": concat(",", deny)}`,
	"set and not count": denials + `
refused if count(deny) > 0
decision := {"allow": true} if not refused
decision := {"allow": false} if refused`,
	"set and empty set": denials + `
default decision := {"allow": false}
decision := {"allow": true} if deny == set()`,
	"set and not any": denials + `
any_deny if some _ in deny
default decision := {"allow": false}
decision := {"allow": true} if not any_deny`,
	"else": `
decision := {"allow": false, "reason": "role"} if input.tool.name == "none"
else := {"allow": true} if input.tool.args.t < 5
else := {"allow": false}`,
	"else in a helper": `
verdict := "no" if input.tool.name == "none"
else := "yes" if input.tool.args.t < 5
else := "bad"
decision := {"allow": verdict == "yes"}`,
	"every": `
default allow := false
allow if { input.tool.name == "some"; every x in input.tool.args.list { x < 5 } }
decision := {"allow": allow}`,
	"function of the arguments": `
default allow := false
allow if { input.tool.name == "some"; fine(input.tool.args) }
fine(a) if a.t < 5
decision := {"allow": allow}`,
	"function of the tool": `
default allow := false
allow if fine(input.tool)
fine(tool) if { tool.name == "some"; tool.args.t < 5 }
decision := {"allow": allow}`,
	"function of the input": `
default allow := false
allow if fine(input)
fine(x) if { x.tool.name == "some"; x.tool.args.t < 5 }
decision := {"allow": allow}`,
	"object.get": `
args := object.get(input.tool, "args", {})
default allow := false
allow if { input.tool.name == "some"; args.t < 5 }
decision := {"allow": allow}`,
	"in data": `
default allow := false
allow if { some role in input.user.roles; input.tool.name in data.tools[role]; input.tool.args.t in data.temperatures }
decision := {"allow": allow}`,
	"nested data": `
default allow := false
allow if {
	some role in input.user.roles
	bound := data.bounds[role][input.tool.name]
	input.tool.args.t < bound.max
}
decision := {"allow": allow}`,
	"comprehension": `
default allow := false
allow if { input.tool.name == "some"; count([x | some x in input.tool.args.list; x > 5]) == 0; count(input.tool.args.list) > 0 }
decision := {"allow": allow}`,
	"partial object": `
decision.allow := fine
default fine := false
fine if { input.tool.name == "some"; input.tool.args.t < 5 }
decision.reason := "no" if not fine`,
	"code 422": `
decision := {"allow": false, "reason": "role"} if input.tool.name == "none"
decision := {"allow": false, "reason": "range", "code": "validation_failed"} if { input.tool.name == "some"; not input.tool.args.t < 5 }
decision := {"allow": true} if { input.tool.name == "some"; input.tool.args.t < 5 }`,
	"undefined without arguments": `
decision := {"allow": input.tool.args.t < 5} if input.tool.name == "some"
decision := {"allow": false} if input.tool.name == "none"`,
	"undefined for the rest": `
decision := {"allow": true} if { input.tool.name == "some"; input.tool.args.t < 5 }`,
	"params": `
default allow := false
allow if { input.params.name; input.tool.name == "some"; input.params.arguments.t < 5 }
decision := {"allow": allow}`,
	"annotations": `
default allow := false
allow if { input.tool.annotations.readOnlyHint == true; input.tool.args.t < 5 }
decision := {"allow": allow}`,
	"negated helper": `
bad if not input.tool.args.t < 5
decision := {"allow": true} if { input.tool.name == "some"; not bad }
decision := {"allow": false} if { input.tool.name == "some"; bad }
decision := {"allow": false} if input.tool.name != "some"`,
	"truthy helper": `
level := "high" if input.tool.args.t < 5
default allow := false
allow if { input.tool.name == "some"; level }
decision := {"allow": allow}`,
	"false helper": `
default cold := true
cold := false if input.tool.args.t < 5
default allow := false
allow if { input.tool.name == "some"; not cold }
decision := {"allow": allow}`,
	"walk": `
default allow := false
allow if { input.tool.name == "some"; walk(input.tool.args, [["t"], v]); v < 5 }
decision := {"allow": allow}`,
	"with": `
default allow := false
allow if { input.tool.name == "some"; low with input.limit as 5 }
low if input.tool.args.t < input.limit
decision := {"allow": allow}`,
	"with arguments": `
default allow := false
allow if { input.tool.name == "some"; not low with input.tool.args as {"t": 9}; low }
low if input.tool.args.t < 5
decision := {"allow": allow}`,
	"else beside": `
grade := 1 if input.tool.args.t < 5
else := 2
decision := {"allow": grade == 1} if input.tool.name == "some"
decision := {"allow": false} if input.tool.name != "some"`,
	"startswith": `
default allow := false
allow if { input.tool.name == "some"; startswith(input.tool.args.path, "/srv") }
decision := {"allow": allow}`,
	"dynamic member": `
default allow := false
allow if { input.tool.name == "some"; some k; k == "args"; input.tool[k].t < 5 }
decision := {"allow": allow}`,
	"partial object of denials": `
problems["role"] := 403 if input.tool.name == "none"
problems["range"] := 422 if not input.tool.args.t < 5
decision := {"allow": true} if count(problems) == 0
decision := {"allow": false} if count(problems) > 0`,
	"sum of scores": `
score contains 10 if input.tool.name == "none"
score contains 5 if not input.tool.args.t < 5
decision := {"allow": sum(score) < 5}`,
}

const denials = `
deny contains "role" if input.tool.name == "none"
deny contains "range" if not input.tool.args.t < 5
`

// vague are the styles in which a denial whose cause is not the arguments may
// go unnoticed, because it is mixed with those whose cause is.
var vague = map[string]bool{"partial object of denials": true, "sum of scores": true}

var stylesData = `{
	"tools": {"dev": ["some"]}, "temperatures": [1, 2],
	"bounds": {"dev": {"some": {"max": 5}}}
}`

// arguments are a small universe: some of them please every style.
var arguments = []string{
	`{}`, `{"t": 1}`, `{"t": 9}`, `{"t": "1"}`, `{"list": [1]}`, `{"list": [9]}`, `{"list": []}`, `{"t": null}`,
	`{"path": "/srv/a"}`, `{"path": "/etc"}`, `{"t": 1, "list": [1], "path": "/srv"}`,
}

// item is a tool of a list, as the gateway describes it.
func item(in *Input) *Input {
	i := *in
	i.Phase, i.Params = List, mcp.Value{}
	tool := *in.Tool
	tool.Args = mcp.Value{}
	i.Tool = &tool
	i.Begin()
	return &i
}

func TestVisible(t *testing.T) {
	for name, module := range styles {
		t.Run(name, func(t *testing.T) {
			s := load(t, map[string]string{"p.rego": "package mcp\n" + module, "data.json": stylesData})
			for _, tool := range []string{"some", "none"} {
				annotations := value(t, map[string]string{"some": `{"readOnlyHint":true}`, "none": `{}`}[tool])
				allowed := false
				for _, args := range arguments {
					in := call(t, tool, args)
					in.Tool.Annotations = annotations
					allowed = allowed || s.Decide(in).Allow
				}
				if allowed != (tool == "some") {
					t.Fatalf("the style is not what it says: %s allowed = %t", tool, allowed)
				}
				in := call(t, tool, `{}`)
				in.Tool.Annotations = annotations
				d, fresh := s.Visible(item(in))
				if !fresh {
					t.Errorf("%s: fresh = false", tool)
				}
				if allowed && !d.Allow {
					t.Errorf("%s is hidden, but some arguments are allowed", tool)
				}
				if !allowed && d.Allow != vague[name] {
					t.Errorf("%s visible = %t, but no arguments are allowed", tool, d.Allow)
				}
				again, fresh := s.Visible(item(in))
				if again.Allow != d.Allow || fresh != (d.Err != nil) {
					t.Errorf("%s: remembered %t (fresh %t), first %t", tool, again.Allow, fresh, d.Allow)
				}
			}
		})
	}
}

func TestVisibleOthers(t *testing.T) {
	s := rego(t, `
default allow := false
allow if { input.kind == "resources/read"; input.resource.valid; startswith(input.resource.path, "/pub/") }
allow if { input.kind == "prompts/get"; input.prompt.name == "some"; input.prompt.args.lang == "en" }
allow if { input.kind == "prompts/get"; input.params.arguments.key == "x"; input.prompt.name == "other" }
decision := {"allow": allow}`)
	resource := func(uri string, template bool) Input {
		r := ParseResource(uri)
		r.Template = template
		return Input{Kind: "resources/read", Resource: r}
	}
	prompt := func(name string) Input { return Input{Kind: "prompts/get", Prompt: &Prompt{Name: name}} }
	for _, c := range []struct {
		name string
		in   Input
		want bool
	}{
		{"resource", resource("file:///pub/a", false), true},
		{"resource outside", resource("file:///etc/a", false), false},
		{"resource that climbs out", resource("file:///pub/../etc/a", false), false},
		{"template", resource("file:///pub/{name}", true), true},
		{"template outside", resource("file:///etc/{name}", true), false},
		{"prompt with arguments", prompt("some"), true},
		{"prompt with params", prompt("other"), true},
		{"prompt of nobody", prompt("none"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.in.Phase = List // and no Begin: Visible may be asked first
			if d, _ := s.Visible(&c.in); d.Err != nil || d.Allow != c.want {
				t.Errorf("visible = %t, err %v", d.Allow, d.Err)
			}
		})
	}
}

// A code that says "you may, but not like this" keeps the item when the policy
// reads no arguments at all.
func TestVisibleByCode(t *testing.T) {
	s := rego(t, `decision := {"allow": false, "code": input.server}`)
	for code, want := range map[string]bool{CodeInvalid: true, CodeRateLimit: true, CodeDeny: false, "other": false} {
		in := call(t, "x", `{}`)
		in.Server = code
		if d, _ := s.Visible(item(in)); d.Allow != want {
			t.Errorf("%s: visible = %t", code, d.Allow)
		}
	}
}

func TestVisibleErrorIsNotRemembered(t *testing.T) {
	s := rego(t, `decision := {"allow": input.tool.name}`)
	for range 2 {
		if d, fresh := s.Visible(item(call(t, "x", `{}`))); d.Err == nil || d.Allow || !fresh {
			t.Errorf("got %+v, fresh %t", d, fresh)
		}
	}
}

// The memo tells apart whatever the policy can tell apart.
func TestVisibleMemo(t *testing.T) {
	const module = `decision := {"allow": true, "reason": json.marshal([input.user, input.server, input.kind, input.tool])}
client := input.client`
	withHeaders := module + "\nheaders := input.headers"
	varies := "decision := {\"allow\": time.now_ns() > 0}"
	later := "decision := {\"allow\": true} if { time.now_ns() > 0; input.tool.args.t == 1 }"
	denies := "default decision := {\"allow\": false}\ndecision := {\"allow\": true} if { time.now_ns() > 0; input.tool.args.t == 1 }"
	unused := module + "\nnow := time.now_ns()"
	jwt := module + "\ntoken := io.jwt.decode_verify(\"a.b.c\", {})"
	for _, c := range []struct {
		name, module string
		change       func(*Input)
		fresh        bool
	}{
		{"nothing", module, func(*Input) {}, false},
		{"user", module, func(in *Input) { in.User.ID = "bob" }, true},
		{"roles", module, func(in *Input) { in.User.Roles = []string{"ops"} }, true},
		{"roles joined", module, func(in *Input) { in.User.Roles = []string{"dev", ""} }, true},
		{"auth", module, func(in *Input) { in.User.Auth = "jwt" }, true},
		{"claim", module, func(in *Input) { in.User.Claims = map[string]any{"level": "2"} }, true},
		{"server", module, func(in *Input) { in.Server = "t" }, true},
		{"kind", module, func(in *Input) { in.Kind = "tools/other" }, true},
		{"tool", module, func(in *Input) { in.Tool = &Tool{Name: "y"} }, true},
		{"annotations", module, func(in *Input) { in.Tool = &Tool{Name: "x", Annotations: value(t, `{"a":1}`)} }, true},
		{"client read", module, func(in *Input) { in.ClientName = "c" }, true},
		{"headers not read", module, func(in *Input) { in.Headers = http.Header{"A": {"b"}} }, false},
		{"headers read", withHeaders, func(in *Input) { in.Headers = http.Header{"A": {"b"}} }, true},
		{"the time", varies, func(*Input) {}, true},
		{"the time before arguments", later, func(*Input) {}, true},
		{"the time before a denial", denies, func(*Input) {}, true},
		{"the time, not asked", unused, func(*Input) {}, false},
		{"a token's expiry", jwt, func(*Input) {}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := rego(t, c.module)
			first := call(t, "x", `{}`)
			first.User.Claims = map[string]any{"level": 2}
			if d, fresh := s.Visible(item(first)); !d.Allow || !fresh {
				t.Fatalf("first: %+v, fresh %t", d, fresh)
			}
			second := call(t, "x", `{}`)
			second.User.Claims = map[string]any{"level": 2}
			second = item(second)
			c.change(second)
			if _, fresh := s.Visible(second); fresh != c.fresh {
				t.Errorf("fresh = %t", fresh)
			}
		})
	}
}

// No name that a server chooses makes one item pass for another.
func TestVisibleMemoAmbiguity(t *testing.T) {
	s := rego(t, `decision := {"allow": object.get(input.resource, "template", false)}`)
	ask := func(uri string, template bool) bool {
		d, _ := s.Visible(&Input{Phase: List, Kind: "resources/read", Resource: &Resource{URI: uri, Template: template}})
		return d.Allow
	}
	if !ask("x", true) || ask("x\x00template", false) || ask("x", false) || ask("x4:true", false) {
		t.Error("the memo mixes up items")
	}
	h := rego(t, `decision := {"allow": input.headers.a == input.user.id}`)
	for header, want := range map[string]bool{"\xff": true, "\xfe": false} {
		in := item(call(t, "x", `{}`))
		in.User.ID, in.Headers = "\xff", http.Header{"A": {header}}
		if d, _ := h.Visible(in); d.Allow != want {
			t.Errorf("header %q: %t", header, d.Allow)
		}
	}
}

func TestMemoIsBounded(t *testing.T) {
	m := &memo[Decision]{size: 300}
	for i := range m.size + 1 {
		m.put(memoKey{byte(i), byte(i >> 8), byte(i >> 16)}, Decision{})
	}
	if len(m.items) != 1 {
		t.Errorf("%d items after one more than fits", len(m.items))
	}
}
