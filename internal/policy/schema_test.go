package policy

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"net/http"
	"os"
	"slices"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/open-policy-agent/opa/v1/ast"
)

var update = flag.Bool("update", false, "write the published schemas")

// TestPublishedSchemas holds docs/schema to what is here: go generate mends it.
func TestPublishedSchemas(t *testing.T) {
	t.Parallel()
	for name, schema := range map[string]*jsonschema.Schema{"input": InputSchema(), "decision": DecisionSchema()} {
		want, err := SchemaText(schema)
		if err != nil {
			t.Fatal(err)
		}
		path := "../../docs/schema/" + name + ".json"
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what it should be: run go generate ./internal/policy (%v)", path, err)
		}
	}
}

// inputs are messages of all kinds, with all that can be told of one.
func inputs(t *testing.T) []*Input {
	t.Helper()
	params := value(t, `{"name":"weather.get","arguments":{"city":"Oslo"}}`)
	base := Input{
		Phase: Request, Kind: "tools/call", Server: "weather", Params: params,
		User:      User{ID: "alice", Roles: []string{"dev"}, Auth: "jwt", Claims: map[string]any{"groups": []any{"a"}}},
		RequestIP: "192.0.2.7", Headers: http.Header{"X-Team": {"a", "b"}},
		ClientName: "agent", ClientVersion: "1", ProtocolVersion: "2026-07-28", Transport: "http",
	}
	call := base
	call.Tool = &Tool{Name: "weather.get", Args: params.Get("arguments"), Annotations: value(t, `{"readOnlyHint":true}`)}
	odd := call
	odd.Tool = &Tool{Name: "weather.get", Args: value(t, `[1]`)}
	odd.Params, odd.Transport = value(t, `[1]`), "stdio"
	result := call
	result.Phase, result.Response = Response, value(t, `{"content":[{"type":"text","text":"AKIA"}]}`)
	failed := call
	failed.Phase, failed.Error = Response, value(t, `{"code":-32603,"message":"no"}`)
	item := base
	item.Phase, item.Params, item.Tool = List, value(t, `null`), &Tool{Name: "weather.get"}
	template := base
	template.Phase, template.Kind = List, "resources/read"
	template.Resource = &Resource{URI: "file:///{path}", Template: true}
	read := base
	read.Kind, read.Resource = "resources/read", ParseResource("https://Example.com:8443/a/../b?c=d#e")
	prompt := base
	prompt.Kind, prompt.Prompt = "prompts/get", &Prompt{Name: "review", Args: value(t, `{"n":1}`)}
	asked := call
	asked.Phase, asked.Kind, asked.Params = ServerRequest, "elicitation/create", value(t, `{"message":"?"}`)
	asked.Begin()
	return []*Input{&call, &odd, &result, &failed, &item, &template, &read, &prompt, &asked, {Phase: Request, Kind: "ping"}}
}

// TestInputSchema validates real documents of all kinds, and asks that they
// have every member that the schema knows.
func TestInputSchema(t *testing.T) {
	t.Parallel()
	schema, err := InputSchema().Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, bundled := range []string{`{}`, `{"secrets":{"AKIA":"AKIA[0-9]"},"arguments":{"*":{"weather.get":{}}}}`} {
		s := load(t, map[string]string{
			"p.rego": `package mcp` + "\n" + `decision := {"allow": true} if { input.scan; input.bounds }`, "data.json": bundled,
		})
		for _, in := range inputs(t) {
			document, err := s.Document(in)
			if err != nil {
				t.Fatal(err)
			}
			var v any
			if err := json.Unmarshal([]byte(document.Text()), &v); err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(v); err != nil {
				t.Errorf("%s: %v", document.Text(), err)
			}
			occur(seen, "", InputSchema(), v)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(paths("", InputSchema()))) {
		if !seen[path] {
			t.Errorf("no input has %s", path)
		}
	}
}

// paths are the members that a schema knows.
func paths(at string, s *jsonschema.Schema) map[string]bool {
	all := map[string]bool{}
	for name, m := range s.Properties {
		all[at+"."+name] = true
		maps.Copy(all, paths(at+"."+name, m))
	}
	for _, v := range s.Enum {
		all[at+"="+v.(string)] = true
	}
	return all
}

// occur notes which of the members that a schema knows a value has.
func occur(seen map[string]bool, at string, s *jsonschema.Schema, v any) {
	if text, ok := v.(string); ok {
		seen[at+"="+text] = true
	}
	members, _ := v.(map[string]any)
	for name, m := range s.Properties {
		if value, ok := members[name]; ok {
			seen[at+"."+name] = true
			occur(seen, at+"."+name, m, value)
		}
	}
}

// TestDecisionSchema holds the schema to what is accepted of a policy.
func TestDecisionSchema(t *testing.T) {
	t.Parallel()
	schema, err := DecisionSchema().Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	for text, valid := range map[string]bool{
		`{"allow":true}`: true,
		`{"allow":false,"reason":"r","code":"rate_limited"}`:              true,
		`{"allow":true,"patch":{"a":null}}`:                               true,
		`{"allow":true,"patch":[{"op":"replace","path":"/a","value":1}]}`: true,
		`{"allow":true,"more":1}`:                                         true,
		`{"allow":"yes"}`:                                                 false,
		`{"reason":"r"}`:                                                  false,
		`{"allow":true,"patch":"text"}`:                                   false,
		`[]`:                                                              false,
	} {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); (err == nil) != valid {
			t.Errorf("%s: %v", text, err)
		}
		if _, err := parseDecision(ast.MustParseTerm(text)); (err == nil) != valid {
			t.Errorf("%s: the policy's answer: %v", text, err)
		}
	}
}
