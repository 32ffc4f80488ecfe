package mcp

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"
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
