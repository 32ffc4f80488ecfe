package policy

import (
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/open-policy-agent/opa/v1/ast"
)

// An opened is an object under way.
type opened struct {
	*decoder
	start int        // of its members
	large ast.Object // nil while it has few
	table *table     // nil unless it is one
}

// few is how many names are compared with each other.
const few = 8

// member reads the value of a member.
func (o *opened) member(name *ast.Term) error {
	if o.table != nil {
		if read, err := o.row(name); read || err != nil {
			return err
		}
	}
	member, err := o.value()
	if err != nil {
		return err
	}
	return o.add(name, member)
}

// add adds a member.
func (o *opened) add(name, member *ast.Term) error {
	if o.large == nil {
		o.members = append(o.members, [2]*ast.Term{name, member})
		if len(o.members)-o.start == few {
			return o.grow()
		}
		return nil
	}
	count := o.large.Len()
	if o.large.Insert(name, member); o.large.Len() == count {
		return jsontext.ErrDuplicateName
	}
	place := o.place[:len(o.place)-1]
	if count == minMembers && o.arrays == 0 && o.keep != nil && o.keep(place) {
		o.table = &table{place: slices.Clone(place), terms: o.large, text: o.text, seed: o.seed, rows: map[uint64]row{}}
		o.tables = append(o.tables, *o.table)
	}
	return nil
}

// row reads the value of a member of a table if it is an object or an array. Most
// are kept as they are written, and no terms are made of them.
func (o *opened) row(name *ast.Term) (bool, error) {
	key := string(name.Value.(ast.String))
	if _, ok := o.table.row(key); ok || o.large.Get(name) != nil {
		return false, jsontext.ErrDuplicateName
	}
	if kind := o.PeekKind(); kind != '{' && kind != '[' {
		return false, nil
	}
	o.turn()
	named := o.InputOffset() - 1 // after the name comes a quote
	text, err := o.read()
	if err != nil {
		return false, err
	}
	if len(text) <= maxRow && strings.HasSuffix(o.text[:named], key) && o.table.add(key, named, o.InputOffset(), len(text)) {
		return true, checkRow(text)
	}
	member, err := o.within(text)
	if err != nil {
		return false, err
	}
	return true, o.add(name, member)
}

// within makes a term of a part of the text.
func (o *opened) within(part string) (*ast.Term, error) {
	d := *o.decoder
	d.Decoder, d.text, d.next = newDecoder(part).Decoder, part, turn
	term, err := d.all()
	o.tables = d.tables
	return term, err
}

// grow makes an object of the members so far.
func (o *opened) grow() error {
	members := o.members[o.start:]
	for i, m := range members {
		for _, other := range members[:i] {
			if m[0].Value == other[0].Value {
				return jsontext.ErrDuplicateName
			}
		}
	}
	o.large, o.members = ast.NewObject(members...), o.members[:o.start]
	return nil
}
