package policy

import (
	"context"
	"errors"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// looks reports whether what a query comes to may depend on something: whether
// an expression was evaluated that reads it, or the evaluation failed or took
// too long. If not, found is what it came to.
//
// An evaluation is a chain of expressions, and each is either fixed by what was
// evaluated before or reads the input itself. So one that never looked goes the
// same way, to the same end, for all inputs that differ only in what it did not
// look at. Nothing may look unseen for that: the rule index reads the input on
// its own, so every rule is evaluated; and early exit would leave out rules
// that the index, for another input, puts first.
func (s *Snapshot) looks(query ast.Body, input *ast.Term, at func(*reads) bool, until time.Time) (found topdown.QueryResultSet, looked bool) {
	left := time.Until(until)
	if left <= 0 {
		return nil, true
	}
	found, looked, err := s.watch(query, input, func(r *reads, _ *topdown.Event) bool { return at(r) }, left, time.Now())
	return found, looked || err != nil
}

// watch evaluates as looks says, for at most a time, as of a moment.
func (s *Snapshot) watch(query ast.Body, input *ast.Term, at glance, most time.Duration, moment time.Time) (topdown.QueryResultSet, bool, error) {
	w := &lookout{at: at, known: s.exprs}
	found, err := within(s.workers, 0, most, func(cancel topdown.Cancel) (topdown.QueryResultSet, error) {
		w.cancel = cancel
		found, err := s.newQuery(query, input, cancel).WithTime(moment).
			WithIndexing(false).WithEarlyExit(false).WithQueryTracer(w).Run(context.Background())
		if w.looked {
			err = errLooked
		}
		return found, err
	})
	if errors.Is(err, errLooked) {
		return nil, true, nil
	}
	return found, false, err
}

var errLooked = errors.New("it looked")

// A glance says whether an expression, about to be evaluated, reads what is watched.
type glance func(r *reads, e *topdown.Event) bool

// A lookout is a tracer that looks for expressions that read something. The
// compiler has moved what a rule's head reads into its body.
type lookout struct {
	at     glance
	known  map[*ast.Expr]*reads
	cancel topdown.Cancel // once it has looked, the rest is of no interest
	looked bool
}

// Enabled is part of topdown.QueryTracer.
func (*lookout) Enabled() bool { return true }

// Config is part of topdown.QueryTracer.
func (*lookout) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// TraceEvent is part of topdown.QueryTracer.
func (w *lookout) TraceEvent(e topdown.Event) {
	expr, ok := e.Node.(*ast.Expr)
	if !ok || e.Op != topdown.EvalOp || w.looked {
		return
	}
	r := w.known[expr]
	if r == nil { // made up in the evaluation
		r = readsIn(expr)
	}
	if w.looked = w.at(r, &e); w.looked {
		w.cancel.Cancel()
	}
}

// exprsOf is what each expression of a policy reads.
func exprsOf(c *ast.Compiler) map[*ast.Expr]*reads {
	exprs := map[*ast.Expr]*reads{}
	for _, m := range c.Modules {
		ast.WalkExprs(m, func(e *ast.Expr) bool {
			exprs[e] = readsIn(e)
			return false
		})
	}
	return exprs
}

// readsArguments counts what varies in: at another time it may lead to them.
func readsArguments(r *reads) bool { return r.args || r.varies }

func readsMessage(r *reads) bool { return r.message() }
