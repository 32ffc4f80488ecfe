package policy

import (
	"github.com/open-policy-agent/opa/v1/ast"
)

// reads says what of the input a policy can look at, found in its compiled
// rules. What it never reads need not be built.
type reads struct {
	all     bool // the input as a whole, or a member whose name is computed
	members map[string]bool
	args    bool      // the arguments or params of a request
	varies  bool      // a built-in whose answer changes: the time, a random number
	hidden  bool      // one of those that OPA does not know for such
	chance  string    // a built-in whose answer is not the same even at the same time
	refs    []ast.Ref // into the input, without its name; an empty one is all of it
}

func (r *reads) member(name string) bool { return r.all || r.members[name] }

// message reports whether anything is read that may differ between messages of
// the same facts.
func (r *reads) message() bool {
	if r.all || r.args || r.varies {
		return true
	}
	for name := range r.members {
		if !factMembers[name] {
			return true
		}
	}
	return false
}

// readsClock holds the built-ins that look at the time unasked, which OPA does
// not count among those whose answer changes.
var readsClock = map[string]bool{
	"io.jwt.decode_verify":                                   true,
	"crypto.x509.parse_and_verify_certificates":              true,
	"crypto.x509.parse_and_verify_certificates_with_options": true,
}

// readsOf walks every rule of every module.
func readsOf(c *ast.Compiler) *reads {
	r := &reads{members: map[string]bool{}}
	for _, m := range c.Modules {
		r.walk(m)
	}
	return r
}

// readsIn is what one expression reads.
func readsIn(e *ast.Expr) *reads {
	r := &reads{members: map[string]bool{}}
	r.walk(e)
	return r
}

func (r *reads) walk(x any) {
	var visitor *ast.GenericVisitor
	visitor = ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case ast.Ref:
			r.ref(x)
			for _, t := range x[1:] {
				visitor.Walk(t)
			}
			return true
		case ast.Var:
			if x == ast.InputRootDocument.Value.(ast.Var) {
				r.all, r.args = true, true
				r.refs = append(r.refs, nil)
			}
		}
		return false
	})
	visitor.Walk(x)
}

func (r *reads) ref(ref ast.Ref) {
	if b, ok := ast.BuiltinMap[ref.String()]; ok && (b.Nondeterministic || readsClock[b.Name]) {
		r.varies = true
		r.hidden = r.hidden || readsClock[b.Name]
		if b.Name != ast.NowNanos.Name {
			r.chance = b.Name
		}
	}
	if !ref.HasPrefix(ast.InputRootRef) {
		return
	}
	r.refs = append(r.refs, ref[1:])
	if len(ref) == 1 {
		r.all, r.args = true, true
		return
	}
	member, ok := ref[1].Value.(ast.String)
	if !ok {
		r.all, r.args = true, true
		return
	}
	r.members[string(member)] = true
	switch member {
	case "params":
		r.args = true
	case "tool", "prompt":
		if len(ref) == 2 {
			r.args = true
		} else if part, ok := ref[2].Value.(ast.String); !ok || part == "args" {
			r.args = true
		}
	}
}
