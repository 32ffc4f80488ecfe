package policies

import (
	"bytes"
	"context"
	"io/fs"
	"maps"
	"path"
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
