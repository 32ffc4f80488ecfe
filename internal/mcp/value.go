package mcp

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"
)

// Bounds on one JSON text, beside its size. They keep what a message costs in
// memory proportional to its bytes, whatever its shape.
const (
	maxDepth  = 128
	maxNodes  = 1 << 17
	maxDigits = 1100 // any double can be written out in fewer
)

// A Value is one JSON value of a strictly parsed text. It is a cursor into an
// immutable tree, cheap to copy and safe for concurrent use. The zero Value is
// an absent one: every method may be called on it.
type Value struct {
	doc *document
	i   uint32
}

// A document is a JSON text and the tape of its values in the order in which
// they begin. An object is followed by its names and values in turn, an array
// by its items.
type document struct {
	text  string
	nodes []node
}

type node struct {
	start, end uint32        // the value's text is text[start:end]
	next       uint32        // the node after this value and all within it
	kind       jsontext.Kind // one of n t f " 0 { [
	escaped    bool          // a string that holds a backslash
}

// decoders are reused: a decoder's state is larger than most messages.
var decoders = sync.Pool{New: func() any { return new(jsontext.Decoder) }}

// ParseValue parses exactly one JSON value. It refuses what two decoders might
// read differently: duplicate names at any depth, invalid UTF-8, lone
// surrogates, control characters in names, names by which JavaScript reaches a
// prototype, numbers outside the range of a double, trailing data, and what is
// nested or populated beyond reason.
func ParseValue(text string) (Value, error) {
	if len(text) > math.MaxInt32 {
		return Value{}, errors.New("text too long")
	}
	dec := decoders.Get().(*jsontext.Decoder)
	defer decoders.Put(dec)
	dec.Reset(bytes.NewBufferString(text))
	p := parser{dec: dec, doc: &document{text: text, nodes: make([]node, 0, 32+min(len(text)/128, 1024))}}
	if err := p.value(0); err != nil {
		return Value{}, explain(err)
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return Value{}, errors.New("data after the value")
	}
	return Value{doc: p.doc}, nil
}

// explain says what is wrong and where, and nothing of what the text holds.
func explain(err error) error {
	var syntax *jsontext.SyntacticError
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return errors.New("duplicate name")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the text ends too early")
	case errors.As(err, &syntax):
		return fmt.Errorf("invalid JSON at byte %d", syntax.ByteOffset)
	}
	return err
}

type parser struct {
	dec *jsontext.Decoder
	doc *document
}

// value reads one value, and all within it, onto the tape.
func (p *parser) value(depth int) error {
	if len(p.doc.nodes) >= maxNodes {
		return fmt.Errorf("more than %d values", maxNodes)
	}
	kind := p.dec.PeekKind()
	if kind != '{' && kind != '[' {
		return p.scalar()
	}
	if depth == maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	at := len(p.doc.nodes)
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	p.doc.nodes = append(p.doc.nodes, node{start: uint32(p.dec.InputOffset() - 1), kind: kind})
	for {
		if next := p.dec.PeekKind(); next == '}' || next == ']' {
			break
		}
		var name string
		if kind == '{' {
			var err error
			if name, err = p.name(); err != nil {
				return err
			}
		}
		member := Value{doc: p.doc, i: uint32(len(p.doc.nodes))}
		if err := p.value(depth + 1); err != nil {
			return err
		}
		if name == "constructor" && member.Get("prototype").Exists() {
			return errPrototype
		}
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return err
	}
	n := &p.doc.nodes[at]
	n.end, n.next = uint32(p.dec.InputOffset()), uint32(len(p.doc.nodes))
	return nil
}

// errPrototype refuses what JSON.parse takes for a plain member, and merging
// its result into another object takes for an order to change prototypes: the
// members then read are not the ones that were judged.
var errPrototype = errors.New("a name of a prototype")

func (p *parser) name() (string, error) {
	if err := p.scalar(); err != nil {
		return "", err
	}
	name := Value{doc: p.doc, i: uint32(len(p.doc.nodes) - 1)}.String()
	switch {
	case strings.ContainsFunc(name, unicode.IsControl):
		return "", errors.New("control character in a name")
	case name == "__proto__":
		return "", errPrototype
	}
	return name, nil
}

func (p *parser) scalar() error {
	raw, err := p.dec.ReadValue()
	if err != nil {
		return err
	}
	kind, end := raw.Kind(), uint32(p.dec.InputOffset())
	if kind == '0' && !isDouble(raw) {
		return errors.New("number out of range")
	}
	p.doc.nodes = append(p.doc.nodes, node{
		start:   end - uint32(len(raw)),
		end:     end,
		next:    uint32(len(p.doc.nodes) + 1),
		kind:    kind,
		escaped: kind == '"' && bytes.IndexByte(raw, '\\') >= 0,
	})
	return nil
}

// isDouble reports whether the number is in the range of a double, as which
// most decoders read it. To them 1e400 is infinity or an error, and 1e-400 is
// zero. One of many digits takes some decoders forever.
func isDouble(number []byte) bool {
	if len(number) < 300 && !bytes.ContainsAny(number, "eE") {
		return true
	}
	if len(number) > maxDigits {
		return false
	}
	f, err := strconv.ParseFloat(string(number), 64)
	if i := bytes.IndexAny(number, "eE"); i >= 0 {
		number = number[:i]
	}
	return err == nil && (f != 0 || !bytes.ContainsAny(number, "123456789"))
}

func (v Value) node() *node { return &v.doc.nodes[v.i] }

// Exists reports whether the value is there at all; null is there.
func (v Value) Exists() bool { return v.doc != nil }

// Held is about how many bytes of memory a value keeps from being freed: those of
// the whole text that it stands in, and of its tree.
func (v Value) Held() int {
	if v.doc == nil {
		return 0
	}
	return len(v.doc.text) + cap(v.doc.nodes)*int(unsafe.Sizeof(node{}))
}

// Kind is the first character of the value's text, with 0 for any number, or
// zero for an absent value.
func (v Value) Kind() jsontext.Kind {
	if v.doc == nil {
		return 0
	}
	return v.node().kind
}

// IsObject reports whether the value is an object.
func (v Value) IsObject() bool { return v.Kind() == '{' }

// IsString reports whether the value is a string.
func (v Value) IsString() bool { return v.Kind() == '"' }

// Text is the value as it was written.
func (v Value) Text() string {
	if v.doc == nil {
		return ""
	}
	n := v.node()
	return v.doc.text[n.start:n.end]
}

// String is the content of a string, and "" for any other kind.
func (v Value) String() string {
	if v.Kind() != '"' {
		return ""
	}
	n := v.node()
	if !n.escaped {
		return v.doc.text[n.start+1 : n.end-1]
	}
	s, err := jsontext.AppendUnquote(make([]byte, 0, n.end-n.start), v.doc.text[n.start:n.end])
	if err != nil {
		panic("unquote a string that was parsed: " + err.Error())
	}
	return string(s)
}

// Get is the member of an object with that name, and absent for any other kind.
func (v Value) Get(name string) Value {
	for n, m := range v.Members() {
		if n.is(name) {
			return m
		}
	}
	return Value{}
}

func (v Value) is(s string) bool {
	n := v.node()
	if n.escaped {
		return v.String() == s
	}
	return v.doc.text[n.start+1:n.end-1] == s
}

// Members yields the names and values of an object in their order.
func (v Value) Members() iter.Seq2[Value, Value] {
	return func(yield func(Value, Value) bool) {
		if v.Kind() != '{' {
			return
		}
		for i, end := v.i+1, v.node().next; i < end; i = v.doc.nodes[i+1].next {
			if !yield(Value{v.doc, i}, Value{v.doc, i + 1}) {
				return
			}
		}
	}
}

// Items yields the items of an array in their order.
func (v Value) Items() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Kind() != '[' {
			return
		}
		for i, end := v.i+1, v.node().next; i < end; i = v.doc.nodes[i].next {
			if !yield(Value{v.doc, i}) {
				return
			}
		}
	}
}

// Replace returns the whole text in which the value stands, with its own text
// replaced; all else stays as it was written.
func (v Value) Replace(text string) string {
	n := v.node()
	return v.doc.text[:n.start] + text + v.doc.text[n.end:]
}

// An Edit sets the text of a value.
type Edit struct {
	At  Value
	New string
}

// Splice returns the whole text in which the edited values stand, with the text
// of each replaced. No edited value may stand within another.
func (v Value) Splice(edits []Edit) string {
	slices.SortFunc(edits, func(a, b Edit) int { return cmp.Compare(a.At.i, b.At.i) })
	var b strings.Builder
	at := uint32(0)
	for _, e := range edits {
		n := e.At.node()
		b.WriteString(v.doc.text[at:n.start])
		b.WriteString(e.New)
		at = n.end
	}
	b.WriteString(v.doc.text[at:])
	return b.String()
}

// With returns the whole text in which an object stands, with one of its
// members set to a text: replaced if it is there, and added if it is not. The
// value must be an object.
func (v Value) With(name, text string) string {
	if m := v.Get(name); m.Exists() {
		return m.Replace(text)
	}
	n := v.node()
	member := append(AppendString(nil, name), ':')
	if n.next > v.i+1 {
		member = append([]byte{','}, member...)
	}
	return v.doc.text[:n.end-1] + string(member) + text + v.doc.text[n.end-1:]
}
