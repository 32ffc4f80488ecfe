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
	d := s.ask(valueTerm(document), len(document.Text()), nil, nil)
	d.Eval = time.Since(start)
	return d
}

// ask evaluates the policy within its deadline. size is that of the input, in
// bytes; calls and rules may be nil.
func (s *Snapshot) ask(input *ast.Term, size int, calls builtins.NDBCache, rules topdown.VirtualCache) Decision {
	d, err := within(s.workers, size, s.timeout, func(cancel topdown.Cancel) (Decision, error) {
		return s.answerOf(s.newQuery(s.query, input, cancel).WithNDBuiltinCache(calls).WithVirtualCache(rules), input)
	})
	if err != nil {
		return Decision{Err: explain(err)}
	}
	return d
}
