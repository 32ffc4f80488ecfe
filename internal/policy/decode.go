package policy

import (
	"bytes"
	"errors"
	"hash/maphash"
	"io"
	"runtime"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/open-policy-agent/opa/v1/ast"
)

// turn is how many values are decoded before others have their turn: a
// goroutine that only computes keeps a processor for ten milliseconds and more.
const turn = 1 << 10

// decode makes terms of a text that is strict JSON, each number as written, and
// tables of the objects that may be kept as such.
func decode(text string, keep func(place []string) bool) (*ast.Term, []table, error) {
	d := newDecoder(text)
	d.keep, d.known = keep, make([]known, 1<<12)
	term, err := d.all()
	return term, d.tables, err
}

// decodeRow makes a term of a text that decode has read before.
func decodeRow(text string) (*ast.Term, error) { return newDecoder(text).all() }

// A decoder is a decoding under way.
type decoder struct {
	*jsontext.Decoder
	text    string
	values  int
	members [][2]*ast.Term // of the objects that are open
	items   []*ast.Term    // of the arrays that are open
	seed    maphash.Seed
	known   []known // scalars met before, by their hash
	keep    func(place []string) bool
	place   []string // of the value, as far as no array is on the way
	arrays  int      // that are open
	tables  []table
}

type known struct {
	text string
	term *ast.Term
}

func newDecoder(text string) *decoder {
	return &decoder{
		Decoder: jsontext.NewDecoder(bytes.NewBufferString(text), jsontext.AllowDuplicateNames(true)), // found here for less
		text:    text, seed: maphash.MakeSeed(),
	}
}

func (d *decoder) all() (*ast.Term, error) {
	term, err := d.value()
	if err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("data after the value")
	}
	return term, nil
}

func (d *decoder) value() (*ast.Term, error) {
	if d.values++; d.values%turn == 0 {
		runtime.Gosched()
	}
	switch d.PeekKind() {
	case '{':
		return d.object()
	case '[':
		return d.array()
	}
	return d.scalar()
}

func (d *decoder) object() (*ast.Term, error) {
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	o := opened{decoder: d, start: len(d.members)}
	for d.PeekKind() != '}' {
		name, err := d.scalar()
		if err != nil {
			return nil, err
		}
		start := d.InputOffset()
		d.place = append(d.place, string(name.Value.(ast.String)))
		member, err := d.value()
		if err == nil {
			err = o.add(name, member, start)
		}
		if err != nil {
			return nil, err
		}
		d.place = d.place[:len(d.place)-1]
	}
	if o.large == nil {
		if err := o.grow(); err != nil {
			return nil, err
		}
	}
	_, err := d.ReadToken()
	return ast.NewTerm(o.large), err
}

// An opened is an object under way.
type opened struct {
	*decoder
	start int        // of its members
	large ast.Object // nil while it has few
	table *table     // nil unless it is one
}

// few is how many names are compared with each other.
const few = 8

// add adds a member. What was read from start on is a colon and its text.
func (o *opened) add(name, member *ast.Term, start int64) error {
	if o.large == nil {
		o.members = append(o.members, [2]*ast.Term{name, member})
		if len(o.members)-o.start == few {
			return o.grow()
		}
		return nil
	}
	if o.table != nil {
		if added, err := o.row(name, member, start); added || err != nil {
			return err
		}
	}
	count := o.large.Len()
	if o.large.Insert(name, member); o.large.Len() == count {
		return jsontext.ErrDuplicateName
	}
	place := o.place[:len(o.place)-1]
	if count == minMembers && o.arrays == 0 && o.keep != nil && o.keep(place) {
		o.table = &table{slices.Clone(place), o.large, map[string]string{}}
		o.tables = append(o.tables, *o.table)
	}
	return nil
}

// row adds a member of a table as it is written, and reports whether it is one
// of those.
func (o *opened) row(name, member *ast.Term, start int64) (bool, error) {
	key := string(name.Value.(ast.String))
	if written := o.text[:start-1]; strings.HasSuffix(written, key) {
		key = written[len(written)-len(key):] // needs no memory of its own
	}
	if _, ok := o.table.rows[key]; ok || o.large.Get(name) != nil {
		return false, jsontext.ErrDuplicateName
	}
	text := o.text[start:o.InputOffset()]
	if ast.IsScalar(member.Value) || len(text) > maxRow {
		return false, nil
	}
	o.table.rows[key] = strings.TrimLeft(text, ": \t\r\n")
	return true, nil
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

func (d *decoder) array() (*ast.Term, error) {
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	d.arrays++
	start := len(d.items)
	for d.PeekKind() != ']' {
		item, err := d.value()
		if err != nil {
			return nil, err
		}
		d.items = append(d.items, item)
	}
	_, err := d.ReadToken()
	a := ast.NewArray(slices.Clone(d.items[start:])...)
	d.items = d.items[:start]
	d.arrays--
	return ast.NewTerm(a), err
}

// scalar reads a value without parts, or a name. One that is met again is the
// same term.
func (d *decoder) scalar() (*ast.Term, error) {
	raw, err := d.ReadValue()
	if err != nil {
		return nil, err
	}
	var at *known
	if d.known != nil {
		at = &d.known[maphash.Bytes(d.seed, raw)%uint64(len(d.known))]
		if at.term != nil && at.text == string(raw) {
			return at.term, nil
		}
	}
	text := string(raw)
	v, err := scalarOf(text)
	if err != nil {
		return nil, err
	}
	term := ast.NewTerm(v)
	if at != nil {
		*at = known{text, term}
	}
	return term, nil
}

func scalarOf(text string) (ast.Value, error) {
	switch text[0] {
	case '"':
		s, err := jsontext.AppendUnquote(nil, text)
		return ast.String(s), err
	case 'n':
		return ast.NullValue, nil
	case 't', 'f':
		return ast.InternedTerm(text == "true").Value, nil
	}
	if known := ast.InternedIntNumberTermFromString(text); known != nil {
		return known.Value, nil
	}
	return ast.NumberChecked(text)
}
