package mcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Bounds on one JSON text, beside its size. They keep what a message costs in
// memory proportional to its bytes, whatever its shape.
const (
	maxDepth  = 128
	maxNodes  = 1 << 17
	maxDigits = 1100 // any double can be written out in fewer
)

// ParseValue parses exactly one JSON value. It refuses what two decoders might
// read differently: duplicate names at any depth, invalid UTF-8, lone
// surrogates, control characters in names, names by which JavaScript reaches a
// prototype, numbers outside the range of a double, trailing data, and what is
// nested or populated beyond reason.
func ParseValue(text string) (Value, error) {
	if len(text) > math.MaxInt32 {
		return Value{}, errors.New("text too long")
	}
	p := parser{text: text, doc: &document{text: text, nodes: make([]node, 0, 32+min(len(text)/128, 1024))}}
	p.space()
	if err := p.value(0); err != nil {
		return Value{}, err
	}
	if p.space(); p.at < len(text) {
		return Value{}, errors.New("data after the value")
	}
	return Value{doc: p.doc}, nil
}

// A parser puts the values of a text onto a tape, strictly as RFC 8259 has them.
// Between its steps it stands where something must be: all white space is skipped
// behind what comes before it.
type parser struct {
	text string
	at   int
	doc  *document
}

// Errors tell nothing of what the text holds.
var (
	errEnd       = errors.New("the text ends too early")
	errDuplicate = errors.New("duplicate name")
	// errPrototype refuses what JSON.parse takes for a plain member, and merging
	// its result into another object takes for an order to change prototypes: the
	// members then read are not the ones that were judged.
	errPrototype = errors.New("a name of a prototype")
)

// invalid says where a text is no JSON.
func (p *parser) invalid() error {
	if p.at >= len(p.text) {
		return errEnd
	}
	return fmt.Errorf("invalid JSON at byte %d", p.at)
}

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// take steps over a character and the white space behind it, if it is there.
func (p *parser) take(c byte) bool {
	if p.at == len(p.text) || p.text[p.at] != c {
		return false
	}
	p.at++
	p.space()
	return true
}

// value reads one value, and all within it.
func (p *parser) value(depth int) error {
	if len(p.doc.nodes) >= maxNodes {
		return fmt.Errorf("more than %d values", maxNodes)
	}
	if p.at == len(p.text) {
		return errEnd
	}
	start, kind, escaped := p.at, p.text[p.at], false
	var err error
	switch kind {
	case '{', '[':
		if depth == maxDepth {
			return fmt.Errorf("nested deeper than %d", maxDepth)
		}
		return p.within(kind, depth+1)
	case '"':
		escaped, err = p.string()
	case 'n':
		err = p.word("null")
	case 't':
		err = p.word("true")
	case 'f':
		err = p.word("false")
	default:
		kind, err = '0', p.number()
	}
	p.doc.nodes = append(p.doc.nodes, node{
		start: uint32(start), end: uint32(p.at), next: uint32(len(p.doc.nodes) + 1), kind: jsontext.Kind(kind), escaped: escaped,
	})
	return err
}

// within reads an object or an array, and all within it.
func (p *parser) within(kind byte, depth int) error {
	at := len(p.doc.nodes)
	p.doc.nodes = append(p.doc.nodes, node{start: uint32(p.at), kind: jsontext.Kind(kind)})
	p.take(kind)
	end, names := kind+2, names{doc: p.doc, object: uint32(at)}
	for n := 0; p.at == len(p.text) || p.text[p.at] != end; n++ {
		if n > 0 && !p.take(',') {
			return p.invalid()
		}
		var err error
		if kind == '{' {
			err = p.member(&names, depth)
		} else {
			err = p.value(depth)
		}
		if err != nil {
			return err
		}
		p.space()
	}
	p.at++
	n := &p.doc.nodes[at]
	n.end, n.next = uint32(p.at), uint32(len(p.doc.nodes))
	return nil
}

// member reads a name and its value.
func (p *parser) member(names *names, depth int) error {
	if p.at == len(p.text) || p.text[p.at] != '"' {
		return p.invalid()
	}
	v := Value{doc: p.doc, i: uint32(len(p.doc.nodes))}
	if err := p.value(depth); err != nil {
		return err
	}
	name := v.String()
	switch {
	case hasControl(name):
		return errors.New("control character in a name")
	case name == "__proto__":
		return errPrototype
	case !names.add(v.i, name):
		return errDuplicate
	}
	if p.space(); !p.take(':') {
		return p.invalid()
	}
	v.i++
	if err := p.value(depth); err != nil {
		return err
	}
	if name == "constructor" && v.Get("prototype").Exists() {
		return errPrototype
	}
	return nil
}

// names are those of an object whose end is not read yet.
type names struct {
	doc    *document
	object uint32
	n      int
	seen   map[string]bool // if there are many
}

// few is up to how many names are compared one by one.
const few = 16

// add adds the name of the node at i, and reports whether it is a new one.
func (s *names) add(i uint32, name string) bool {
	if s.n++; s.n > few {
		if s.seen == nil {
			s.seen = make(map[string]bool, 4*few)
			for at := s.object + 1; at < i; at = s.doc.nodes[at+1].next {
				s.seen[Value{s.doc, at}.String()] = true
			}
		}
		if s.seen[name] {
			return false
		}
		s.seen[name] = true
		return true
	}
	for at := s.object + 1; at < i; at = s.doc.nodes[at+1].next {
		if (Value{s.doc, at}).is(name) {
			return false
		}
	}
	return true
}

func (p *parser) word(word string) error {
	if rest := p.text[p.at:]; !strings.HasPrefix(rest, word) {
		if strings.HasPrefix(word, rest) {
			return errEnd
		}
		return p.invalid()
	}
	p.at += len(word)
	return nil
}

// string reads a string, and reports whether it holds an escape.
func (p *parser) string() (escaped bool, err error) {
	for p.at++; ; {
		switch p.run(); {
		case p.at == len(p.text):
			return escaped, errEnd
		case p.text[p.at] == '"':
			p.at++
			return escaped, nil
		case p.text[p.at] != '\\':
			return escaped, p.invalid()
		}
		escaped = true
		if err := p.escape(); err != nil {
			return escaped, err
		}
	}
}

// run steps over what stands for itself in a string: to a quote, a backslash, what
// may not be there, or the end.
func (p *parser) run() {
	const (
		ones = 0x0101010101010101
		high = 0x80 * ones
	)
	text, at := Bytes(p.text), p.at // for the reading of words
	defer func() { p.at = at }()
	for at < len(text) {
		if at+8 <= len(text) {
			// Of y-ones&^y, the highest bit of a byte is set if the byte is zero, or if it is
			// one and follows such a byte: the first that is found is a true one.
			x := binary.LittleEndian.Uint64(text[at:])
			quote, slash := x^'"'*ones, x^'\\'*ones
			found := ((quote-ones)&^quote | (slash-ones)&^slash | (x-' '*ones)&^x | x) & high
			if found == 0 {
				at += 8
				continue
			}
			at += bits.TrailingZeros64(found) / 8
		}
		switch c := text[at]; {
		case c == '"' || c == '\\' || c < ' ':
			return
		case c < utf8.RuneSelf:
			at++
		default:
			_, size := utf8.DecodeRune(text[at:])
			if size == 1 {
				return // part of no character
			}
			at += size
		}
	}
}

// escape steps over an escape, or two that are the halves of one character.
func (p *parser) escape() error {
	p.at++
	if p.at == len(p.text) {
		return errEnd
	}
	switch p.text[p.at] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		p.at++
		return nil
	case 'u':
		p.at++
	default:
		return p.invalid()
	}
	unit, err := p.hex()
	if err != nil || unit < 0xd800 || unit > 0xdfff {
		return err
	}
	if unit > 0xdbff {
		return p.invalid()
	}
	if err := p.word(`\u`); err != nil {
		return err
	}
	unit, err = p.hex()
	if err == nil && (unit < 0xdc00 || unit > 0xdfff) {
		return p.invalid()
	}
	return err
}

// hex reads the four digits of an escape.
func (p *parser) hex() (unit rune, err error) {
	for range 4 {
		if p.at == len(p.text) {
			return 0, errEnd
		}
		digit := strings.IndexByte("0123456789abcdefABCDEF", p.text[p.at])
		if digit < 0 {
			return 0, p.invalid()
		}
		if digit > 15 {
			digit -= 6
		}
		unit = unit<<4 | rune(digit)
		p.at++
	}
	return unit, nil
}

func (p *parser) number() error {
	start := p.at
	if p.text[p.at] == '-' {
		p.at++
	}
	whole := p.at
	if err := p.digits(); err != nil {
		return err
	}
	if p.text[whole] == '0' && p.at > whole+1 {
		p.at = whole + 1
		return p.invalid()
	}
	if p.at < len(p.text) && p.text[p.at] == '.' {
		p.at++
		if err := p.digits(); err != nil {
			return err
		}
	}
	if p.at < len(p.text) && p.text[p.at]|0x20 == 'e' {
		p.at++
		if p.at < len(p.text) && (p.text[p.at] == '+' || p.text[p.at] == '-') {
			p.at++
		}
		if err := p.digits(); err != nil {
			return err
		}
	}
	if !isDouble(p.text[start:p.at]) {
		return errors.New("number out of range")
	}
	return nil
}

// digits reads one digit or more.
func (p *parser) digits() error {
	start := p.at
	for p.at < len(p.text) && p.text[p.at] >= '0' && p.text[p.at] <= '9' {
		p.at++
	}
	if p.at == start {
		return p.invalid()
	}
	return nil
}

// isDouble reports whether the number is in the range of a double, as which
// most decoders read it. To them 1e400 is infinity or an error, and 1e-400 is
// zero. One of many digits takes some decoders forever.
func isDouble(number string) bool {
	if len(number) < 300 && !strings.ContainsAny(number, "eE") {
		return true
	}
	if len(number) > maxDigits {
		return false
	}
	f, err := strconv.ParseFloat(number, 64)
	if i := strings.IndexAny(number, "eE"); i >= 0 {
		number = number[:i]
	}
	return err == nil && (f != 0 || !strings.ContainsAny(number, "123456789"))
}
