package policy

import (
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// DecideDocument judges an input document that was written down: the same as
// Decide for an input that has that document, but never from memory.
func (s *Snapshot) DecideDocument(document mcp.Value) Decision {
	start := time.Now()
	input := valueTerm(document)
	d, err := s.ask(input, len(document.Text()))
	if err != nil {
		d = Decision{Err: explain(err)}
	}
	d.Eval = time.Since(start)
	return d
}

// ask evaluates the policy within its deadline. size is that of the input, in bytes.
func (s *Snapshot) ask(input *ast.Term, size int) (Decision, error) {
	return within(s.workers, size, s.timeout, func(cancel topdown.Cancel) (Decision, error) { return s.eval(input, cancel) })
}
