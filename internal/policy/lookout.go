package policy

import (
	"context"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// looks reports whether the decision about an input may depend on something:
// whether an expression was evaluated that reads it, or the evaluation failed.
//
// An evaluation is a chain of expressions, and each is either fixed by what was
// evaluated before or reads the input itself. So one that never looked goes the
// same way, to the same decision, for all inputs that differ only in what it
// did not look at. Nothing may look unseen for that: the rule index reads the
// input on its own, so every rule is evaluated; and early exit would leave out
// rules that the index, for another input, puts first.
func (s *Snapshot) looks(input *ast.Term, at func(*reads) bool) bool {
	looked, err := within(s.workers, s.timeout, func(cancel topdown.Cancel) (bool, error) {
		w := &lookout{at: at}
		_, err := s.newQuery(s.query, input, cancel).
			WithIndexing(false).WithEarlyExit(false).WithQueryTracer(w).Run(context.Background())
		return w.looked, err
	})
	return looked || err != nil
}

// A lookout is a tracer that looks for expressions that read something. The
// compiler has moved what a rule's head reads into its body.
type lookout struct {
	at     func(*reads) bool
	looked bool
}

// Enabled is part of topdown.QueryTracer.
func (*lookout) Enabled() bool { return true }

// Config is part of topdown.QueryTracer.
func (*lookout) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// TraceEvent is part of topdown.QueryTracer.
func (w *lookout) TraceEvent(e topdown.Event) {
	if expr, ok := e.Node.(*ast.Expr); ok && e.Op == topdown.EvalOp && !w.looked {
		w.looked = w.at(readsIn(expr))
	}
}

func readsArguments(r *reads) bool { return r.args }

func readsMessage(r *reads) bool { return r.message() }
