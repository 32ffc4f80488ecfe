package policy

import (
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

func TestLint(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]string{
		`p if input.tool.name == "x"`:                             "",
		`p if input.tool.args.any.thing == 1`:                     "",
		`p if input.user.claims.groups[_] == "x"`:                 "",
		`p if input.headers["x-team"] == "x"`:                     "",
		`p if object.get(input, ["resource", "host"], "") == "x"`: "",
		`p if { some m; input[m] == 1 }`:                          "",
		`p if startswith(input.resource.path_segments[0], "x")`:   "",
		`p if input.response.content[_].text == "x"`:              "",

		`p if input.tol.name == "x"`:                               `3:6: input.tol.name: input has no member "tol"; did you mean "tool"?`,
		`p if input.tool.nam == "x"`:                               `3:6: input.tool.nam: input.tool has no member "nam"; did you mean "name"?`,
		`p if input.user.email == "x"`:                             `3:6: input.user.email: input.user has no member "email"; it has auth, claims, id, roles`,
		`p if input.version == "1"`:                                `3:6: match error: left : number, right : string`,
		`p if startswith(input.user.roles, "dev")`:                 `3:6: startswith: invalid argument(s): have: (array[string], string), want: (search: string, base: string, result: boolean)`,
		`p if input.resource.path_segments.first == "x"`:           `3:6: undefined ref: input.resource.path_segments.first`,
		"p if not q\n\nq if [n | n := input.tool.nam][0] == \"x\"": `5:16: input.tool.nam: input.tool has no member "nam"; did you mean "name"?`,
		"p if input.a\n\nq if input.b":                             `3:6: input.a: input has no member "a"; it has bounds, client, error, headers, kind, params, phase, prompt, protocol_version, request_ip, resource, response, scan, server, tool, transport, user, version|5:6: input.b: input has no member "b"; it has bounds, client, error, headers, kind, params, phase, prompt, protocol_version, request_ip, resource, response, scan, server, tool, transport, user, version`,
		"# METADATA\n# schemas:\n#   - input.tool.args: {properties: {n: {type: number}}}\np if input.tool.args.m == 1": `6:6: input.tool.args.m: input.tool.args has no member "m"; it has n`,
		"import data.unused\n\np if input.tool":                     `3:1: import data.unused unused`,
		`p if input.phase == "respons"`:                             `3:21: input.phase is never "respons"; it is one of [request response list server_request]`,
		`p if input.transport in {"http", "sse"}`:                   `3:34: input.transport is never "sse"; it is one of [http stdio]`,
		`p if not "tcp" != input.transport`:                         `3:10: input.transport is never "tcp"; it is one of [http stdio]`,
		`p if input.phase == {"response": "list"}[input.tool.name]`: "",
		`p if http.send({}).status == 200`:                          `3:6: undefined function http.send`,
	} {
		module, err := ast.ParseModuleWithOpts("p.rego", "package mcp\n\n"+rule, ast.ParserOptions{ProcessAnnotation: true})
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, f := range Lint(map[string]*ast.Module{"p.rego": module}, true) {
			found = append(found, strings.TrimPrefix(f.String(), "p.rego:"))
		}
		if got := strings.Join(found, "|"); got != want {
			t.Errorf("%s\n got %s\nwant %s", rule, got, want)
		}
	}
}

// The input of the log's rules is an event, not a message.
func TestLintOfLogRules(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]string{
		`mask contains "/input/params" if input.input.kind == "tools/call"`: "",
		`drop if data.mcp.quiet(input.input.kind)`:                          "",
		`drop if data.mcp.silent(input.path)`:                               "log.rego:3:9: undefined function data.mcp.silent",
	} {
		modules := map[string]*ast.Module{}
		for name, text := range map[string]string{
			"mcp.rego": "package mcp\n\nquiet(kind) if kind == \"ping\"",
			"log.rego": "package system.log\n\n" + rule,
		} {
			m, err := ast.ParseModule(name, text)
			if err != nil {
				t.Fatal(err)
			}
			modules[name] = m
		}
		var found []string
		for _, f := range Lint(modules, true) {
			found = append(found, f.String())
		}
		if got := strings.Join(found, "|"); got != want {
			t.Errorf("%s: %s", rule, got)
		}
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	s := load(t, map[string]string{
		"p.rego": "package mcp\n\ndecision := {\"allow\": input.tol.name == \"x\"}",
		"q.rego": "package mcp\n\nimport data.unused",
	})
	want := `p.rego:3:23: input.tol.name: input has no member "tol"; did you mean "tool"?`
	if got := strings.Join(s.Warnings(), "|"); got != want {
		t.Errorf("%s", got)
	}
	if clean := rego(t, `decision := {"allow": input.tool.name == "x"}`); len(clean.Warnings()) > 0 {
		t.Error(clean.Warnings())
	}
}
