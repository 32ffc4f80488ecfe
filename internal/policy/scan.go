package policy

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A scan is what one pass over the strings and member names of a judged value
// tells of them, so that a policy need not walk a clean one.
type scan struct {
	plain bool     // none holds a control, bidi or tag character, or a lone return
	marks []string // those that occur in any, in order
	named bool     // one of them in a member name
}

// A scanner looks for the keys of the bundle's data.secrets. It is made once
// for a snapshot.
type scanner struct {
	marks []string
	coded bool                 // a mark holds what JSON cannot but escape
	pairs [1 << 16 / 64]uint64 // the pairs of bytes that something begins with
}

func newScanner(data map[string]any) *scanner {
	c := &scanner{}
	secrets, _ := data["secrets"].(map[string]any)
	for mark := range secrets {
		c.marks = append(c.marks, mark)
		c.coded = c.coded || coded(mark)
		if len(mark) == 1 {
			c.beginning(mark[0])
		} else if mark != "" {
			c.pair(mark[0], mark[1])
		}
	}
	slices.Sort(c.marks)
	for b := range byte(0x20) {
		if b != '\t' && b != '\n' {
			c.beginning(b)
		}
	}
	c.beginning(0x7f)
	c.beginning('\\') // an escape
	for second := byte(0x80); second <= 0x9f; second++ {
		c.pair(0xc2, second) // C1
	}
	for _, first := range []string{"\xe2\x80", "\xe2\x81", "\xf3\xa0"} { // bidi; tags
		c.pair(first[0], first[1])
	}
	return c
}

// coded reports whether a text holds what JSON cannot but escape.
func coded(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' })
}

func (c *scanner) pair(a, b byte) {
	at := uint16(a)<<8 | uint16(b)
	c.pairs[at/64] |= 1 << (at % 64)
}

func (c *scanner) beginning(a byte) {
	for b := range 256 {
		c.pair(a, byte(b))
	}
}

// of scans what is judged: a result or an error, or the params of what a server
// asks. It is nil where nothing of the kind is.
func (c *scanner) of(in *Input) *scan {
	asked := mcp.Value{}
	if in.Phase == ServerRequest {
		asked = in.Params
	}
	if !in.Response.Exists() && !in.Error.Exists() && !asked.Exists() {
		return nil
	}
	p := pass{scanner: c, found: make([]bool, len(c.marks)), plain: true}
	for _, v := range [...]mcp.Value{in.Response, in.Error, asked} {
		p.value(v)
	}
	s := &scan{plain: p.plain, named: p.named}
	for i, mark := range c.marks {
		if p.found[i] || mark == "" {
			s.marks = append(s.marks, mark)
		}
	}
	return s
}

// A pass is a scan under way.
type pass struct {
	*scanner
	found []bool
	plain bool
	named bool
	names bool // what it looks at is the name of a member
}

func (p *pass) value(v mcp.Value) {
	switch v.Kind() {
	case '{':
		for name, m := range v.Members() {
			p.names = true
			p.string(name)
			p.names = false
			p.value(m)
		}
	case '[':
		for item := range v.Items() {
			p.value(item)
		}
	case '"':
		p.string(v)
	default: // nothing that could hide anything
	}
}

// string looks at a string as it was written, which needs no copy, and at what
// it says if its escapes could hide something.
func (p *pass) string(v mcp.Value) {
	text := v.Text()
	if p.coded || !p.written(text[1:len(text)-1]) {
		p.text(v.String())
	}
}

// written looks at the text of a string with its escapes, and reports false if
// it came to one that could stand for part of a mark.
func (p *pass) written(s string) bool {
	for i := 0; ; i++ {
		if i = p.next(s, i); i == len(s) {
			return true
		}
		if s[i] != '\\' {
			p.look(s[i:])
			continue
		}
		i++
		switch s[i] {
		case 'n', 't', '"', '\\':
		case 'r':
			p.plain = p.plain && strings.HasPrefix(s[i+1:], `\n`)
		case 'b', 'f':
			p.plain = false
		default:
			return false
		}
	}
}

// text looks at what a string says.
func (p *pass) text(s string) {
	for i := p.next(s, 0); i < len(s); i = p.next(s, i+1) {
		p.look(s[i:])
	}
}

// next is the place from i on where something may begin, or the end.
func (c *scanner) next(s string, i int) int {
	if i == len(s) {
		return i
	}
	a := s[i]
	for _, b := range []byte(s[i+1:]) {
		if c.begins(a, b) {
			return i
		}
		a = b
		i++
	}
	if !c.begins(a, 0) {
		i++
	}
	return i
}

func (c *scanner) begins(a, b byte) bool {
	at := uint(a)<<8 | uint(b)
	return c.pairs[at/64]>>(at%64)&1 != 0
}

// look is asked about a text that begins as something does.
func (p *pass) look(s string) {
	c, _ := utf8.DecodeRuneInString(s)
	if hides(c) && (c != '\r' || !strings.HasPrefix(s, "\r\n")) {
		p.plain = false
	}
	for i, mark := range p.marks {
		if strings.HasPrefix(s, mark) {
			p.found[i] = true
			p.named = p.named || p.names
		}
	}
}

// hides reports whether a character may play with a terminal or its reader.
func hides(c rune) bool {
	switch {
	case c < 0x20:
		return c != '\t' && c != '\n'
	case c < 0x2000:
		return c >= 0x7f && c <= 0x9f
	}
	return c >= 0x202a && c <= 0x202e || c >= 0x2066 && c <= 0x2069 || c >= 0xe0000 && c <= 0xe007f
}

func (s *scan) term() *ast.Term {
	marks := make([]*ast.Term, len(s.marks))
	for i, mark := range s.marks {
		marks[i] = ast.StringTerm(mark)
	}
	return ast.ObjectTerm(
		[2]*ast.Term{ast.InternedTerm("plain"), ast.InternedTerm(s.plain)},
		[2]*ast.Term{ast.InternedTerm("marks"), ast.ArrayTerm(marks...)},
		[2]*ast.Term{ast.InternedTerm("named"), ast.InternedTerm(s.named)})
}
