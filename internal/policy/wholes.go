package policy

import (
	"maps"

	"github.com/open-policy-agent/opa/v1/ast"
)

// wholes are the places of the data that rules read as a whole: to walk it, to
// hand it on, or to find a name in it that is not known before. A part of a
// place that is nil may be any name.
type wholes [][]ast.Value

// wholesOf walks every rule. It errs on the side of the whole.
func wholesOf(c *ast.Compiler) wholes {
	var all wholes
	for _, name := range ownData {
		all = append(all, []ast.Value{ast.String(name)})
	}
	for _, m := range c.Modules {
		for _, rule := range m.Rules {
			for ; rule != nil; rule = rule.Else {
				bound := ast.VarSet{}
				for _, arg := range rule.Head.Args {
					bound.Update(arg.Vars())
				}
				all.body(rule.Body, bound)
				all.walk(rule.Head, bound)
			}
		}
	}
	return all
}

// include reports whether something is read whole of which the place is part.
func (all wholes) include(place []string) bool {
	for _, whole := range all {
		if len(whole) <= len(place) && matches(whole, place) {
			return true
		}
	}
	return false
}

func matches(whole []ast.Value, place []string) bool {
	for i, name := range whole {
		if name != nil && name != ast.Value(ast.String(place[i])) {
			return false
		}
	}
	return true
}

// body adds what the expressions read, which are evaluated in their order: each
// binds its variables for those that follow.
func (all *wholes) body(body ast.Body, bound ast.VarSet) {
	for _, e := range body {
		all.walk(e, bound)
		vars := ast.NewVarVisitor().WithParams(ast.VarVisitorParams{SkipClosures: true})
		vars.Walk(e)
		bound.Update(vars.Vars())
	}
}

func (all *wholes) walk(x any, bound ast.VarSet) {
	var visitor *ast.GenericVisitor
	visitor = ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case ast.Body:
			all.body(x, maps.Clone(bound))
			return true
		case *ast.Every:
			visitor.Walk(x.Domain)
			inner := maps.Clone(bound)
			inner.Update(x.KeyValueVars())
			all.body(x.Body, inner)
			return true
		case ast.Ref:
			if x.HasPrefix(ast.DefaultRootRef) {
				*all = append(*all, readBy(x[1:], bound))
			}
			for _, t := range x[1:] {
				visitor.Walk(t)
			}
			return true
		case ast.Var:
			if x.Equal(ast.DefaultRootDocument.Value) {
				*all = append(*all, nil)
			}
		}
		return false
	})
	visitor.Walk(x)
}

// readBy is the place that a reference reads whole.
func readBy(ref ast.Ref, bound ast.VarSet) []ast.Value {
	place := make([]ast.Value, len(ref))
	for i, t := range ref {
		switch v := t.Value.(type) {
		case ast.String:
			place[i] = v
		case ast.Number, ast.Boolean:
		case ast.Var:
			if !bound.Contains(v) {
				return place[:i]
			}
		default:
			return place[:i]
		}
	}
	return place
}
