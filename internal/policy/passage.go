package policy

import (
	"cmp"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A passage is the text of a string: what it says or, escaped, what stands
// between its quotes in JSON, without the escapes \u and \/.
type passage struct {
	s       string
	escaped bool
}

// inEscape reports whether the character at a place is the second of an escape.
func (p passage) inEscape(at int) bool {
	before := p.s[:at]
	return p.escaped && (at-len(strings.TrimRight(before, `\`)))%2 == 1
}

// before is where the character before a place begins.
func (p passage) before(at int) int {
	_, n := utf8.DecodeLastRuneInString(p.s[:at])
	if at -= n; p.inEscape(at) {
		at--
	}
	return at
}

// without is the JSON text of the passage with places in it redacted.
func (p passage) without(places []place) string {
	var b strings.Builder
	b.Grow(len(p.s) + len(places)*len(redacted) + len(`""`))
	if p.escaped {
		b.WriteByte('"')
	}
	at := 0
	for _, m := range places {
		b.WriteString(p.s[at:m.begin])
		b.WriteString(redacted)
		at = m.end
	}
	b.WriteString(p.s[at:])
	if !p.escaped {
		return string(mcp.AppendString(nil, b.String()))
	}
	b.WriteByte('"')
	return b.String()
}

// spelt reports whether what stands between the quotes of a JSON string has one
// of the escapes \u and \/, by which it may spell any character, and so a mark.
func spelt(raw string) bool {
	for {
		i := strings.IndexByte(raw, '\\')
		switch {
		case i < 0:
			return false
		case raw[i+1] == 'u' || raw[i+1] == '/':
			return true
		}
		raw = raw[i+2:]
	}
}

// A reader reads the characters of a passage from a place on, each as wide as it
// is written, and only so many in all.
type reader struct {
	passage
	at, left int
}

func (r *reader) ReadRune() (c rune, size int, err error) {
	if r.left--; r.at == len(r.s) || r.left <= 0 {
		return 0, 0, io.EOF
	}
	c, size = utf8.DecodeRuneInString(r.s[r.at:])
	if r.escaped && c == '\\' {
		c, size = unescaped(r.s[r.at+1]), 2
	}
	r.at += size
	return c, size, nil
}

func unescaped(c byte) rune {
	if i := strings.IndexByte("bfnrt", c); i >= 0 {
		return rune("\b\f\n\r\t"[i])
	}
	return rune(c)
}

// A place is part of a text.
type place struct{ begin, end int }

// union is the same in order, with one for those that overlap.
func union(places []place) []place {
	slices.SortFunc(places, func(a, b place) int { return cmp.Compare(a.begin, b.begin) })
	all := places[:0]
	for _, m := range places {
		if n := len(all); n > 0 && m.begin < all[n-1].end {
			all[n-1].end = max(all[n-1].end, m.end)
			continue
		}
		all = append(all, m)
	}
	return all
}
