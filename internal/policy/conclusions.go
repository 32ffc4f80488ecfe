package policy

import (
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
)

// conclusions are what rules come to by the facts of an input alone, by the last
// part of their names. They never change.
type conclusions map[ast.String]conclusion

type conclusion struct {
	rule  ast.Ref
	value *ast.Term // nil: undefined
}

func (all conclusions) of(rule ast.Ref) (conclusion, bool) {
	name, _ := rule[len(rule)-1].Value.(ast.String)
	c, ok := all[name]
	return c, ok && c.rule.Equal(rule)
}

// maxConclusions bounds the values that are remembered of the same facts, in bytes.
const maxConclusions = 4 << 10

// conclude finds what may be remembered of the rules that an evaluation has
// asked. Each is evaluated once more, of the facts and watched like a decision:
// a rule that never looks at the message comes to the same for all of them.
func (s *Snapshot) conclude(in *Input, asked *cache, until time.Time) conclusions {
	all, left := conclusions{}, maxConclusions
	facts := in.facts().term(s.reads)
	for _, rule := range s.rules {
		value, undefined := asked.Get(rule)
		if value == nil && !undefined {
			continue
		}
		rest := pay(left, value)
		if rest < 0 {
			continue
		}
		found, looked := s.looks(queryOf(rule), facts, readsMessage, until)
		if looked || undefined != (len(found) == 0) || !undefined && !found[0][answer].Equal(value) {
			continue
		}
		all[rule[len(rule)-1].Value.(ast.String)] = conclusion{rule, value}
		left = rest
	}
	return all
}

// queryOf asks for the value of a rule.
func queryOf(rule ast.Ref) ast.Body {
	return ast.NewBody(ast.Equality.Expr(ast.NewTerm(answer), ast.NewTerm(rule)))
}

// pay is what is left of so many bytes when a value is kept, or negative if
// they are too few.
func pay(left int, value *ast.Term) int {
	const size = 32 // of a term, about
	if left -= size; value == nil {
		return left
	}
	each := func(t *ast.Term) bool {
		left = pay(left, t)
		return left < 0
	}
	switch v := value.Value.(type) {
	case ast.String:
		left -= len(v)
	case *ast.Array:
		v.Until(each)
	case ast.Set:
		if v.Len() > left/size { // to go through it is to sort it
			return -1
		}
		v.Until(each)
	case ast.Object:
		if v.Len() > left/size {
			return -1
		}
		v.Until(func(k, t *ast.Term) bool { return each(k) || each(t) })
	}
	return left
}

// rulesOf are the rules of simple names, without the functions and the one that
// decides.
func rulesOf(c *ast.Compiler, decides ast.Ref) (all []ast.Ref) {
	for _, m := range c.Modules {
		for _, rule := range m.Rules {
			name := rule.Ref()
			if len(rule.Head.Ref()) == 1 && len(rule.Head.Args) == 0 && !name.Equal(decides) {
				all = append(all, name)
			}
		}
	}
	slices.SortFunc(all, func(a, b ast.Ref) int { return a.Compare(b) })
	return slices.CompactFunc(all, func(a, b ast.Ref) bool { return a.Equal(b) })
}
