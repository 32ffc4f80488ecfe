package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/loader"
	"github.com/open-policy-agent/opa/v1/loader/filter"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// A workspace is the rules, their tests and the data of some paths, taken
// together as one policy.
type workspace struct {
	modules map[string]*ast.Module // by the path of the file
	data    map[string]any
}

// loadWorkspace reads paths. What OPA's parser finds is an ast.Errors.
func loadWorkspace(paths []string) (*workspace, error) {
	w := &workspace{modules: map[string]*ast.Module{}, data: map[string]any{}}
	for _, path := range paths {
		if err := w.load(path); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *workspace) load(path string) error {
	if filepath.Ext(path) == ".rego" {
		text, err := os.ReadFile(filepath.Clean(path))
		if err != nil {
			return err
		}
		w.modules[path], err = ast.ParseModuleWithOpts(path, string(text),
			ast.ParserOptions{ProcessAnnotation: true, RegoVersion: ast.RegoV1})
		return err
	}
	b, err := loader.NewFileLoader().WithProcessAnnotation(true).WithSkipBundleVerification(true).
		WithRegoVersion(ast.RegoV1).WithFilter(hidden(path)).AsBundle(path)
	if err != nil {
		return err
	}
	for _, m := range b.Modules {
		w.modules[strings.TrimPrefix(m.Path, "/")] = m.Parsed
	}
	if err := merge(w.data, b.Data, "data"); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// hidden leaves out hidden folders below a path, as the gateway does.
func hidden(root string) filter.LoaderFilter {
	root = filepath.Clean(root)
	return func(path string, info fs.FileInfo, _ int) bool {
		return info.IsDir() && strings.HasPrefix(info.Name(), ".") && filepath.Clean(path) != root
	}
}

// merge adds data to data at a place. Two files cannot say different things of
// one place.
func merge(into, from map[string]any, at string) error {
	for key, value := range from {
		old, ok := into[key]
		a, isMap := old.(map[string]any)
		b, both := value.(map[string]any)
		switch {
		case !ok:
			into[key] = value
		case !isMap || !both:
			return fmt.Errorf("there is %s.%s already", at, key)
		default:
			if err := merge(a, b, at+"."+key); err != nil {
				return err
			}
		}
	}
	return nil
}

// rules are the modules that are no tests: what a bundle has.
func (w *workspace) rules() map[string]*ast.Module {
	rules := maps.Clone(w.modules)
	maps.DeleteFunc(rules, func(path string, _ *ast.Module) bool { return strings.HasSuffix(path, "_test.rego") })
	return rules
}

// open is the data as a store, for as long as the process runs.
func (w *workspace) open(ctx context.Context) (storage.Store, storage.Transaction, error) {
	store := inmem.NewFromObjectWithOpts(w.data, inmem.OptReturnASTValuesOnRead(true))
	txn, err := store.NewTransaction(ctx)
	return store, txn, err
}

// compile compiles modules over the data as the gateway activates a bundle.
func (w *workspace) compile(ctx context.Context, modules map[string]*ast.Module) (*ast.Compiler, error) {
	store, txn, err := w.open(ctx)
	if err != nil {
		return nil, err
	}
	c := policy.NewCompiler().SetErrorLimit(0).WithPathConflictsCheck(storage.NonEmpty(ctx, store, txn))
	if c.Compile(modules); c.Failed() {
		return nil, c.Errors
	}
	return c, nil
}

// findings are what OPA's parser or compiler said, and nil for another error.
func findings(err error) []policy.Finding {
	if errs, ok := errors.AsType[ast.Errors](err); ok {
		return policy.Findings(errs)
	}
	if one, ok := errors.AsType[*ast.Error](err); ok {
		return policy.Findings(ast.Errors{one})
	}
	return nil
}

// decisionRef is the rule at a path, as in mcp/decision.
func decisionRef(path string) ast.Ref {
	ref := ast.DefaultRootRef.Copy()
	for part := range strings.SplitSeq(path, "/") {
		ref = ref.Append(ast.StringTerm(part))
	}
	return ref
}
