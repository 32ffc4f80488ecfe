package policy

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/google/jsonschema-go/jsonschema"
	"github.com/open-policy-agent/opa/v1/ast"
)

// NewCompiler returns a compiler as bundles are activated with: without the
// built-ins that no policy may use, and with the calls that OPA's index would
// pass over.
func NewCompiler() *ast.Compiler {
	return ast.NewCompiler().WithCapabilities(capabilities()).
		WithStageAfterID(ast.StageCheckDeprecatedBuiltins, unindexed)
}

// A Finding is something in a policy that its author should mend.
type Finding struct {
	File    string `json:"file,omitempty"`
	Row     int    `json:"row,omitempty"`
	Column  int    `json:"column,omitempty"`
	Code    string `json:"code"` // OPA's, as in rego_type_error
	Message string `json:"message"`
}

func (f Finding) String() string {
	if f.File == "" {
		return f.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Row, f.Column, f.Message)
}

// Lint compiles modules and checks each type against the schema of the input,
// where a misspelt member is an error. It returns all there is to find; strict
// adds what OPA finds bad style, as in an unused import.
func Lint(modules map[string]*ast.Module, strict bool) []Finding {
	deciding := maps.Clone(modules)
	maps.DeleteFunc(deciding, func(_ string, m *ast.Module) bool { return m.Package.Path.HasPrefix(logPackage) })
	compiler := func() *ast.Compiler {
		return ast.NewCompiler().WithCapabilities(capabilities()).WithStrict(strict).SetErrorLimit(0)
	}
	c := compiler().WithSchemas(inputSchemas()).WithUseTypeCheckAnnotations(true)
	c.Compile(deciding)
	found, known := Findings(c.Errors), InputSchema().Properties
	for _, name := range slices.Sorted(maps.Keys(deciding)) {
		found = append(found, impossible(deciding[name], known)...)
	}
	if len(deciding) == len(modules) {
		return found
	}
	c = compiler() // what the log's rules call may stand in any of the modules
	c.Compile(modules)
	for _, f := range Findings(c.Errors) {
		if !slices.Contains(found, f) {
			found = append(found, f)
		}
	}
	return found
}

// logPackage has the rules that mask and drop decision logs. Their input is an
// event, in which the input of the decision is a member.
var logPackage = ast.MustParseRef("data.system.log")

// impossible finds comparisons of an input member with what it never is, as in
// input.phase == "respons".
func impossible(m *ast.Module, known map[string]*jsonschema.Schema) (found []Finding) {
	ast.WalkExprs(m, func(e *ast.Expr) bool {
		operands := e.Operands()
		if !compares[e.Operator().String()] || len(operands) != 2 {
			return false
		}
		for i, t := range operands {
			ref, ok := t.Value.(ast.Ref)
			if !ok || len(ref) != 2 || !ref.HasPrefix(ast.InputRootRef) {
				continue
			}
			name, _ := ref[1].Value.(ast.String)
			if s := known[string(name)]; s != nil && s.Enum != nil {
				found = append(found, among(ref, operands[1-i], s.Enum)...)
			}
		}
		return false
	})
	return found
}

var compares = map[string]bool{
	ast.Equality.Name: true, ast.Equal.Name: true, ast.NotEqual.Name: true, ast.Member.Name: true,
}

// among finds the strings of a term that are none of the values.
func among(ref ast.Ref, t *ast.Term, values []any) (found []Finding) {
	ast.WalkTerms(t, func(t *ast.Term) bool {
		s, ok := t.Value.(ast.String)
		if ok && !slices.Contains(values, any(string(s))) {
			found = append(found, Finding{
				File: t.Location.File, Row: t.Location.Row, Column: t.Location.Col, Code: ast.TypeErr,
				Message: fmt.Sprintf("%s is never %q; it is one of %v", ref, string(s), values),
			})
		}
		_, nested := t.Value.(ast.Ref)
		return ok || nested
	})
	return found
}

// Findings are the errors of OPA's parser or compiler, each said in one line.
func Findings(errs ast.Errors) []Finding {
	all := make([]Finding, 0, len(errs))
	for _, err := range errs {
		f := Finding{Code: err.Code, Message: describe(err)}
		if at := err.Location; at != nil {
			f.File, f.Row, f.Column = at.File, at.Row, at.Col
		}
		if !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	return all
}

// warnings are what is wrong with the types of modules that compile.
func warnings(modules map[string]*ast.Module) (all []string) {
	for _, f := range Lint(modules, false) {
		f.File = strings.TrimPrefix(f.File, "/") // the root of the bundle
		all = append(all, f.String())
	}
	return all
}

func (s *Snapshot) warn(log *slog.Logger) {
	for _, w := range s.warnings {
		log.Warn("policy asks for what no input has", "finding", w, "revision", s.Revision)
	}
}

// inputSchemas tells OPA's type checker of the input. It takes the JSON of the
// schema, not its text.
func inputSchemas() *ast.SchemaSet {
	var raw any
	text, err := json.Marshal(InputSchema())
	if err == nil {
		err = json.Unmarshal(text, &raw)
	}
	if err != nil {
		panic(err) // it is a constant
	}
	schemas := ast.NewSchemaSet()
	schemas.Put(ast.SchemaRootRef, raw)
	return schemas
}

func describe(err *ast.Error) string {
	switch d := err.Details.(type) {
	case *ast.RefErrInvalidDetail:
		if names := texted(d.OneOf); d.Have == nil && len(names) > 0 && d.Pos > 0 {
			return fmt.Sprintf("%s: %s has no member %s", d.Ref, d.Ref[:d.Pos], d.Ref[d.Pos].Value) + instead(d.Ref[d.Pos].Value, names)
		}
	case *ast.UnificationErrDetail, *ast.ArgErrDetail:
		lines := strings.Join(d.Lines(), ", ")
		return err.Message + ": " + strings.Join(strings.Fields(lines), " ")
	}
	return err.Message
}

// texted are those values that are strings.
func texted(values []ast.Value) (names []string) {
	for _, v := range values {
		if s, ok := v.(ast.String); ok {
			names = append(names, string(s))
		}
	}
	slices.Sort(names)
	return names
}

// instead names the member that was likely meant, or all of them.
func instead(have ast.Value, names []string) string {
	if s, ok := have.(ast.String); ok {
		near := slices.MinFunc(names, func(a, b string) int {
			return levenshtein.ComputeDistance(a, string(s)) - levenshtein.ComputeDistance(b, string(s))
		})
		if levenshtein.ComputeDistance(near, string(s)) < min(3, len(near)) {
			return fmt.Sprintf("; did you mean %q?", near)
		}
	}
	return "; it has " + strings.Join(names, ", ")
}
