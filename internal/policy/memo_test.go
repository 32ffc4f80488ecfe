package policy

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// remembered reports whether the decision about an input would be given anew
// without asking the policy.
func remembered(s *Snapshot, in *Input) bool {
	i := *in
	if s.scanner != nil {
		i.scan = s.scanner.of(in)
	}
	d, ok := s.settled.get(s.factsKey(&i))
	return ok && d.Allow
}

// message is a call of the tool x with all that a message may hold.
func message(t testing.TB) *Input {
	in := call(t, "x", `{"t":1,"k":"key","list":[1,2],"path":"/srv/a"}`)
	in.Tool.Annotations = value(t, `{"readOnlyHint":true}`)
	in.Prompt = &Prompt{Name: "p", Args: value(t, `{"t":1}`)}
	in.Response, in.Error = value(t, `{"t":1}`), value(t, `{"t":1}`)
	in.Headers = http.Header{"T": {"1"}}
	in.ClientName = "c"
	return in
}

// lookers are modules that allow that message and look at it.
var lookers = map[string]string{
	"body":                   `decision := {"allow": true} if input.tool.args.t == 1`,
	"body of another rule":   "decision := {\"allow\": true} if not bad\nbad if input.tool.args.t == 2",
	"head value":             `decision := {"allow": true, "reason": input.tool.args.k}`,
	"head value of a helper": "decision := {\"allow\": v == 1}\nv := input.tool.args.t",
	"head key":               "decision := {\"allow\": true, \"reason\": json.marshal(keys)}\nkeys[input.tool.args.k] := true",
	"head set":               "decision := {\"allow\": true, \"reason\": json.marshal(keys)}\nkeys contains input.tool.args.k",
	"head reference":         "decision := {\"allow\": true, \"reason\": json.marshal(a)}\na[input.tool.args.k].b.c := 1",
	"head reference and set": "decision := {\"allow\": true, \"reason\": json.marshal(a)}\na[input.tool.args.k] contains 1",
	"else value":             "decision := {\"allow\": v == 1}\nv := 2 if false\nelse := input.tool.args.t",
	"else body":              "decision := {\"allow\": v == 1}\nv := 2 if false\nelse := 1 if input.tool.args.t == 1",
	"decision's else":        "decision := {\"allow\": true} if input.user.id == \"nobody\"\nelse := {\"allow\": input.tool.args.t == 1}",
	"function argument":      "decision := {\"allow\": f(input.tool.args)}\nf(a) if a.t == 1",
	"function of the tool":   "decision := {\"allow\": f(input.tool)}\nf(t) if t.args.t == 1",
	"function of the input":  "decision := {\"allow\": f(input)}\nf(i) if i.tool.args.t == 1",
	"function body":          "decision := {\"allow\": f(1)}\nf(x) if input.tool.args.t == x",
	"function value":         "decision := {\"allow\": f(1) == 1}\nf(x) := input.tool.args.t",
	"function else":          "decision := {\"allow\": f(1) == 1}\nf(x) := 2 if x == 2\nelse := input.tool.args.t",
	"default function":       "decision := {\"allow\": f(1)}\ndefault f(_) := true\nf(x) := false if input.tool.args.t == 9",
	"array comprehension":    `decision := {"allow": count([x | some x in input.tool.args.list]) == 2}`,
	"set comprehension":      `decision := {"allow": count({x | some x in input.tool.args.list}) == 2}`,
	"object comprehension":   `decision := {"allow": count({x: input.tool.args.t | some x in ["a"]}) == 1}`,
	"comprehension's head":   `decision := {"allow": [input.tool.args.t | true] == [1]}`,
	"comprehension in both":  `decision := {"allow": true} if { some x in [1]; [y | some y in [z | some z in input.tool.args.list]; y == x] == [1] }`,
	"indexed comprehension":  "decision := {\"allow\": true} if { some k in [\"a\"]; xs := {x | some i; input.tool.args.list[i] = x; k}; count(xs) > 0 }",
	"every domain":           `decision := {"allow": true} if { every x in input.tool.args.list { x < 9 } }`,
	"every body":             `decision := {"allow": true} if { every x in [1] { x == input.tool.args.t } }`,
	"not":                    `decision := {"allow": true} if not input.tool.args.t == 9`,
	"some in":                `decision := {"allow": true} if { some x in input.tool.args.list; x == 1 }`,
	"with value":             "decision := {\"allow\": true} if ok with input.user as input.tool.args\nok if input.user.t == 1",
	"with data":              "decision := {\"allow\": true} if ok with data.x as input.tool.args.t\nok if data.x == 1",
	"with target":            "decision := {\"allow\": true} if ok with input.tool.args as {\"t\": 1}\nok if input.tool.args.t == 1",
	"with input":             "decision := {\"allow\": true} if ok with input as {\"tool\": input.tool}\nok if input.tool.args.t == 1",
	"with a function":        "decision := {\"allow\": true} if ok with f as g\nok if f(1)\nf(x) if x == 2\ng(x) if input.tool.args.t == x",
	"object.get":             `decision := {"allow": object.get(input, ["tool", "args", "t"], 0) == 1}`,
	"object.get of the tool": `decision := {"allow": object.get(input.tool, "args", {}).t == 1}`,
	"walk":                   `decision := {"allow": true} if walk(input, [["tool", "args", "t"], 1])`,
	"whole input":            `decision := {"allow": true, "reason": json.marshal(input)}`,
	"input in an object":     `decision := {"allow": true} if { x := {"a": [input]}; x.a[0].tool.args.t == 1 }`,
	"input by another name":  `decision := {"allow": true} if { x := input; x.tool.args.t == 1 }`,
	"tool by another name":   `decision := {"allow": true} if { x := input.tool; x.args.t == 1 }`,
	"import":                 "import input.tool.args as a\ndecision := {\"allow\": a.t == 1}",
	"dynamic member":         "decision := {\"allow\": true} if { some k in [\"tool\"]; input[k].args.t == 1 }",
	"dynamic member of tool": "decision := {\"allow\": true} if { some k in [\"args\"]; input.tool[k].t == 1 }",
	"any member":             `decision := {"allow": true} if input.tool[_].t == 1`,
	"template":               `decision := {"allow": true, "reason": $"{input.tool.args.k}"}`,
	"data by an argument":    "decision := {\"allow\": true} if not data.mcp.table[input.tool.args.k]\ntable := {\"a\": 1}",
	"early exit":             "decision := {\"allow\": true} if ok\nok if input.tool.name == \"x\"\nok if input.tool.args.t == 2",
	"index":                  "decision := {\"allow\": true} if count(bad) == 0\nbad contains 1 if input.tool.args.t == 2",
	"strict index":           "decision := {\"allow\": true} if not bad\nbad if startswith(input.tool.args.path, \"/etc\")",
	"patch":                  `decision := {"allow": true, "patch": {"t": input.tool.args.t}}`,
	"params":                 `decision := {"allow": input.params.arguments.t == 1}`,
	"params there":           `decision := {"allow": true} if input.params`,
	"prompt":                 `decision := {"allow": input.prompt.args.t == 1}`,
	"response":               `decision := {"allow": input.response.t == 1}`,
	"response there":         "decision := {\"allow\": true} if input.response\ndecision := {\"allow\": false} if not input.response",
	"error":                  `decision := {"allow": input.error.t == 1}`,
	"header":                 `decision := {"allow": input.headers.t == "1"}`,
	// The key of a call in the cache must not pass for the name of a rule.
	"function like a rule": "decision := {\"allow\": true} if { v == 7; f(\"mcp\", \"v\") == 1 }\nv := 7\nf(a, b) := input.tool.args.t",
	"rules known before":   "decision := {\"allow\": true} if { fixed == 1; not never; input.tool.args.t == 1 }\nfixed := 1 if input.user.id\nnever if input.user.id == \"z\"",
	"known but for with":   "decision := {\"allow\": true} if { fixed == \"x\"; fixed == \"z\" with input.tool as {\"name\": \"z\"}; not named; named with input.tool.name as \"z\"; input.tool.args.t == 1 }\nfixed := input.tool.name\nnamed if input.tool.name == \"z\"",
	"known but for data":   "decision := {\"allow\": true} if { fixed == 1; fixed == 2 with data.n as 2; fixed == 3 with one as 3; input.tool.args.t == 1 }\ndefault one := 1\none := data.n\nfixed := one",
	"a rule that is both":  "decision := {\"allow\": true} if { a.b == 1; a.c == 1; count(a) == 2; input.tool.args.t == 1 }\na.b := 1\na.c := input.tool.args.t",
	"part of an object":    "decision := {\"allow\": true} if { a.key == 1; a.b == 2 }\na.b := 2\na[k] := input.tool.args.t if k := \"key\"",
	"else of a known rule": "decision := {\"allow\": true} if { e == 2; input.tool.args.t == 1 }\ne := 1 if input.user.id == \"z\"\nelse := 2",
	"default of a rule":    "decision := {\"allow\": true} if { e == 2; input.tool.args.t == 1 }\ndefault e := 2\ne := 1 if input.user.id == \"z\"",
	"unknown member":       `decision := {"allow": not_there}` + "\nnot_there if not input.something",
}

// settlers are modules that allow that message without a look at it.
var settlers = map[string]string{
	"constant":              `decision := {"allow": true}`,
	"constant patch":        `decision := {"allow": true, "patch": [{"op": "add", "path": "/a", "value": 1}]}`,
	"facts":                 `decision := {"allow": true, "reason": json.marshal([input.user, input.kind, input.tool.name, input.tool.annotations])}` + "\nsome_rule if input.tool.args.t",
	"more facts":            `decision := {"allow": true, "reason": concat(" ", [input.phase, input.server, input.prompt.name, input.client.name])}`,
	"another tool's":        "decision := {\"allow\": true} if not bad\nbad if { input.tool.name == \"y\"; input.tool.args.t == 1 }",
	"another phase's":       "decision := {\"allow\": true} if not bad\nbad if { input.phase == \"response\"; input.response.t == 1 }",
	"else not reached":      "decision := {\"allow\": true} if input.tool.name == \"x\"\nelse := {\"allow\": input.tool.args.t == 1}",
	"function not called":   "decision := {\"allow\": true} if not f(1)\nf(x) if { x == 2; input.tool.args.t == 1 }",
	"every of nothing":      "decision := {\"allow\": true} if { every x in [] { g(x) } }\ng(x) if input.tool.args.t == x",
	"headers of another":    "decision := {\"allow\": true} if not bad\nbad if { input.server == \"other\"; input.headers.t == \"1\" }",
	"another tool's time":   "decision := {\"allow\": true} if not bad\nbad if { input.tool.name == \"y\"; time.now_ns() == 1 }",
	"unused time":           "decision := {\"allow\": true}\nnow := time.now_ns()",
	"unused expiry":         "decision := {\"allow\": true}\nt := io.jwt.decode_verify(\"a.b.c\", {})",
	"scan":                  `decision := {"allow": input.scan.plain}`,
	"with a fact":           "decision := {\"allow\": true} if ok with input.user as {\"id\": \"z\"}\nok if input.user.id == \"z\"",
	"comprehension of data": "decision := {\"allow\": count([x | some x in data.mcp.table]) == 1}\ntable := {\"a\": 1}",
}

// others allow, deny or fail, and are never remembered.
var others = map[string]string{
	"denies":        `decision := {"allow": false}`,
	"undefined":     `decision := {"allow": true} if input.tool.name == "y"`,
	"no boolean":    `decision := {"allow": input.tool.name}`,
	"fails":         `decision := {"allow": true} if to_number(input.user.id) > 1`,
	"conflict":      "decision := {\"allow\": true}\ndecision := {\"allow\": false}",
	"fails at last": "decision := {\"allow\": true} if not bad\nbad if { input.tool.args.t == 2; to_number(input.user.id) > 1 }",
	// Evaluated without the index, it fails where the call does not.
	"fails unindexed": "decision := {\"allow\": true} if not bad\nbad if { to_number(input.user.id) > 1; input.tool.name == \"y\" }",
	"time":            `decision := {"allow": time.now_ns() > 0}`,
	"random":          `decision := {"allow": rand.intn("x", 2) < 2}`,
	"uuid":            `decision := {"allow": uuid.rfc4122(input.tool.name) != ""}`,
	"expiry":          "decision := {\"allow\": true} if not bad\nbad if io.jwt.decode_verify(input.kind, {\"secret\": \"s\"})[0]",
	"time not asked":  "decision := {\"allow\": true}\nbad if time.now_ns() == 1\ndecision := {\"allow\": false} if { bad; input.tool.name == \"y\" }",
}

func TestMemo(t *testing.T) {
	for _, group := range []struct {
		modules map[string]string
		allows  bool
		stored  bool
	}{{lookers, true, false}, {settlers, true, true}, {others, false, false}} {
		for name, module := range group.modules {
			t.Run(name, func(t *testing.T) {
				s := rego(t, module)
				in := message(t)
				first := s.Decide(in)
				if group.allows && !first.Allow {
					t.Fatalf("the module is not what it says: %+v", first)
				}
				if got := remembered(s, in); got != group.stored {
					t.Errorf("remembered = %t", got)
				}
				again := s.Decide(in)
				if !same(again, first) {
					t.Errorf("first %+v, then %+v", first, again)
				}
			})
		}
	}
}

func same(a, b Decision) bool {
	if a.Err != nil && b.Err != nil && a.Err.Error() == b.Err.Error() {
		a.Err, b.Err = nil, nil
	}
	a.Eval, b.Eval = 0, 0
	return a == b
}

// What was not looked at is not watched a second time, and what was denied is
// not watched at all.
func TestMemoOfDenials(t *testing.T) {
	s := rego(t, `decision := {"allow": input.tool.args.t == 1}`)
	for _, args := range []string{`{"t":2}`, `{"t":3}`} {
		s.Decide(call(t, "made up", args))
	}
	if n := len(s.settled.items); n != 0 {
		t.Errorf("%d keys after denials", n)
	}
	for _, args := range []string{`{"t":1}`, `{"t":1,"u":2}`, `{"t":2}`} {
		if d := s.Decide(call(t, "x", args)); d.Allow != (args != `{"t":2}`) {
			t.Errorf("%s: %+v", args, d)
		}
	}
	if n := len(s.settled.items); n != 1 {
		t.Errorf("%d keys for one caller and tool", n)
	}
}

// The time to find out what may be remembered has a bound.
func TestMemoKeepsTheDeadline(t *testing.T) {
	s := rego(t, `decision := {"allow": true}`)
	if found, looked := s.looks(s.query, call(t, "x", `{}`).term(s.reads), readsMessage, time.Now()); found != nil || !looked {
		t.Error("evaluated after the deadline")
	}
}

// The key tells apart whatever facts the policy can tell apart.
func TestMemoKey(t *testing.T) {
	const module = `decision := {"allow": true, "reason": json.marshal([input.tool.name, h, input.user, input.phase, input.kind, input.server, a, b, c, d, e, f, g])} if input.version
default a := 0
a := input.resource
default b := 0
b := input.prompt.name
default c := 0
c := input.client
default d := 0
d := input.request_ip
default e := 0
e := input.protocol_version
default f := 0
f := input.transport
default g := 0
g := input.scan
default h := 0
h := input.tool.annotations`
	s := load(t, map[string]string{"p.rego": "package mcp\n" + module, "data.json": `{"secrets":{"AKIA":""}}`})
	changes := map[string]func(*Input){
		"nothing":     func(*Input) {},
		"user":        func(in *Input) { in.User.ID = "bob" },
		"roles":       func(in *Input) { in.User.Roles = []string{"dev", ""} },
		"no roles":    func(in *Input) { in.User.Roles = nil },
		"moved":       func(in *Input) { in.User.Auth, in.User.Roles = "", []string{"api_key", "dev"} },
		"auth":        func(in *Input) { in.User.Auth = "jwt" },
		"claims":      func(in *Input) { in.User.Claims = map[string]any{"a": 1} },
		"claim text":  func(in *Input) { in.User.Claims = map[string]any{"a": "1"} },
		"no claims":   func(in *Input) { in.User.Claims = map[string]any{} },
		"phase":       func(in *Input) { in.Phase = Response },
		"kind":        func(in *Input) { in.Kind = "k" },
		"server":      func(in *Input) { in.Server = "t" },
		"tool":        func(in *Input) { in.Tool = &Tool{Name: "y"} },
		"annotations": func(in *Input) { in.Tool = &Tool{Name: "x", Annotations: value(t, `{"a":1}`)} },
		"no prompt":   func(in *Input) { in.Prompt = nil },
		"prompt":      func(in *Input) { in.Prompt = &Prompt{Name: "q"} },
		"resource":    func(in *Input) { in.Resource = ParseResource("file:///a") },
		"other":       func(in *Input) { in.Resource = ParseResource("file:///b") },
		"template":    func(in *Input) { in.Resource = ParseResource("file:///b"); in.Resource.Template = true },
		"not valid":   func(in *Input) { in.Resource = &Resource{URI: "file:///b"} },
		"client":      func(in *Input) { in.ClientName = "d" },
		"version":     func(in *Input) { in.ClientVersion = "2" },
		"no client":   func(in *Input) { in.ClientName = "" },
		"ip":          func(in *Input) { in.RequestIP = "192.0.2.1" },
		"protocol":    func(in *Input) { in.ProtocolVersion = "192.0.2.1" },
		"transport":   func(in *Input) { in.Transport = "stdio" },
		"no response": func(in *Input) { in.Response, in.Error = mcp.Value{}, mcp.Value{} },
		"control":     func(in *Input) { in.Response = value(t, `"\u001b"`) },
		"mark":        func(in *Input) { in.Response = value(t, `"AKIA"`) },
	}
	reasons := map[string]string{}
	for range 2 {
		for name, change := range changes {
			in := message(t)
			change(in)
			in.Begin()
			got, want := s.Decide(in), s.timed(in, s.evaluate)
			if !same(got, want) || !got.Allow {
				t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
			}
			if !remembered(s, in) {
				t.Errorf("%s: not remembered", name)
			}
			reasons[got.Reason] = name
		}
	}
	if len(reasons) != len(changes) {
		t.Errorf("%d reasons for %d changes", len(reasons), len(changes))
	}
}

// variants are inputs that differ in facts, in the message, or in both.
func variants(t testing.TB, tools ...string) []*Input {
	var all []*Input
	for n, args := range append(slices.Clone(arguments), `{"t":1,"k":"key","path":["/etc"]}`, `{"temp":20,"text":"x"}`, `{"temp":-500}`) {
		for _, tool := range tools {
			in := call(t, tool, args)
			in.Server, in.Headers = "demo", http.Header{"T": {fmt.Sprint(n % 2)}}
			response := *in
			response.Phase, response.Response = Response, value(t, []string{`{"t":1}`, `{"t":"\u001b"}`, `{"t":"AKIAIOSFODNN7EXAMPLE"}`}[n%3])
			failed := *in
			failed.Phase, failed.Error = Response, value(t, args)
			asked := *in
			asked.Phase, asked.Kind, asked.Params = ServerRequest, "elicitation/create", value(t, args)
			all = append(all, in, &response, &failed, &asked)
		}
	}
	for _, in := range all {
		in.Begin()
	}
	return all
}

// With the memo every decision is the one without, whatever came before it and
// runs beside it.
func TestMemoDifferential(t *testing.T) {
	check := func(t *testing.T, s *Snapshot, inputs []*Input) {
		var group sync.WaitGroup
		for seed := range uint64(6) {
			group.Go(func() {
				for _, n := range rand.New(rand.NewPCG(seed, 3)).Perm(len(inputs)) {
					in := *inputs[n]
					in.Begin()
					got, want := s.Decide(&in), s.timed(&in, s.evaluate)
					if !same(got, want) {
						t.Errorf("%s %s %s %s:\n got %+v\nwant %+v", in.Phase, in.Tool.Name, in.Params.Text(), in.Response.Text(), got, want)
					}
				}
			})
		}
		group.Wait()
	}
	for tool, groups := range map[string][]map[string]string{"x": {lookers, settlers}, "some": {styles}} {
		inputs := variants(t, tool)
		for _, modules := range groups {
			for name, module := range modules {
				t.Run(name, func(t *testing.T) {
					check(t, load(t, map[string]string{"p.rego": "package mcp\n" + module, "data.json": stylesData}), inputs)
				})
			}
		}
	}
	t.Run("starter", func(t *testing.T) {
		s := starter(t)
		check(t, s, variants(t, "none", "echo", "temp.convert", "alert.read"))
		in := call(t, "alert.read", `{"any":1}`)
		if s.Decide(in); !remembered(s, in) {
			t.Error("a call of a tool without bounds is judged anew")
		}
		in.Phase, in.Response = Response, value(t, `{"content":[{"type":"text","text":"clean"}]}`)
		if s.Decide(in); !remembered(s, in) {
			t.Error("a clean result is judged anew")
		}
	})
}

// Another snapshot remembers nothing of this one.
func TestMemoIsOfOneSnapshot(t *testing.T) {
	in := call(t, "x", `{}`)
	for _, allow := range []bool{true, false} {
		s := rego(t, fmt.Sprintf(`decision := {"allow": %t}`, allow))
		for range 2 {
			if d := s.Decide(in); d.Allow != allow {
				t.Errorf("got %+v", d)
			}
		}
	}
}
