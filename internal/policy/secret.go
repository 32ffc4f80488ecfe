package policy

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

var errPattern = errors.New("the pattern of a secret is not a regular expression")

// A secret is one of the bundle's data.secrets. What it matches in a text is
// what its pattern matches there from left to right.
//
// Go matches most patterns at some 30 MB/s. So where the pattern itself tells
// that each match holds the mark, and how many characters may stand before it,
// matches are looked for around the marks only.
type secret struct {
	mark    string
	pattern *regexp.Regexp
	lead    int            // how many characters may stand before the mark
	first   *regexp.Regexp // matches, as its group, in the first lead characters and on; or nil
	later   *regexp.Regexp // the same one character later, which is there for what looks back
}

// maxLead bounds what is looked at for each mark.
const maxLead = 16

func newSecret(mark string, pattern any) (*secret, error) {
	expr, ok := pattern.(string)
	if !ok {
		return nil, errPattern
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, errPattern // and not err, which quotes it
	}
	k := &secret{mark: mark, pattern: re}
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, errPattern
	}
	lead, found := leadOf(tree, mark)
	if mark == "" || !found || lead > maxLead {
		return k, nil
	}
	group := fmt.Sprintf(`(?s:.{0,%d}?)(%s)`, lead, expr)
	first, err := regexp.Compile(`\A` + group)
	later, err2 := regexp.Compile(`\A(?s:.)` + group)
	if err == nil && err2 == nil { // else the two are too large
		k.lead, k.first, k.later = lead, first, later
	}
	return k, nil
}

// leadOf is how many characters at most stand before the mark in any match, if
// each match is sure to hold it.
func leadOf(re *syntax.Regexp, mark string) (lead int, found bool) {
	switch re.Op {
	case syntax.OpLiteral:
		before, _, found := strings.Cut(string(re.Rune), mark)
		return utf8.RuneCountInString(before), found && re.Flags&syntax.FoldCase == 0
	case syntax.OpCapture:
		return leadOf(re.Sub[0], mark)
	case syntax.OpConcat:
		for _, part := range re.Sub {
			if more, found := leadOf(part, mark); found {
				return lead + more, true
			}
			width, bounded := widthOf(part)
			if !bounded {
				return 0, false
			}
			lead += width
		}
	}
	return 0, false
}

// widthOf is how many characters an expression matches at most, if that is bounded.
func widthOf(re *syntax.Regexp) (width int, bounded bool) {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune), true
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 1, true
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return 0, true
	case syntax.OpCapture, syntax.OpQuest, syntax.OpConcat, syntax.OpAlternate:
		for _, part := range re.Sub {
			more, bounded := widthOf(part)
			if !bounded {
				return 0, false
			}
			if re.Op == syntax.OpAlternate {
				width = max(width, more)
			} else {
				width += more
			}
		}
		return width, true
	}
	return 0, false
}

// everywhere is what the secret matches in a text.
func (k *secret) everywhere(s string) []place {
	var found []place
	for _, at := range k.pattern.FindAllStringIndex(s, -1) {
		if at[0] < at[1] {
			found = append(found, place{at[0], at[1]})
		}
	}
	return found
}

// near is the same for a passage, found around its marks. It gives up where that
// would take longer, as it may for a text that was made to have many marks.
func (k *secret) near(p passage) (found []place, ok bool) {
	if k.first == nil || p.escaped && coded(k.mark) {
		return nil, false
	}
	at := strings.Index(p.s, k.mark)
	if at < 0 {
		return nil, true
	}
	r := &reader{passage: p, left: minReads + 2*len(p.s)}
	for done := 0; ; {
		next := at + 1
		if !p.inEscape(at) {
			m, ok := k.around(r, done, at)
			switch {
			case !ok:
				return nil, false
			case m != place{}:
				found = append(found, m)
				done, next = m.end, m.end
			}
		}
		more := strings.Index(p.s[next:], k.mark)
		if more < 0 {
			return found, true
		}
		at = next + more
	}
}

// What a match may read, which bounds what all of them take: a beginning counts
// for as much as some characters.
const (
	minReads = 64
	tryReads = 16
)

// around is the leftmost match that begins at a mark or shortly before it, and
// not before what is done; an empty one if there is none.
func (k *secret) around(r *reader, done, mark int) (m place, ok bool) {
	r.at = mark
	for i := 0; i < k.lead && r.at > done; i++ {
		r.at = r.before(r.at)
	}
	re := k.first
	if r.at > 0 {
		re, r.at = k.later, r.before(r.at)
	}
	from := r.at
	r.left -= tryReads
	if loc := re.FindReaderSubmatchIndex(r); loc != nil {
		m = place{from + loc[2], from + loc[3]}
	}
	return m, r.left > 0
}

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
// is written, and only so many.
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
