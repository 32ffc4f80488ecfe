package policy

import (
	"github.com/open-policy-agent/opa/v1/ast"
)

// truth is what partial evaluation tells of a condition on unknown arguments.
type truth int

const (
	unclear truth = iota // it tells nothing
	never                // no arguments make it true
	maybe                // some arguments do, as far as one can see
	always               // it is true whatever the arguments
)

// A residue is what partial evaluation left: conditions that still depend on
// the unknown arguments, and support rules that these conditions refer to.
type residue struct {
	input *ast.Term              // what is known
	rules map[string][]*ast.Rule // by the full reference of the rule
	steps int
}

// maxSteps bounds how many references to rules are followed.
const maxSteps = 4096

func newResidue(input *ast.Term, support []*ast.Module) *residue {
	r := &residue{input: input, rules: map[string][]*ast.Rule{}}
	for _, m := range support {
		for _, rule := range m.Rules {
			ref := m.Package.Path.Extend(rule.Head.Ref().GroundPrefix()).String()
			r.rules[ref] = append(r.rules[ref], rule)
		}
	}
	return r
}

// anyOf is the truth of a disjunction.
func (r *residue) anyOf(bodies []ast.Body) truth {
	best := never
	for _, body := range bodies {
		best = or(best, r.allOf(body))
	}
	return best
}

func or(a, b truth) truth {
	switch {
	case a == always || b == always:
		return always
	case a == maybe || b == maybe:
		return maybe
	case a == unclear || b == unclear:
		return unclear
	}
	return never
}

// allOf is the truth of a conjunction.
func (r *residue) allOf(body ast.Body) truth {
	all := always
	for _, expr := range body {
		switch t := r.expr(expr); {
		case t == never:
			return never
		case t == unclear || all == unclear:
			all = unclear
		case t == maybe:
			all = maybe
		}
	}
	return all
}

func (r *residue) expr(e *ast.Expr) truth {
	if e.Negated {
		positive := e.Copy()
		positive.Negated = false
		switch t := r.expr(positive); t {
		case always:
			return never
		case never:
			return always
		default:
			return t
		}
	}
	if len(e.With) > 0 {
		return unclear
	}
	if term, ok := e.Terms.(*ast.Term); ok {
		return r.term(term, nil)
	}
	if t := r.comparison(e); t != unclear {
		return t
	}
	if e.IsEquality() {
		a, b := e.Operand(0), e.Operand(1)
		if !isRef(a) {
			a, b = b, a
		}
		if v := r.known(a); v != nil && b.IsGround() && !isRef(b) {
			return truthOf(v.Compare(b.Value) == 0)
		}
		if isData(a) && !mentionsData(b) {
			return r.term(a, b)
		}
	}
	if mentionsData(e) {
		return unclear
	}
	return maybe
}

func truthOf(b bool) truth {
	if b {
		return always
	}
	return never
}

// known is the value of a reference into the input that is not about the
// arguments, or nil.
func (r *residue) known(t *ast.Term) ast.Value {
	ref, ok := t.Value.(ast.Ref)
	if !ok || !ref.IsGround() || !ref.HasPrefix(ast.InputRootRef) || readsIn(ast.NewExpr(t)).args {
		return nil
	}
	v, err := r.input.Value.Find(ref[1:])
	if err != nil {
		return nil
	}
	return v
}

// term is the truth of a term being equal to a value, or with no value being
// anything but false. A variable equals anything; a support rule is as true as
// its bodies.
func (r *residue) term(t, value *ast.Term) truth {
	if !isData(t) {
		if _, ok := t.Value.(ast.Boolean); ok {
			return truthOf(satisfies(t, value))
		}
		return maybe
	}
	rules, ok := r.rules[t.Value.String()]
	if r.steps++; !ok || r.steps > maxSteps {
		return unclear
	}
	best := never
	for _, rule := range rules {
		if rule.Else != nil || rule.Head.Key != nil || len(rule.Head.Args) > 0 || !rule.Head.Ref().IsGround() {
			return unclear
		}
		if satisfies(rule.Head.Value, value) {
			best = or(best, r.ruleBody(rule))
		}
	}
	return best
}

// ruleBody leaves open whether a default applies: it does unless another does.
func (r *residue) ruleBody(rule *ast.Rule) truth {
	if rule.Default {
		return maybe
	}
	return r.allOf(rule.Body)
}

// satisfies reports whether a rule with that value can satisfy the other side.
func satisfies(head, value *ast.Term) bool {
	switch {
	case head == nil || !head.IsGround() || isRef(head):
		return true
	case value == nil:
		return !head.Equal(ast.InternedTerm(false))
	}
	return !value.IsGround() || isRef(value) || head.Equal(value)
}

func isRef(t *ast.Term) bool {
	_, ok := t.Value.(ast.Ref)
	return ok
}

func isData(t *ast.Term) bool {
	ref, ok := t.Value.(ast.Ref)
	return ok && ref.HasPrefix(ast.DefaultRootRef)
}

func mentionsData(x any) bool {
	found := false
	ast.WalkRefs(x, func(ref ast.Ref) bool {
		found = found || ref.HasPrefix(ast.DefaultRootRef)
		return found
	})
	return found
}
