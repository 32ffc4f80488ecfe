package policy

import (
	"math"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Rules that collect denials in a set are asked in the end how many there are:
// count(deny) == 0, deny == set(). A set has at least as many members as it has
// rules of different keys that always apply, and at most as many as it has
// rules that may.

// A span is what is known of a number: it is within low and high.
type span struct{ low, high int }

// comparison is the truth of an expression that compares the size of a set with
// a number, and unclear for any other. OPA writes it in many ways: count(s, 0),
// lt(count(s), 1), equal(count(s), 0, true), s = set().
func (r *residue) comparison(e *ast.Expr) truth {
	args := e.Operands()
	if len(args) == 3 && args[2].Equal(ast.InternedTerm(true)) {
		args = args[:2]
	}
	if len(args) != 2 {
		return unclear
	}
	a, b, op := args[0], args[1], e.Operator().String()
	if isEmptySet(a) {
		a, b = b, a
	}
	var x, y span
	var ok1, ok2 bool
	switch {
	case op == ast.Count.Name:
		op = ast.Equality.Name
		x, ok1 = r.size(a)
		y, ok2 = r.span(b)
	case isEmptySet(b) && (op == ast.Equality.Name || op == ast.Equal.Name || op == ast.NotEqual.Name):
		x, ok1 = r.size(a)
		ok2 = true
	default:
		x, ok1 = r.span(a)
		y, ok2 = r.span(b)
	}
	if !ok1 || !ok2 {
		return unclear
	}
	return compare(x, op, y)
}

func isEmptySet(t *ast.Term) bool {
	s, ok := t.Value.(ast.Set)
	return ok && s.Len() == 0
}

// span is what is known of a term that is a number or the count of a set.
func (r *residue) span(t *ast.Term) (span, bool) {
	switch v := t.Value.(type) {
	case ast.Number:
		n, ok := v.Int()
		return span{n, n}, ok
	case ast.Call:
		if len(v) == 2 && v[0].Value.String() == ast.Count.Name {
			return r.size(v[1])
		}
	}
	return span{}, false
}

// size is what is known of the size of a set that support rules make up.
func (r *residue) size(t *ast.Term) (span, bool) {
	if !isData(t) {
		return span{}, false
	}
	rules, ok := r.rules[t.Value.String()]
	if r.steps++; !ok || r.steps > maxSteps {
		return span{}, false
	}
	size, sure := span{}, map[string]bool{} // the keys of rules that always apply
	for _, rule := range rules {
		if rule.Head.RuleKind() != ast.MultiValue || !rule.Head.Ref().IsGround() {
			return span{}, false
		}
		applies := r.ruleBody(rule)
		if applies == never {
			continue
		}
		key := rule.Head.Key
		ground := key.IsGround() && !isRef(key)
		if ground {
			size.high++
		} else {
			size.high = math.MaxInt32
		}
		if applies == always {
			size.low = 1
			if ground {
				sure[key.String()] = true
			}
		}
	}
	size.low, size.high = max(size.low, len(sure)), min(size.high, math.MaxInt32)
	return size, true
}

func compare(x span, op string, y span) truth {
	same := x.low == y.high && x.high == y.low
	apart := x.high < y.low || y.high < x.low
	switch op {
	case ast.Equality.Name, ast.Equal.Name:
		return between(same, apart)
	case ast.NotEqual.Name:
		return between(apart, same)
	case ast.LessThan.Name:
		return between(x.high < y.low, x.low >= y.high)
	case ast.LessThanEq.Name:
		return between(x.high <= y.low, x.low > y.high)
	case ast.GreaterThan.Name:
		return between(x.low > y.high, x.high <= y.low)
	case ast.GreaterThanEq.Name:
		return between(x.low >= y.high, x.high < y.low)
	}
	return unclear
}

func between(yes, no bool) truth {
	switch {
	case yes:
		return always
	case no:
		return never
	}
	return maybe
}
