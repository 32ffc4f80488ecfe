package policy

import (
	"bytes"
	"errors"
	"hash/maphash"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// decode makes terms of a text that is strict JSON, each number as written, and
// tables of the objects that may be kept as such.
func decode(text string, keep func(place []string) bool) (*ast.Term, []table, error) {
	d := newDecoder(text)
	d.keep, d.known = keep, make([]known, 1<<12)
	term, err := d.all()
	return term, d.tables, err
}

// A decoder is a decoding under way.
type decoder struct {
	*jsontext.Decoder
	text    string
	next    int64          // where others have their turn
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
		Decoder: jsontext.NewDecoder(bytes.NewBuffer(mcp.Bytes(text)), jsontext.AllowDuplicateNames(true)), // found here for less
		text:    text, next: turn, seed: maphash.MakeSeed(),
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
	d.turn()
	switch d.PeekKind() {
	case '{':
		return d.object()
	case '[':
		return d.array()
	}
	return d.scalar()
}

// turn ends one after so many bytes.
func (d *decoder) turn() {
	if at := d.InputOffset(); at >= d.next {
		d.next = at + turn
		rest()
	}
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
		d.place = append(d.place, string(name.Value.(ast.String)))
		if err := o.member(name); err != nil {
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
	text, err := d.read()
	if err != nil {
		return nil, err
	}
	var at *known
	if d.known != nil {
		at = &d.known[maphash.String(d.seed, text)%uint64(len(d.known))]
		if at.term != nil && at.text == text {
			return at.term, nil
		}
	}
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

// read reads a value as it is written.
func (d *decoder) read() (string, error) {
	raw, err := d.ReadValue()
	end := d.InputOffset()
	return d.text[end-int64(len(raw)) : end], err
}

// scalarOf is a value of its own: it keeps no more of the text.
func scalarOf(text string) (ast.Value, error) {
	switch text[0] {
	case '"':
		if !strings.Contains(text, `\`) {
			return ast.String(strings.Clone(text[1 : len(text)-1])), nil
		}
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
	return ast.NumberChecked(strings.Clone(text))
}
