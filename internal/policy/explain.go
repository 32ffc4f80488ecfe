package policy

import (
	"encoding/json"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// Explain judges as DecideDocument does, and shows the tracer each step on the
// way: of every rule, also those that OPA's index would leave out. What the
// tracer has been shown is whole only if there was no timeout.
func (s *Snapshot) Explain(document mcp.Value, tracer topdown.QueryTracer) Decision {
	input := valueTerm(document)
	d, err := within(s.workers, 0, s.timeout, func(cancel topdown.Cancel) (Decision, error) {
		return s.answerOf(s.newQuery(s.query, input, cancel).WithIndexing(false).WithEarlyExit(false).WithQueryTracer(tracer), input)
	})
	if err != nil {
		return Decision{Err: explain(err)}
	}
	return d
}

// Document is the whole document that an input is to this policy.
func (s *Snapshot) Document(in *Input) (mcp.Value, error) {
	native, err := ast.JSON(s.examined(in).term(&reads{all: true}).Value)
	if err != nil {
		return mcp.Value{}, err
	}
	text, err := json.Marshal(native)
	if err != nil {
		return mcp.Value{}, err
	}
	return mcp.ParseValue(string(text))
}
