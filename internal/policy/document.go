package policy

import (
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// DecideDocument judges an input document that was written down: the same as
// Decide for an input that has that document, but never from memory.
func (s *Snapshot) DecideDocument(document mcp.Value) Decision {
	start := time.Now()
	d := s.ask(valueTerm(document), nil)
	d.Eval = time.Since(start)
	return d
}

// ask evaluates the policy within its deadline.
func (s *Snapshot) ask(input *ast.Term, calls builtins.NDBCache) Decision {
	d, err := within(s.workers, s.timeout, func(cancel topdown.Cancel) (Decision, error) { return s.eval(input, calls, cancel) })
	if err != nil {
		return Decision{Err: explain(err)}
	}
	return d
}
