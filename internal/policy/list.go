package policy

import (
	"context"
	"errors"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// Visible judges an item of a list: may this caller ever use it? The decision
// allows what stays in the list. The same rules serve list and call:
//
//  1. The item is judged as a call without arguments. What is allowed stays.
//  2. A denial that came about without a look at the arguments is the same
//     for any: the item goes.
//  3. Another may be about the arguments that are not there yet. So the policy
//     is evaluated partially, with the arguments unknown: if no arguments could
//     lead to an allow, the item goes; else, and where that tells nothing, it
//     stays.
//
// When in doubt the item stays, since the call will be judged too. Answers are
// remembered by all that the policy reads of the caller and item. fresh is
// false for an answer that was only remembered.
func (s *Snapshot) Visible(in *Input) (d Decision, fresh bool) {
	if in.shared == nil {
		in.Begin()
	}
	key := s.itemKey(in)
	if d, ok := s.visible.get(key); ok {
		return d, false
	}
	d, varied := s.judgeItem(in)
	if d.Err == nil && !varied && !s.reads.hidden {
		s.visible.put(key, d)
	}
	return d, true
}

// judgeItem reports also whether a built-in was asked whose answer changes, as the time
// does, so that the decision holds for now only.
func (s *Snapshot) judgeItem(in *Input) (d Decision, varied bool) {
	calls := s.varyingCalls()
	d = s.timed(in, func(in *Input) Decision { return s.ask(in.term(s.reads), 0, calls, nil) })
	none := errors.Is(d.Err, errUndefined) // as it may well be without arguments
	if d.Err != nil && !none {
		return d, s.reads.varies
	}
	mayPass := d.Allow || !none && d.Code != CodeDeny
	stays := mayPass
	if !d.Allow && s.reads.args {
		t := in.term(s.reads)
		if !mayPass {
			if _, looked := s.looks(s.query, t, readsArguments, time.Now().Add(s.timeout)); !looked {
				return d, false
			}
		}
		could, err := s.couldAllow(t, calls)
		if err != nil { // calls may still be in use
			d.Allow, d.Err = true, nil
			return d, s.reads.varies
		}
		stays = could != never
	}
	if stays {
		d.Allow, d.Err = true, nil
	}
	return d, len(calls) > 0
}

// Members of the input that a call has and a list item has not.
var unknowns = []*ast.Term{
	ast.MustParseTerm("input.tool.args"),
	ast.MustParseTerm("input.prompt.args"),
	ast.MustParseTerm("input.params"),
}

func (s *Snapshot) couldAllow(item *ast.Term, calls builtins.NDBCache) (truth, error) {
	return within(s.workers, 0, s.timeout, func(cancel topdown.Cancel) (truth, error) {
		bodies, support, err := s.newQuery(s.possible, item, cancel).
			WithUnknowns(unknowns).WithNondeterministicBuiltins(true).WithNDBuiltinCache(calls).PartialRun(context.Background())
		return newResidue(item, support).anyOf(bodies), err
	})
}
