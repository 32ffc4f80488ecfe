package policy

import (
	"testing"
	"time"
)

func unknown(paths ...[]string) *Unknown {
	u := &Unknown{}
	for _, p := range paths {
		u.Add(p...)
	}
	return u
}

// Only what the evaluation gets to counts, and that always does.
func TestDecideKnown(t *testing.T) {
	t.Parallel()
	secret, header := []string{"tool", "args", "secret"}, []string{"headers", "x"}
	for name, c := range map[string]struct {
		rule    string
		unknown *Unknown
		missing string
	}{
		"nothing is unknown":   {`input.tool.args.secret == "s"`, unknown(), ""},
		"read":                 {`input.tool.args.secret == "s"`, unknown(secret), "tool.args.secret"},
		"only asked for":       {`not input.tool.args.secret`, unknown(secret), "tool.args.secret"},
		"beside it":            {`input.tool.args.n == 1`, unknown(secret), ""},
		"not got to":           {"input.tool.args.n == 2\n\tinput.tool.args.secret", unknown(secret), ""},
		"got to":               {"input.tool.args.n == 1\n\tinput.tool.args.secret", unknown(secret), "tool.args.secret"},
		"what it is in":        {"a := input.tool.args\n\ta.n == 1", unknown(secret), "tool.args.secret"},
		"what is in it":        {`input.headers.x.y == 1`, unknown(header), "headers.x"},
		"all of it":            {`json.marshal(input) != ""`, unknown(header), "headers.x"},
		"each member":          {"some k\n\tinput.headers[k] == \"v\"", unknown(header), "headers.x"},
		"a name that is known": {"k := data.other\n\tinput.headers[k] == \"v\"", unknown(header), ""},
		"a name that is it":    {"k := data.name\n\tinput.headers[k] == \"v\"", unknown(header), "headers.x"},
		"an item":              {`input.tool.args.list[_].k == 1`, unknown([]string{"tool", "args", "list", "1", "secret"}), ""},
		"an item's":            {`input.tool.args.list[_].secret == 1`, unknown([]string{"tool", "args", "list", "1", "secret"}), "tool.args.list.1.secret"},
		"another item":         {`input.tool.args.list[0].secret == 1`, unknown([]string{"tool", "args", "list", "1", "secret"}), ""},
		"by a function":        {`f(input.tool.args)`, unknown(secret), "tool.args.secret"},
		"a function's own":     {`f({"secret": 1})`, unknown(secret), ""},
		"in another input":     {`helper with input.tool.args.secret as 1`, unknown(secret), "tool.args.secret"},
		"chance":               {"input.tool.args.n == 1\n\trand.intn(\"x\", 2) == 1", unknown(), "rand.intn"},
		"no chance":            {"input.tool.args.n == 2\n\trand.intn(\"x\", 2) == 1", unknown(), ""},
		"the time of then":     {`time.now_ns() == 42`, unknown(), ""},
		"a failure":            {"startswith(input.tool.args.n, \"x\")\n\tinput.headers.x", unknown(header), readsFailure},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := load(t, map[string]string{
				"data.json": `{"name": "x", "other": "y"}`,
				"p.rego": "package mcp\nf(x) if x.secret\nhelper if input.tool.args.secret\ndefault decision := {\"allow\": false}\n" +
					"decision := {\"allow\": true} if {\n\t" + c.rule + "\n}\n",
			})
			in := &Input{
				Phase: Request, Kind: "tools/call", Headers: map[string][]string{"X": {"v"}, "Y": {"v"}},
				Tool: &Tool{Name: "t", Args: value(t, `{"n":1,"secret":"s","list":[{"k":1,"secret":2},{"k":2,"secret":1}]}`)},
			}
			d, missing := s.DecideKnown(in, c.unknown, time.Unix(0, 42))
			if missing != c.missing {
				t.Fatalf("%+v lacks %q, want %q", d, missing, c.missing)
			}
			if want := s.Decide(in); missing == "" && name != "the time of then" && (d.Allow != want.Allow || (d.Err == nil) != (want.Err == nil)) {
				t.Errorf("decided %+v, but live %+v", d, want)
			}
			if name == "the time of then" && !d.Allow {
				t.Errorf("decided %+v", d)
			}
		})
	}
}

func TestDecideKnownItem(t *testing.T) {
	t.Parallel()
	s := rego(t, `
default decision := {"allow": false, "reason": "no"}
decision := {"allow": true} if input.tool.name == "open"
decision := {"allow": true} if { input.tool.name == "bounded"; input.tool.args.n < 10 }
decision := {"allow": true} if { input.tool.name == "closed"; input.headers.x == "v" }`)
	for tool, c := range map[string]struct {
		unknown *Unknown
		allow   bool
		missing string
	}{
		"open":    {unknown([]string{"headers", "x"}), true, ""},
		"closed":  {unknown([]string{"headers", "x"}), false, "headers.x"},
		"none":    {unknown([]string{"headers", "x"}), false, ""},
		"bounded": {unknown(), true, ""},
	} {
		in := &Input{Phase: List, Kind: "tools/call", Tool: &Tool{Name: tool}}
		if d, missing := s.DecideKnown(in, c.unknown, time.Now()); d.Allow != c.allow || missing != c.missing {
			t.Errorf("%s: %+v lacks %q", tool, d, missing)
		}
	}
	in := &Input{Phase: List, Kind: "tools/call", Tool: &Tool{Name: "bounded"}}
	if d, missing := s.DecideKnown(in, unknown([]string{"headers", "x"}), time.Now()); missing != "headers.x" {
		t.Errorf("what arguments could do is not told without the headers: %+v %q", d, missing)
	}
}

func TestUnknown(t *testing.T) {
	t.Parallel()
	u := unknown([]string{"a", "b", "c"}, []string{"a", "b"}, []string{"a", "b", "d"})
	if u.Empty() || u.Below("a").Empty() || !u.Below("x").Empty() || !u.Below("a").Below("b").all || u.Below("a").Below("b").members != nil {
		t.Errorf("%+v", u)
	}
	if u.Add(); !u.all || u.Below("any") != u {
		t.Errorf("%+v", u)
	}
}

func TestSamePatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"", "", true},
		{"", `{"a":1}`, false},
		{`{"a":1,"b":{"x":[1,2]}}` + "\n", `{"b":{"x":[1,2.0]},"a":1}`, true},
		{`{"a":1}`, `{"a":2}`, false},
		{`[{"op":"remove","path":"/a"}]`, `[{"path":"/a","op":"remove"}]`, true},
		{`{"a":[1,2]}`, `{"a":[2,1]}`, false},
	} {
		if SamePatch(c.a, c.b) != c.same {
			t.Errorf("%s and %s: not %v", c.a, c.b, c.same)
		}
	}
}
