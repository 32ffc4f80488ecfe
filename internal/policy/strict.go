package policy

import (
	"github.com/open-policy-agent/opa/v1/ast"
)

// OPA's rule index answers some calls by itself: a rule whose startswith is
// given an array is left out before the built-in could fail. A deny rule would
// so be turned off by a value of an unexpected type, without the error that
// strict evaluation is to raise. The index passes over calls whose result is
// captured, so unindexed captures it: startswith(a, b) becomes
// startswith(a, b, true), which means the same.
var unindexed = ast.CompilerStageDefinition{
	Name:       "GatehouseUnindexedCalls",
	MetricName: "gatehouse_unindexed_calls",
	Stage: func(c *ast.Compiler) *ast.Error {
		for _, m := range c.Modules {
			ast.WalkExprs(m, func(e *ast.Expr) bool {
				if b := ast.BuiltinMap[e.Operator().String()]; b != nil && indexed[b.Name] && len(e.Operands()) == len(b.Decl.FuncArgs().Args) {
					e.Terms = append(e.Terms.([]*ast.Term), ast.InternedTerm(true))
				}
				return false
			})
		}
		return nil
	},
}

// indexed are the calls that the rule index answers and that can fail.
var indexed = map[string]bool{
	ast.StartsWith.Name: true, ast.EndsWith.Name: true, ast.GlobMatch.Name: true,
	ast.AnyPrefixMatch.Name: true, ast.AnySuffixMatch.Name: true,
}
