package policy

import (
	"context"
	"errors"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// logTimeout bounds what a bundle says of one event. Nobody waits for it.
const logTimeout = time.Second

// LogRules are what a bundle says of the events of decision logs, in the rules
// that OPA asks for: data.system.log.mask and data.system.log.drop.
type LogRules struct {
	s    *Snapshot
	qc   ast.QueryCompiler
	body ast.Body
}

const (
	maskVar = ast.Var("mask")
	dropVar = ast.Var("drop")
)

// LogRules prepares the bundle's rules, and returns nil if it has none. A rule
// that is not there says nothing.
func (s *Snapshot) LogRules() (*LogRules, error) {
	r := &LogRules{s: s, qc: s.compiler.QueryCompiler()}
	log := ast.DefaultRootRef.Append(ast.StringTerm("system")).Append(ast.StringTerm("log"))
	_, err := s.store.Read(context.Background(), s.txn, storage.Path{"system", "log"})
	if storage.IsNotFound(err) && len(s.compiler.GetRulesWithPrefix(log)) == 0 {
		return nil, nil
	}
	all := func(v ast.Var, name string) *ast.Expr { // {x | x := data.system.log.name} has a value even if that has none
		x := ast.VarTerm("x")
		return ast.Equality.Expr(ast.NewTerm(v), ast.ArrayComprehensionTerm(x,
			ast.NewBody(ast.Equality.Expr(x, ast.NewTerm(log.Append(ast.StringTerm(name)))))))
	}
	r.body, err = r.qc.Compile(ast.NewBody(all(maskVar, "mask"), all(dropVar, "drop")))
	return r, err
}

// Ask asks the rules about an event. mask is nil or what the rule has for a
// value, in Go's types for JSON with json.Number.
func (r *LogRules) Ask(event mcp.Value) (mask any, drop bool, err error) {
	input := valueTerm(event)
	found, err := within(r.s.workers, 0, logTimeout, func(cancel topdown.Cancel) (topdown.QueryResultSet, error) {
		return r.s.newQuery(r.body, input, cancel).WithQueryCompiler(r.qc).Run(context.Background())
	})
	if err != nil {
		return nil, false, explain(err)
	}
	if len(found) != 1 {
		return nil, false, errors.New("the log rules have no single answer")
	}
	if rules, ok := found[0][maskVar].Value.(*ast.Array); ok && rules.Len() > 0 {
		if mask, err = ast.JSON(rules.Elem(0).Value); err != nil {
			return nil, false, errors.New("the mask is not JSON")
		}
	}
	drops, ok := found[0][dropVar].Value.(*ast.Array)
	return mask, ok && drops.Len() > 0 && drops.Elem(0).Equal(ast.InternedTerm(true)), nil
}
