package policy

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

func TestDecision(t *testing.T) {
	deny := Decision{Code: CodeDeny}
	for _, c := range []struct {
		name, module string
		want         Decision // with Err, only that there is one counts
	}{
		{"allow", `decision := {"allow": true}`, Decision{Allow: true}},
		{"allow with reason", `decision := {"allow": true, "reason": "r"}`, Decision{Allow: true, Reason: "r"}},
		{"unknown members", `decision := {"allow": true, "x": {1, 2}}`, Decision{Allow: true}},
		{"merge patch", `decision := {"allow": true, "patch": {"a": "<b>"}}`, Decision{Allow: true, Patch: `{"a":"<b>"}`}},
		{"json patch", `decision := {"allow": true, "patch": [{"op": "remove", "path": "/a"}]}`, Decision{Allow: true, Patch: `[{"op":"remove","path":"/a"}]`}},
		{"patch number", `decision := {"allow": true, "patch": {"n": 9007199254740993, "f": 1.0}}`, Decision{Allow: true, Patch: `{"f":1.0,"n":9007199254740993}`}},
		{"empty merge patch", `decision := {"allow": true, "patch": {}}`, Decision{Allow: true}},
		{"empty json patch", `decision := {"allow": true, "patch": []}`, Decision{Allow: true}},
		{"patch of a set", `decision := {"allow": true, "patch": {1}}`, Decision{Err: errNotJSON}},
		{"patch of a string", `decision := {"allow": true, "patch": "{}"}`, Decision{Err: errNotJSON}},
		{"patch null", `decision := {"allow": true, "patch": null}`, Decision{Err: errNotJSON}},
		{"redact", `decision := {"allow": true, "redact": ["b", "a", "b"]}`, Decision{Err: errPhase}},
		{"redact nothing", `decision := {"allow": true, "redact": []}`, Decision{Allow: true}},
		{"redact a set", `decision := {"allow": true, "redact": {"a"}}`, Decision{Err: errKeys}},
		{"redact a string", `decision := {"allow": true, "redact": "a"}`, Decision{Err: errKeys}},
		{"redact numbers", `decision := {"allow": true, "redact": ["a", 1]}`, Decision{Err: errKeys}},
		{"redact null", `decision := {"allow": true, "redact": null}`, Decision{Err: errKeys}},
		{"deny with redact", `decision := {"allow": false, "redact": 8}`, deny},
		{"allow with reason of a wrong type", `decision := {"allow": true, "reason": 7}`, Decision{Allow: true}},

		{"deny", `decision := {"allow": false}`, deny},
		{"422", `decision := {"allow": false, "code": "validation_failed"}`, Decision{Code: CodeInvalid}},
		{"429", `decision := {"allow": false, "code": "rate_limited"}`, Decision{Code: CodeRateLimit}},
		{"unknown code", `decision := {"allow": false, "code": "teapot"}`, deny},
		{"code of a wrong type", `decision := {"allow": false, "code": 422}`, deny},
		{"reason of a wrong type", `decision := {"allow": false, "reason": ["r"]}`, deny},
		{"deny with a patch", `decision := {"allow": false, "patch": {"a": 1}}`, deny},
		{"deny with garbage", `decision := {"allow": false, "reason": null, "code": {1}, "patch": 8, "x": [2]}`, deny},

		{"undefined", `decision := {"allow": true} if input.nothing`, Decision{Err: errUndefined}},
		{"boolean", `decision := true`, Decision{Err: errUndefined}},
		{"set", `decision contains "allow"`, Decision{Err: errUndefined}},
		{"array", `decision := [true]`, Decision{Err: errUndefined}},
		{"string", `decision := "allow"`, Decision{Err: errUndefined}},
		{"null", `decision := null`, Decision{Err: errUndefined}},
		{"empty", `decision := {}`, Decision{Err: errUndefined}},
		{"allow missing", `decision := {"reason": "r"}`, Decision{Err: errUndefined}},
		{"allow a string", `decision := {"allow": "true"}`, Decision{Err: errUndefined}},
		{"allow a number", `decision := {"allow": 1}`, Decision{Err: errUndefined}},
		{"allow null", `decision := {"allow": null}`, Decision{Err: errUndefined}},
		{"conflict", "decision := {\"allow\": true} if input.kind\ndecision := {\"allow\": false} if input.server", Decision{Err: errUndefined}},
		{"package", "x := 1", Decision{Err: errUndefined}},
		{"division by zero", `decision := {"allow": 1 / (count(input.kind) - count(input.kind)) == 1}`, Decision{Err: errUndefined}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := tryLoad(t, map[string]string{"p.rego": "package mcp\n" + c.module})
			if err != nil {
				if c.want.Err == nil {
					t.Fatal(err)
				}
				return // refused at load: as good
			}
			d := s.Decide(call(t, "x", `{}`))
			if (d.Err != nil) != (c.want.Err != nil) {
				t.Fatalf("error %v, want %v", d.Err, c.want.Err)
			}
			d.Eval, d.Err, c.want.Err, d.Patch = 0, nil, nil, strings.TrimSpace(d.Patch)
			if diff := cmp.Diff(c.want, d); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The rule may also be written in parts, or be a package.
func TestDecisionShapes(t *testing.T) {
	for name, text := range map[string]string{
		"parts":        "package mcp\ndecision.allow := true\ndecision.reason := \"r\"",
		"partial rule": "package mcp\ndecision[\"allow\"] := true\ndecision[\"reason\"] := \"r\"",
		"package":      "package mcp.decision\nallow := true\nreason := \"r\"",
	} {
		d := load(t, map[string]string{"p.rego": text}).Decide(call(t, "x", `{}`))
		if !d.Allow || d.Reason != "r" || d.Err != nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestStatus(t *testing.T) {
	for code, want := range map[string]int{
		CodeDeny: http.StatusForbidden, CodeInvalid: http.StatusUnprocessableEntity,
		CodeRateLimit: http.StatusTooManyRequests, "": http.StatusForbidden, "x": http.StatusForbidden,
	} {
		if got := (&Decision{Code: code}).Status(); got != want {
			t.Errorf("%q: %d", code, got)
		}
	}
}

// A built-in that is given a type it does not take is an error, wherever it
// stands: undefined, it would turn a deny rule off.
func TestTypeConfusion(t *testing.T) {
	const canary = "canary-7f3a"
	for _, test := range []string{
		`startswith(input.tool.args.path, "/etc")`,
		`endswith(input.tool.args.path, "passwd")`,
		`contains(input.tool.args.path, "..")`,
		`glob.match("/etc/*", ["/"], input.tool.args.path)`,
		`regex.match("^/etc", input.tool.args.path)`,
		`strings.any_prefix_match(input.tool.args.path, "/etc")`,
		`strings.any_suffix_match(input.tool.args.path, "/etc")`,
		`lower(input.tool.args.path) == "/etc"`,
		`to_number(input.tool.args.text) > 3`,
		`json.unmarshal(input.tool.args.text).x`,
		`time.parse_rfc3339_ns(input.tool.args.text) > 0`,
		`{"a": 1}[input.tool.args.text]; startswith(input.tool.args.path, "/")`,
		`object.get(input.tool.args.path, "a", "b") == "c"`,
		`input.tool.args.text + 1 == 2`,
	} {
		module := "deny if " + test
		if strings.HasPrefix(test, "{") {
			module = "deny if { not " + test + " }"
		}
		for style, decision := range map[string]string{
			"not deny":     `decision := {"allow": true} if not deny`,
			"else":         "decision := {\"allow\": false} if deny\nelse := {\"allow\": true}",
			"default":      "default decision := {\"allow\": true}\ndecision := {\"allow\": false} if deny",
			"in a set":     "denials contains 1 if deny\ndecision := {\"allow\": count(denials) == 0}",
			"under object": `decision := {"allow": object.get({"x": [1 | deny]}, "x", []) == []}`,
		} {
			s := rego(t, module+"\n"+decision)
			d := s.Decide(call(t, "x", `{"path": [{"`+canary+`":1}], "text": {"`+canary+`":1}}`))
			if d.Allow || d.Err == nil {
				t.Errorf("%s, %s: %+v", test, style, d)
			}
			if d.Err != nil && strings.Contains(d.Err.Error(), canary) {
				t.Errorf("%s, %s: the error quotes the input: %v", test, style, d.Err)
			}
		}
	}
}

// What the index leaves out and what it finds, with all built-ins that it
// knows, is what it was without the index.
func TestIndexedCallsStillMatch(t *testing.T) {
	s := rego(t, `
default decision := {"allow": false}
decision := {"allow": true} if startswith(input.tool.args.a, "/srv/")
decision := {"allow": true} if endswith(input.tool.args.a, ".txt")
decision := {"allow": true} if glob.match("x-*", ["/"], input.tool.args.a)
decision := {"allow": true} if strings.any_prefix_match(input.tool.args.a, ["p1", "p2"])
decision := {"allow": true} if { not startswith(input.tool.args.a, "!"); input.tool.args.a == "not" }
decision := {"allow": true} if { x := startswith(input.tool.args.a, "kept"); x }`)
	for a, want := range map[string]bool{
		"/srv/a": true, "a.txt": true, "x-1": true, "p2x": true, "not": true, "kept": true,
		"/etc": false, "x": false, "!": false,
	} {
		if d := s.Decide(call(t, "x", `{"a":"`+a+`"}`)); d.Allow != want || d.Err != nil {
			t.Errorf("%s: %+v", a, d)
		}
	}
}

func TestErrorsQuoteNothing(t *testing.T) {
	const canary = "canary-7f3a"
	for _, module := range []string{
		`decision := {"allow": true} if to_number(input.tool.args.t) == 1`,
		`decision := {"allow": true} if json.unmarshal(input.tool.args.t)`,
		`decision := {"allow": true, "patch": {input.tool.args}}`,
		`decision := {"allow": input.tool.args.t}`,
		`decision := {"allow": true, "patch": {"n": to_number(sprintf("%s%s", ["1e", input.tool.args.big]))}}`,
		`decision := input.tool.args.t`,
		"decision[k] := v if some k, v in {\"allow\": true, \"x\": input.tool.args.t}\ndecision[\"x\"] := 2",
		`decision := {k: v | some k, v in input.tool.args}`,
		`decision := {"allow": true, "x": {k: v | k := "a"; some v in input.tool.args}}`,
	} {
		d := rego(t, module).Decide(call(t, "x", `{"t":"`+canary+`","big":"9`+strings.Repeat("9", 9)+`"}`))
		if d.Err == nil || strings.Contains(d.Err.Error(), canary) || strings.Contains(d.Err.Error(), "9999") {
			t.Errorf("%s: %+v", module, d)
		}
	}
}

func TestPanicIsAnError(t *testing.T) {
	w := newWorkers()
	defer w.close()
	_, err := within(w, 0, patience, func(topdown.Cancel) (int, error) { panic("canary") })
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
	if n, err := within(w, 0, patience, func(topdown.Cancel) (int, error) { return 7, nil }); n != 7 || err != nil {
		t.Errorf("after a panic: %d, %v", n, err)
	}
}

func TestTimeout(t *testing.T) {
	s := rego(t, `decision := {"allow": count([1 | some a in numbers.range(1, 100000); some b in numbers.range(1, 100000); a == b + 0.5]) == 0}`)
	s.timeout = 1
	d := s.Decide(call(t, "x", `{}`))
	if !errors.Is(d.Err, ErrTimeout) || d.Allow {
		t.Errorf("got %+v", d)
	}
	await(s.workers)
}

// await waits until every evaluation past its deadline has ended.
func await(w *workers) {
	for w.stuck.Load() > 0 {
		_, _ = within(w, 0, patience, func(topdown.Cancel) (int, error) { return 0, nil })
	}
}

// A built-in that does not look at the clock is left behind, and counted.
func TestStuck(t *testing.T) {
	w := newWorkers()
	defer w.close()
	release := make(chan struct{})
	for i := range maxStuck {
		_, err := within(w, 0, 1, func(topdown.Cancel) (int, error) { <-release; return 0, nil })
		if !errors.Is(err, ErrTimeout) || w.stuck.Load() != int64(i+1) {
			t.Fatalf("%v, %d stuck", err, w.stuck.Load())
		}
	}
	if _, err := within(w, 0, patience, func(topdown.Cancel) (int, error) { return 0, nil }); !errors.Is(err, errStuck) {
		t.Errorf("one more than may be stuck: %v", err)
	}
	close(release)
	await(w)
}

// What is stuck on large inputs holds memory, so that fewer of these may be.
func TestStuckOnLargeInputs(t *testing.T) {
	w := newWorkers()
	defer w.close()
	release := make(chan struct{})
	for range 2 {
		if _, err := within(w, maxStuckBytes/2, 1, func(topdown.Cancel) (int, error) { <-release; return 0, nil }); !errors.Is(err, ErrTimeout) {
			t.Fatal(err)
		}
	}
	for size, want := range map[int]error{largeInput: errStuck, largeInput - 1: nil, 0: nil} {
		if _, err := within(w, size, patience, func(topdown.Cancel) (int, error) { return 0, nil }); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	close(release)
	await(w)
	if _, err := within(w, largeInput, patience, func(topdown.Cancel) (int, error) { return 0, nil }); err != nil {
		t.Errorf("later: %v", err)
	}
}

func TestStuckBuiltin(t *testing.T) {
	s := rego(t, `decision := {"allow": count(split(input.tool.args.t, "")) > 0}`)
	s.timeout = 1
	in := call(t, "x", `{"t":"`+strings.Repeat("a", 4<<20)+`"}`)
	if d := s.Decide(in); !errors.Is(d.Err, ErrTimeout) {
		t.Errorf("got %+v", d)
	}
	// The one left behind still reads the terms that are judged again here.
	s.timeout = patience
	in.Phase = Response
	if d := s.Decide(in); !d.Allow {
		t.Errorf("got %+v", d)
	}
	await(s.workers)
}

// One that was left behind may share terms with the next: they are only read.
// The race detector judges.
func TestStuckShares(t *testing.T) {
	s := rego(t, `
pairs := [[a, b] | some a in numbers.range(1, 300); walk(input, b)]
decision := {"allow": true, "reason": sprintf("%v %v %v", [count(pairs), input.user, {input.headers, input.params, input.tool}])}`)
	in := call(t, "x", `{"z":{"b":1,"a":[{"d":1,"c":2}]},"a":{"y":1,"x":2}}`)
	in.Headers = http.Header{"B": {"1"}, "A": {"2"}}
	in.User.Claims = map[string]any{"b": 1, "a": map[string]any{"d": 1, "c": 2}}
	for range 20 {
		in.Begin()
		s.timeout = 1
		s.Decide(in)
		s.timeout = patience
		if d := s.Decide(in); !d.Allow {
			t.Fatalf("got %+v", d)
		}
	}
	await(s.workers)
}

func TestForbiddenBuiltins(t *testing.T) {
	for _, c := range []string{
		`http.send({"method": "get", "url": "http://127.0.0.1"})`, `opa.runtime()`, `net.lookup_ip_addr("localhost")`,
		`bits.lsh(1, 2)`, `rego.parse_module("a", "b")`, `trace("x")`, `strings.render_template("{{.a}}", {"a": 1})`,
		`json.match_schema({}, {"$ref": "file:///etc/hostname"})`, `json.verify_schema({})`,
		`graphql.is_valid("", "")`, `graphql.parse("", "")`, `graphql.parse_and_verify("", "")`,
		`graphql.parse_query("{a}")`, `graphql.parse_schema("")`, `graphql.schema_is_valid("")`,
	} {
		if _, err := tryLoad(t, map[string]string{"p.rego": "package mcp\ndecision := {\"allow\": true} if x := " + c}); err == nil {
			t.Errorf("%s is loaded", c)
		}
	}
}

func TestNoDecisionRule(t *testing.T) {
	if _, err := tryLoad(t, map[string]string{"p.rego": "package mcp\nallow := true", "data.json": `{"mcp":{"decision":{"allow":true}}}`}); err == nil {
		t.Error("data decides")
	}
	if _, err := tryLoad(t, map[string]string{"p.rego": "package mcp\ndecision := {\"allow\": false}", "data.json": `{"mcp":{"decision":{"allow":true}}}`}); err == nil {
		t.Error("data and a rule of the same name")
	}
}

const echo = `decision := {"allow": true, "reason": json.marshal(input)}`

func TestInputDocument(t *testing.T) {
	params := value(t, `{"name":"n","arguments":{"n":9007199254740993,"f":1.0,"e":1E2,"s":"\u00e9\ud83d\ude00","t":true,"x":null,"l":[]}}`)
	args := params.Get("arguments")
	const argsText = `{"n":9007199254740993,"f":1.0,"e":1E2,"s":"é😀","t":true,"x":null,"l":[]}`
	full := Input{
		Kind: "tools/call", Server: "s", Params: params, RequestIP: "192.0.2.1", ProtocolVersion: "2026-07-28", Transport: "http",
		User:       User{ID: "alice", Roles: []string{"a", "b"}, Auth: "jwt", Claims: map[string]any{"n": json.Number("1.0")}},
		Headers:    http.Header{"X-A": {"1", "2"}, "Host": {"h"}},
		ClientName: "c", ClientVersion: "1",
	}
	const common = `"version":1,"kind":"tools/call","server":"s","request_ip":"192.0.2.1","protocol_version":"2026-07-28","transport":"http",
		"user":{"id":"alice","roles":["a","b"],"auth":"jwt","claims":{"n":1.0}},"headers":{"x-a":"1, 2","host":"h"},"client":{"name":"c","version":"1"}`
	const paramsText = `,"params":{"name":"n","arguments":` + argsText + `}`
	tool := &Tool{Name: "n", Args: args, Annotations: value(t, `{"readOnlyHint":true}`)}
	asked := value(t, `{"message":"m","arguments":{"other":1}}`)
	for _, c := range []struct {
		name   string
		change func(*Input)
		want   string
	}{
		{"request", func(in *Input) { in.Phase, in.Tool = Request, tool }, `{"phase":"request",` + common + paramsText + `,"tool":{"name":"n","args":` + argsText + `,"annotations":{"readOnlyHint":true}}}`},
		{"prompt", func(in *Input) { in.Phase, in.Prompt = Request, &Prompt{Name: "n", Args: args} }, `{"phase":"request",` + common + paramsText + `,"prompt":{"name":"n","args":` + argsText + `}}`},
		{"resource", func(in *Input) { in.Phase, in.Resource = Request, ParseResource("File:///a/../b%20c?q#f") }, `{"phase":"request",` + common + paramsText + `,"resource":{"uri":"File:///a/../b%20c?q#f","valid":true,"scheme":"file","path":"/b c","query":"q","fragment":"f","path_segments":["b c"]}}`},
		{"resource not valid", func(in *Input) { in.Phase, in.Resource = Request, ParseResource("x") }, `{"phase":"request",` + common + paramsText + `,"resource":{"uri":"x","valid":false}}`},
		{"response", func(in *Input) { in.Phase, in.Tool, in.Response = Response, tool, value(t, `{"content":[]}`) }, `{"phase":"response",` + common + paramsText + `,"tool":{"name":"n","args":` + argsText + `,"annotations":{"readOnlyHint":true}},"response":{"content":[]},"scan":{"plain":true,"marks":[],"named":false}}`},
		{"error", func(in *Input) { in.Phase, in.Error = Response, value(t, `{"code":-1}`) }, `{"phase":"response",` + common + paramsText + `,"error":{"code":-1},"scan":{"plain":true,"marks":[],"named":false}}`},
		{"list", func(in *Input) { in.Phase, in.Params, in.Tool = List, mcp.Value{}, &Tool{Name: "n"} }, `{"phase":"list",` + common + `,"tool":{"name":"n"}}`},
		// The params are the server's, and the arguments still those of the call.
		{"server request", func(in *Input) { in.Phase, in.Params, in.Tool = ServerRequest, asked, tool }, `{"phase":"server_request",` + common + `,"params":{"message":"m","arguments":{"other":1}},"scan":{"plain":true,"marks":[],"named":false},"tool":{"name":"n","args":` + argsText + `,"annotations":{"readOnlyHint":true}}}`},
		{"params not an object", func(in *Input) { in.Phase, in.Params, in.Tool = ServerRequest, value(t, `[1]`), tool }, `{"phase":"server_request",` + common + `,"params":[1],"scan":{"plain":true,"marks":[],"named":false},"tool":{"name":"n","args":` + argsText + `,"annotations":{"readOnlyHint":true}}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := full
			in.Begin()
			s := rego(t, echo)
			s.Decide(&in) // what later phases share with earlier ones must not leak into them
			c.change(&in)
			equalJSON(t, s.Decide(&in), c.want)
		})
	}
	t.Run("next to nothing", func(t *testing.T) {
		equalJSON(t, rego(t, echo).Decide(&Input{Phase: Request, Kind: "ping"}), `{"version":1,"phase":"request","kind":"ping","user":{"roles":[]},"headers":{}}`)
	})
}

func equalJSON(t *testing.T, d Decision, want string) {
	t.Helper()
	if d.Err != nil {
		t.Fatal(d.Err)
	}
	decode := func(text string) (v any) {
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		if err := dec.Decode(&v); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return v
	}
	if diff := cmp.Diff(decode(want), decode(d.Reason)); diff != "" {
		t.Error(diff)
	}
}
