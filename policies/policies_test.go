package policies

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/util"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

func TestBundleLoads(t *testing.T) {
	raw, err := policy.Build(".", "")
	if err != nil {
		t.Fatal(err)
	}
	b := read(t, raw)
	if v := b.RegoVersion(ast.RegoUndefined); v != ast.RegoV1 {
		t.Errorf("Rego version %v, want 1", v)
	}
	if roots := *b.Manifest.Roots; !slices.Equal(roots, []string{""}) {
		t.Errorf("roots %q, want the empty one", roots)
	}
	for _, m := range b.Modules {
		if strings.HasSuffix(m.Path, "_test.rego") {
			t.Errorf("%s is in the bundle", m.Path)
		}
	}
	compiler := compile(t, b.ParsedModules("starter"))

	input := ast.MustParseTerm(`{
		"version": 1, "phase": "request", "kind": "tools/call", "server": "demo",
		"user": {"id": "alice@org", "roles": ["dev"]},
		"tool": {"name": "database.backup", "args": {}},
	}`)
	results, err := rego.New(
		rego.Query("data.mcp.decision"),
		rego.Compiler(compiler),
		rego.Store(inmem.NewFromObject(b.Data)),
		rego.ParsedInput(input.Value),
		rego.StrictBuiltinErrors(true),
	).Eval(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"allow": false, "code": "policy_deny", "reason": "role_mismatch"}
	got, _ := results[0].Expressions[0].Value.(map[string]any)
	if !maps.Equal(got, want) {
		t.Errorf("decision %v, want %v", got, want)
	}
}

// TestRego runs what `gatehouse policy test --coverage --threshold 100` runs.
func TestRego(t *testing.T) {
	modules, store := load(t)
	coverage := cover.New()
	runner := tester.NewRunner().
		SetCompiler(ast.NewCompiler()).
		SetStore(store).
		SetModules(modules).
		SetCoverageQueryTracer(coverage).
		RaiseBuiltinErrors(true).
		SetTimeout(time.Minute)

	ctx := context.Background()
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Abort(ctx, txn)
	results, err := runner.RunTests(ctx, txn)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for r := range results {
		count++
		if !r.Pass() {
			t.Errorf("%s: %v", r, r.Error)
		}
	}
	if count == 0 {
		t.Fatal("no tests ran")
	}
	report := coverage.Report(modules)
	if report.Coverage < 100 {
		for name, f := range report.Files {
			for _, r := range f.NotCovered {
				t.Errorf("%s:%d is not covered", name, r.Start.Row)
			}
		}
	}
}

func TestEveryFileHasTests(t *testing.T) {
	names, err := fs.Glob(FS(), "*.rego")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.rego") {
			continue
		}
		if beside := strings.TrimSuffix(name, ".rego") + "_test.rego"; !slices.Contains(names, beside) {
			t.Errorf("%s has no %s", name, beside)
		}
	}
}

// TestExtension adds a file and edits none, as the README says.
func TestExtension(t *testing.T) {
	modules, store := load(t)
	modules["office_hours.rego"] = ast.MustParseModule(`package mcp
allow if input.kind == "tasks/get"
deny contains {"reason": "too_often", "code": "rate_limited"} if input.tool.name == "echo"
refusal["tasks/list"] := "no_lists"
patches contains {"op": "replace", "path": "/text", "value": "x"} if input.tool.name == "alert.read"`)
	query, err := rego.New(
		rego.Query("data.mcp.decision"),
		rego.Compiler(compile(t, modules)),
		rego.Store(store),
		rego.StrictBuiltinErrors(true),
	).PrepareForEval(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for more, want := range map[string]string{
		`"kind": "tasks/get"`:  `{"allow": true}`,
		`"kind": "tasks/list"`: `{"allow": false, "code": "policy_deny", "reason": "no_lists"}`,
		`"kind": "tools/call", "tool": {"name": "echo", "args": {"text": "x"}}`: `{
			"allow": false, "code": "rate_limited", "reason": "too_often"}`,
		`"kind": "tools/call", "tool": {"name": "alert.read"}`: `{
			"allow": true, "patch": [{"op": "replace", "path": "/text", "value": "x"}]}`,
	} {
		input := ast.MustParseTerm(`{"version": 1, "phase": "request", "server": "demo",
			"user": {"roles": ["dev"]}, ` + more + `}`)
		results, err := query.Eval(context.Background(), rego.EvalParsedInput(input.Value))
		if err != nil {
			t.Fatal(err)
		}
		got := ast.NewTerm(ast.MustInterfaceToValue(results[0].Expressions[0].Value))
		if !got.Equal(ast.MustParseTerm(want)) {
			t.Errorf("%s: decision %v, want %s", more, got, want)
		}
	}
}

func read(t *testing.T, raw []byte) bundle.Bundle {
	t.Helper()
	b, err := bundle.NewReader(bytes.NewReader(raw)).Read()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func compile(t *testing.T, modules map[string]*ast.Module) *ast.Compiler {
	t.Helper()
	compiler := ast.NewCompiler().WithStrict(true)
	if compiler.Compile(modules); compiler.Failed() {
		t.Fatal(compiler.Errors)
	}
	return compiler
}

// load parses all files of FS, tests included.
func load(t *testing.T) (map[string]*ast.Module, storage.Store) {
	t.Helper()
	names, err := fs.Glob(FS(), "*")
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string]*ast.Module{}
	var data map[string]any
	for _, name := range names {
		text, err := fs.ReadFile(FS(), name)
		if err != nil {
			t.Fatal(err)
		}
		switch path.Ext(name) {
		case ".rego":
			modules[name], err = ast.ParseModule(name, string(text))
		case ".json":
			err = util.UnmarshalJSON(text, &data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return modules, inmem.NewFromObject(data)
}

// TestPartialEvaluation asks what decision.rego promises: with the arguments unknown, a
// caller who may never call a tool is told apart from one whose arguments will tell.
func TestPartialEvaluation(t *testing.T) {
	modules, store := load(t)
	compiler := compile(t, modules)
	for tool, possible := range map[string]bool{
		"temp.convert": true, "echo": true, "alert.read": true, "database.backup": false, "other": false,
	} {
		input := ast.MustParseTerm(`{"version": 1, "phase": "request", "kind": "tools/call", "server": "demo",
			"user": {"roles": ["dev"]}, "tool": {"name": "` + tool + `"}}`)
		left, err := rego.New(
			rego.Query("data.mcp.allow == true; not data.mcp.denied"),
			rego.Compiler(compiler),
			rego.Store(store),
			rego.ParsedInput(input.Value),
			rego.Unknowns([]string{"input.tool.args", "input.params"}),
		).Partial(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if got := len(left.Queries) > 0; got != possible {
			t.Errorf("%s: possible is %v, want %v", tool, got, possible)
		}
	}
}

// TestHostileInputs asks the engine of the gateway, whose built-in errors are
// strict and whose capabilities are fewer, what `opa test` cannot tell.
func TestHostileInputs(t *testing.T) {
	s := engine(t, `{
		"roles": {"dev": {"tools": {"*": {"*": true}}}, "auditor": {"read_only": {"*": true}}},
		"servers": {"demo": {"trust_annotations": true}, "acme-db": {"tenants": {"acme": true}}},
		"tenants": {"acme": {"roles": {}}},
		"users": {"mallory": {"tenant": "bolt"}},
		"extensions": {"com.example/known": true},
		"windows": {"typo": [{"zone": "Mars/Olympus", "days": ["Monday"], "from": "00:00", "until": "24:00"}]},
		"hours": {"tools": {"*": {"rover": "typo"}}},
		"arguments": {"*": {
			"file": {"required": ["v"], "properties": {"v": {"path": ["/srv"]}}},
			"web": {"required": ["v"], "properties": {"v": {"url": {"https://docs.example": ["/"]}}}},
			"query": {"required": ["v"], "properties": {"v": {"sql": {"verbs": ["select"], "tables": ["orders"]}}}},
			"order": {"properties": {"v": {"items": {"properties": {"n": {"type": "integer", "maximum": 9}}}}}},
			"broken": {"properties": {"v": {"pattern": "("}}}
		}}
	}`)
	for _, c := range []struct{ tool, good string }{
		{"file", `{"v":"/srv/a"}`},
		{"web", `{"v":"https://docs.example/a"}`},
		{"query", `{"v":"SELECT * FROM orders"}`},
		{"order", `{"v":[{"n":1}]}`},
	} {
		if d := s.Decide(call(t, c.tool, c.good)); !d.Allow || d.Err != nil {
			t.Errorf("%s %s: %+v", c.tool, c.good, d)
		}
		for _, v := range []string{
			`null`, `true`, `-1e300`, `"\u0000"`, `{}`, `{"v":"/srv/a"}`, `["/etc/passwd"]`, `[["/srv/a"]]`, `[null]`, `"/srv/../etc"`,
			`"https://169.254.169.254/"`, `"https://docs.example@evil/"`, `"SELECT 1 -- "`, `"DELETE FROM orders"`, `"SELECT * FROM secret"`,
			`[{"n":"1"}]`, `[{"n":1e300}]`, `[{"n":9.0000000000000000001}]`, `[{"n":{"$ref":"file:///etc/passwd"}}]`,
		} {
			if c.tool == "order" && v == `{}` {
				continue
			}
			if d := s.Decide(call(t, c.tool, `{"v":`+v+`}`)); d.Allow {
				t.Errorf("%s %s: allowed", c.tool, v)
			}
		}
	}

	// Mistakes in the data are errors of the policy, and those refuse.
	for _, tool := range []string{"broken", "rover"} {
		if d := s.Decide(call(t, tool, `{"v":"x"}`)); d.Allow || d.Err == nil {
			t.Errorf("%s: %+v", tool, d)
		}
	}

	for name, change := range map[string]func(*policy.Input){
		"annotations": func(in *policy.Input) {
			in.User.Roles = []string{"auditor"}
			in.Tool.Annotations = value(t, `{"readOnlyHint":"true"}`)
		},
		"no annotations":   func(in *policy.Input) { in.User.Roles = []string{"auditor"} },
		"another's server": func(in *policy.Input) { in.Server = "acme-db" },
		"another's claim":  func(in *policy.Input) { in.Server, in.User.Claims = "acme-db", map[string]any{"tenant": []any{"acme"}} },
		"two tenants":      func(in *policy.Input) { in.User.ID, in.User.Claims = "mallory", map[string]any{"tenant": "acme"} },
		"extension":        func(in *policy.Input) { in.Params = value(t, `{"_meta":{"com.example/x":1}}`) },
		"odd extension":    func(in *policy.Input) { in.Params = value(t, `{"_meta":["com.example/known"]}`) },
	} {
		in := call(t, "any", `{}`)
		change(in)
		if d := s.Decide(in); d.Allow {
			t.Errorf("%s: allowed", name)
		}
	}
}

func TestPersonalDataInTheEngine(t *testing.T) {
	s := engine(t, `{"roles": {"dev": {"tools": {"*": {"*": true}}}}, "personal": {"*": {"*": ["iban", "card", "email"]}}}`)
	in := call(t, "any", `{}`)
	in.Phase, in.Response = policy.Response, value(t, `{"content":[{"type":"text","text":"DE89370400440532013000 a@b.de 4111111111111111"}]}`)
	d := s.Decide(in)
	if want := `[{"op":"replace","path":"/content/0/text","value":"[iban] [email] [card]"}]`; !d.Allow || strings.TrimSpace(d.Patch) != want {
		t.Errorf("got %+v, want the patch %s", d, want)
	}
	in.Response = value(t, `{"content":[{"type":"text","text":"GB29NWBK60161331926810 and XX00 0000"}]}`)
	if d := s.Decide(in); !d.Allow || d.Patch != "" {
		t.Errorf("got %+v", d)
	}
}

// engine is the engine of the gateway with the starter policies and other data.
func engine(t *testing.T, data string) *policy.Snapshot {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, FS()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data.json"), []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	e := policy.New(policy.Config{Bundle: dir, Decision: "mcp/decision", Timeout: time.Minute, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(e.Close)
	if err := e.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	return e.Pin()
}

func call(t *testing.T, tool, args string) *policy.Input {
	t.Helper()
	return &policy.Input{
		Phase: policy.Request, Kind: "tools/call", Server: "demo", User: policy.User{ID: "alice@org", Roles: []string{"dev"}},
		Tool: &policy.Tool{Name: tool, Args: value(t, args)},
	}
}

func value(t *testing.T, text string) mcp.Value {
	t.Helper()
	v, err := mcp.ParseValue(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestDocumentedData asks the engine with the data that the documentation shows.
func TestDocumentedData(t *testing.T) {
	page, err := os.ReadFile("../docs/starter-policies.md")
	if err != nil {
		t.Fatal(err)
	}
	data := map[string]any{}
	merge(data, `{"roles": {"dev": {"tools": {"*": {"*": true}}}, "contractor": {"tools": {"*": {"*": true}}}}}`)
	for _, block := range regexp.MustCompile("(?ms)^```json\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		merge(data, block[1])
	}
	text, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	s := engine(t, string(text))
	for _, c := range []struct {
		server, tool, args string
		allow              bool
	}{
		{"files", "read_file", `{"path":"/srv/public/a"}`, true},
		{"files", "read_file", `{"path":"/srv/public/../a"}`, false},
		{"files", "read_file", `{}`, false},
		{"web", "fetch", `{"url":"https://a.example.org/x"}`, true},
		{"web", "fetch", `{"url":"https://example.org/x"}`, false},
		{"warehouse", "query", `{"sql":"SELECT sum(total) FROM public.orders"}`, true},
		{"warehouse", "query", `{"sql":"SELECT * FROM public.customers"}`, false},
		{"acme-db", "query", `{}`, false},
		{"acme-db", "other", `{}`, false},
	} {
		in := call(t, c.tool, c.args)
		in.Server = c.server
		if d := s.Decide(in); d.Allow != c.allow || d.Err != nil {
			t.Errorf("%s %s %s: %+v", c.server, c.tool, c.args, d)
		}
	}
	in := call(t, "query", `{}`)
	in.Server, in.User = "acme-db", policy.User{Roles: []string{"agent"}, Claims: map[string]any{"tenant": "acme"}}
	if d := s.Decide(in); !d.Allow {
		t.Errorf("the tenant's own: %+v", d)
	}
	in = call(t, "customer.get", `{}`)
	in.Phase, in.Server, in.Response = policy.Response, "crm", value(t, `{"mail":"a@b.de"}`)
	if d := s.Decide(in); !strings.Contains(d.Patch, "[email]") {
		t.Errorf("personal data: %+v", d)
	}
	in.User.Roles = []string{"dpo"}
	in.Begin()
	if d := s.Decide(in); !d.Allow || d.Patch != "" {
		t.Errorf("seen by a role: %+v", d)
	}
}

// merge adds the members of a JSON object, and of the objects in it.
func merge(into map[string]any, text string) {
	var more map[string]any
	if err := json.Unmarshal([]byte(text), &more); err != nil {
		panic(fmt.Sprintf("%s: %v", text, err))
	}
	var add func(into, more map[string]any)
	add = func(into, more map[string]any) {
		for name, m := range more {
			inner, isObject := m.(map[string]any)
			if old, ok := into[name].(map[string]any); ok && isObject {
				add(old, inner)
				continue
			}
			into[name] = m
		}
	}
	add(into, more)
}
