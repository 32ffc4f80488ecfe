package policy

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A cache holds what one evaluation has found of rules and calls, as a
// topdown.VirtualCache, and has the conclusions from the start. OPA's own makes
// a map for each part of a name and each argument.
type cache struct {
	known  conclusions
	frames []map[int]*found // by digest; each with has a frame of its own
}

type found struct {
	ref   ast.Ref
	value *ast.Term // nil: undefined
	next  *found    // of the same digest
}

func newCache(known conclusions) *cache {
	return &cache{known, []map[int]*found{{}}}
}

func (c *cache) top() map[int]*found { return c.frames[len(c.frames)-1] }

// Push is part of topdown.VirtualCache.
func (c *cache) Push() { c.frames = append(c.frames, map[int]*found{}) }

// Pop is part of topdown.VirtualCache.
func (c *cache) Pop() { c.frames = c.frames[:len(c.frames)-1] }

// Put is part of topdown.VirtualCache.
func (c *cache) Put(ref ast.Ref, value *ast.Term) {
	digest := ref.Hash()
	c.top()[digest] = &found{slices.Clone(ref), value, c.top()[digest]} // OPA uses the slice again
}

// Get is part of topdown.VirtualCache. What a rule comes to by the facts may be
// something else where a with is in force.
func (c *cache) Get(ref ast.Ref) (value *ast.Term, undefined bool) {
	if len(c.frames) == 1 {
		if k, ok := c.known.of(ref); ok {
			return k.value, k.value == nil
		}
	}
	for f := c.top()[ref.Hash()]; f != nil; f = f.next {
		if f.ref.Equal(ref) {
			return f.value, f.value == nil
		}
	}
	return nil, false
}

// Keys is part of topdown.VirtualCache.
func (c *cache) Keys() (all []ast.Ref) {
	for _, f := range c.top() {
		for ; f != nil; f = f.next {
			if f.value != nil {
				all = append(all, f.ref)
			}
		}
	}
	return all
}
