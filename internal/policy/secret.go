package policy

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
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
	default: // it may be left out, or be one of others
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
	default: // repeated
		return 0, false
	}
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
// takes longer, as it may for a text that was made to have many marks.
func (k *secret) near(p passage, r *reader) (found []place, ok bool) {
	if k.first == nil || p.escaped && coded(k.mark) {
		return nil, false
	}
	at := strings.Index(p.s, k.mark)
	if at < 0 {
		return nil, true
	}
	r.passage = p
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

// What is read of a string around marks, about as much as a search of the whole
// string takes: each try counts for some characters.
const (
	minReads = 64
	tryReads = 4
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
