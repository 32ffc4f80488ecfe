package policy

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Unknown is a set of members of the input document that nobody knows any more:
// neither what they hold nor whether they are there. The zero value is empty.
type Unknown struct {
	all     bool
	members map[string]*Unknown
}

// Add adds the member at a path, as in "headers", "authorization", with all
// within it. An item of an array goes by its index.
func (u *Unknown) Add(path ...string) {
	for _, name := range path {
		if u.all {
			return
		}
		next := u.members[name]
		if next == nil {
			next = &Unknown{}
			if u.members == nil {
				u.members = map[string]*Unknown{}
			}
			u.members[name] = next
		}
		u = next
	}
	u.all, u.members = true, nil
}

// Empty reports whether everything is known.
func (u *Unknown) Empty() bool { return !u.all && len(u.members) == 0 }

// Below is the part of the set within a member of the document.
func (u *Unknown) Below(name string) *Unknown {
	if u.all {
		return u
	}
	if below := u.members[name]; below != nil {
		return below
	}
	return &Unknown{}
}

// at names a member of the set that a reference leads to, into or past, or is
// empty if there is none. plug gives the value of a variable, or the variable.
func (u *Unknown) at(ref ast.Ref, plug func(*ast.Term) *ast.Term) (name string, found bool) {
	if u.all {
		return "", true
	}
	if len(ref) > 0 {
		key := ref[0]
		if !key.IsGround() {
			key = plug(key)
		}
		switch k := key.Value.(type) {
		case ast.String:
			return u.in(string(k), ref[1:], plug)
		case ast.Number:
			return u.in(string(k), ref[1:], plug)
		}
		if key.IsGround() {
			return "", false // no member of a JSON value goes by it
		}
		ref = ref[1:]
	}
	for _, member := range slices.Sorted(maps.Keys(u.members)) {
		if name, found = u.in(member, ref, plug); found {
			return name, true
		}
	}
	return "", false
}

func (u *Unknown) in(member string, ref ast.Ref, plug func(*ast.Term) *ast.Term) (string, bool) {
	below := u.members[member]
	if below == nil {
		return "", false
	}
	name, found := below.at(ref, plug)
	if name != "" {
		name = "." + name
	}
	return member + name, found
}

// of is the first thing unknown among what is read, or empty.
func (r *reads) of(u *Unknown, plug func(*ast.Term) *ast.Term) string {
	for _, ref := range r.refs {
		if name, found := u.at(ref, plug); found {
			return name
		}
	}
	return r.chance
}

func unplugged(t *ast.Term) *ast.Term { return t }

// What a decision may depend on beside the input.
const (
	readsFailure = "an evaluation error"
	readsTime    = "the time"
)

// DecideKnown judges, as of a moment, an input that is known in part: the same
// as Decide, or for an item of a list as Visible, would have for any input that
// differs in the unknown members only. If there is no such decision, since the
// evaluation got to something unknown, missing names that.
//
// What no rule mentions cannot be read. For the rest the evaluation is watched:
// a member that it did not get to might have been anything.
func (s *Snapshot) DecideKnown(in *Input, unknown *Unknown, moment time.Time) (d Decision, missing string) {
	if in.shared == nil {
		in.Begin()
	}
	missing = s.reads.of(unknown, unplugged)
	switch {
	case missing == "" && !s.reads.varies && in.Phase == List:
		d, _ = s.Visible(in)
		return d, ""
	case missing == "" && !s.reads.varies:
		return s.Decide(in), ""
	}
	start := time.Now()
	in = s.examined(in)
	d, read := s.decideWatched(in, unknown, moment, false)
	d.Eval = time.Since(start)
	if in.Phase != List || read != "" || d.Allow || d.Err != nil && !errors.Is(d.Err, errUndefined) {
		return d, read
	}
	// A denial may have come about for want of arguments, which Visible finds out
	// in ways that cannot be watched.
	if d.Err == nil && d.Code == CodeDeny {
		if !s.reads.args {
			return d, ""
		}
		if _, looked := s.decideWatched(in, unknown, moment, true); looked == "" {
			return d, ""
		}
	}
	if missing == "" {
		missing = readsTime
	}
	return Decision{}, missing
}

// decideWatched evaluates and watches for the unknown, and for the arguments if
// these are to count as that.
func (s *Snapshot) decideWatched(in *Input, unknown *Unknown, moment time.Time, args bool) (d Decision, missing string) {
	seen := make(chan string, 1)
	input := in.term(s.reads)
	found, looked, err := s.watch(s.query, input, func(r *reads, e *topdown.Event) bool {
		name := r.of(unknown, e.Plug)
		if name == "" && args && r.args {
			name = "tool.args"
		}
		if name != "" {
			seen <- name
		}
		return name != ""
	}, s.timeout, moment)
	switch {
	case looked:
		return Decision{}, <-seen
	case err != nil:
		// Another order of evaluation might have got round it.
		return Decision{}, readsFailure
	case len(found) != 1:
		return Decision{Err: errUndefined}, ""
	}
	if d, err = s.parse(found[0][answer], input); err != nil {
		d = Decision{Err: err}
	}
	return d, ""
}

// Document is the input as JSON, with all its members.
func (in *Input) Document() (any, error) {
	if in.shared == nil {
		in.Begin()
	}
	return ast.JSON(in.term(&reads{all: true}).Value)
}

// ReadsTime reports whether decisions may depend on the time.
func (s *Snapshot) ReadsTime() bool { return s.reads.varies }
