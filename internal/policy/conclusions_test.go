package policy

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// concluded is what is remembered of the rules for the facts of an input.
func concluded(s *Snapshot, in *Input) map[string]string {
	all := map[string]string{}
	m, _ := s.settled.get(s.factsKey(s.examined(in)))
	for name, c := range m.rules {
		all[string(name)] = "undefined"
		if c.value != nil {
			all[string(name)] = c.value.String()
		}
	}
	return all
}

// often is how many calls it takes to conclude anything.
const often = worthwhile + 2

func TestConclusions(t *testing.T) {
	const none = ""
	for name, test := range map[string]struct{ rules, r string }{
		"a constant":                {`r := 7`, "7"},
		"a fact":                    {`r := input.user.id`, `"alice"`},
		"no value":                  {`r if count(input.user.id) == 1`, "undefined"},
		"a default":                 {"default r := 1\nr := 2 if input.user.id == \"bob\"", "1"},
		"an else":                   {"r := 1 if input.user.id == \"bob\"\nelse := 2", "2"},
		"a set":                     {`r contains role if some role in input.user.roles`, `{"dev"}`},
		"by another rule":           {"r := q\nq := input.tool.name", `"x"`},
		"by a function":             {"r := f(input.tool.name)\nf(x) := concat(x, [\"a\", \"b\"])", `"axb"`},
		"one that looks elsewhere":  {"r := 1 if not q\nq if { input.phase == \"response\"; input.response.t == 1 }", "1"},
		"the time for others":       {"r := 1 if not q\nq if { input.user.id == \"bob\"; time.now_ns() > 0 }", "1"},
		"an argument":               {`r := input.tool.args.t`, none},
		"an argument, by a rule":    {"r := q\nq := input.tool.args.t", none},
		"an argument, by a call":    {"r := f(input.tool)\nf(x) := x.args.t", none},
		"an argument, behind":       {"r := 1 if not q\nq if input.tool.args.t == 2", none},
		"the arguments of an index": {"r := 1 if not q\nq if startswith(input.tool.args.path, \"/etc\")", none},
		"the time":                  {`r := 1 if time.now_ns() > 0`, none},
		"chance":                    {`r := rand.intn(input.user.id, 1)`, none},
		"a header":                  {`r := 1 if not input.headers.a`, none},
		// Early exit hides the failure from the call, but another one may come to it.
		"a failure behind early exit": {"r if input.user.id == \"alice\"\nr if to_number(input.user.id) > 1", none},
		"a failure behind the index":  {"r := 1 if not q\nq if { to_number(input.user.id) > 1; input.kind == \"ping\" }", none},
		"many values":                 {`r := numbers.range(1, 1000)`, none},
		"a large set":                 {`r contains n if some n in numbers.range(1, 1000)`, none},
		"a large object":              {`r := {n: 1 | some n in numbers.range(1, 1000)}`, none},
		"a long text":                 {`r := concat("", [input.user.id | some _ in numbers.range(1, 1000)])`, none},
		"an object of rules":          {"r.a := 1\nr.b := input.tool.args.t", none},
		"an object of keys":           {`r[k] := 1 if some k in input.user.roles`, none},
	} {
		t.Run(name, func(t *testing.T) {
			s := rego(t, "decision := {\"allow\": true} if { asked; input.tool.args.t == 1 }\nasked if _ = r\nasked if not r\n"+test.rules)
			in := message(t)
			for n := range often {
				if len(concluded(s, in)) > 0 {
					t.Errorf("concluded after %d calls", n)
				}
				if d := s.Decide(in); !d.Allow {
					t.Fatalf("the module is not what it says: %+v", d)
				}
			}
			if got := concluded(s, in)["r"]; got != test.r {
				t.Errorf("r is %q, want %q", got, test.r)
			}
		})
	}
}

// A call with bounds that only the policy knows has the rest from memory.
func TestConclusionsOfTheStarterPolicies(t *testing.T) {
	files := starterFiles(t)
	files["data.json"] = `{"roles": {"dev": {"tools": {"*": {"x": true}}}}, "arguments": {"*": {"x": {"properties": {"path": {"path": ["/srv"]}}}}}}`
	s := load(t, files)
	for range often {
		if d := s.Decide(message(t)); !d.Allow {
			t.Fatalf("%+v", d)
		}
	}
	want := []string{"allow", "argument_limits", "bounds_to_check", "malformed_bounds", "nested_bounds", "odd_path", "patched", "redacted", "role_tables"}
	if got := slices.Sorted(maps.Keys(concluded(s, message(t)))); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What is remembered is made use of, but where a with is in force.
func TestConclusionsAreUsed(t *testing.T) {
	for body, allows := range map[string]bool{
		`{ fixed == "alice"; input.tool.args.t == 1 }`:                                           false,
		`{ fixed == "alice" with input.tool as {}; input.tool.args.t == 1 }`:                     true,
		`{ fixed == "alice" with data.n as 1; fixed == "planted"; input.tool.args.t == 1 }`:      true,
		`{ fixed == "planted"; fixed == "alice" with input.tool as {}; input.tool.args.t == 1 }`: true,
	} {
		s := rego(t, "decision := {\"allow\": true} if "+body+"\nfixed := input.user.id")
		in := message(t)
		rule := ast.MustParseRef("data.mcp.fixed")
		s.settled.put(s.factsKey(in), settlement{rules: conclusions{"fixed": {rule, ast.StringTerm("planted")}}})
		if d := s.Decide(in); d.Allow != allows || d.Err != nil && !errors.Is(d.Err, errUndefined) {
			t.Errorf("%s: %+v", body, d)
		}
	}
}

// Rules of the same name in two packages are not taken for each other.
func TestConclusionsOfTwoPackages(t *testing.T) {
	s := load(t, map[string]string{
		"p.rego": "package mcp\ndecision := {\"allow\": true} if { r == 1; data.other.r == 2; input.tool.args.t == 1 }\nr := 1",
		"q.rego": "package other\nr := 2",
	})
	for range often + 1 {
		if d := s.Decide(message(t)); !d.Allow {
			t.Fatalf("%+v", d)
		}
	}
}

func TestConclusionsKeepTheDeadline(t *testing.T) {
	s := rego(t, "decision := {\"allow\": r == 1}\nr := 1")
	asked := newCache(nil)
	asked.Put(ast.MustParseRef("data.mcp.r"), ast.InternedTerm(1))
	if got := s.conclude(message(t), asked, time.Now()); len(got) != 0 {
		t.Errorf("after the deadline: %v", got)
	}
}

// The cache answers as OPA's own does.
func TestCache(t *testing.T) {
	var refs []ast.Ref
	for _, ref := range []string{"data.a", "data.a.b", "data.a.c", "data.b.a", `data.a["x"]`, "data.a[1]", "data.a[1][2]", "data.a[2][1]", "data.a[[1, 2]]"} {
		refs = append(refs, ast.MustParseRef(ref))
	}
	refs = append(refs, slices.Insert(slices.Clone(refs[1]), 0, ast.NewTerm(refs[0]))) // as calls have it
	r := rand.New(rand.NewPCG(1, 2))
	ours, theirs := topdown.VirtualCache(newCache(nil)), topdown.NewVirtualCache()
	depth := 0
	for n := range 20000 {
		ref := slices.Clone(refs[r.IntN(len(refs))])
		switch op := r.IntN(20); {
		case op == 0:
			depth++
			ours.Push()
			theirs.Push()
		case op == 1 && depth > 0:
			depth--
			ours.Pop()
			theirs.Pop()
		case op < 6:
			if v, undefined := theirs.Get(ref); v != nil || undefined {
				break // a rule has one value
			}
			value := ast.StringTerm(fmt.Sprint(n))
			if op == 2 {
				value = nil
			}
			ours.Put(ref, value)
			theirs.Put(ref, value)
			clear(ref) // as OPA may
		default:
			v1, undefined1 := ours.Get(ref)
			v2, undefined2 := theirs.Get(ref)
			if v1 != v2 || undefined1 != undefined2 {
				t.Fatalf("%s: %v %t, want %v %t", ref, v1, undefined1, v2, undefined2)
			}
		}
		if a, b := names(ours.Keys()), names(theirs.Keys()); a != b {
			t.Fatalf("keys %s, want %s", a, b)
		}
	}
}

func names(refs []ast.Ref) string {
	var all []string
	for _, ref := range refs {
		all = append(all, ref.String())
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}
