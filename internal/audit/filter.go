package audit

import (
	"slices"
	"time"
	"unicode"
	"unicode/utf8"
)

// A Filter chooses records. Each of its lists is what one member may be; an
// empty one allows all.
type Filter struct {
	Users, Targets, Servers, Outcomes, Reasons []string
	Since, Until                               time.Time // from, and before; zero: no bound
}

// Match reports whether the filter chooses the record.
func (f *Filter) Match(e *Entry) bool {
	return allows(f.Users, e.User) && allows(f.Targets, e.Target()) && allows(f.Servers, e.Server) &&
		allows(f.Outcomes, string(e.Outcome)) && allows(f.Reasons, e.Reason) &&
		!e.Time.Before(f.Since) && (f.Until.IsZero() || e.Time.Before(f.Until))
}

func allows(allowed []string, s string) bool { return len(allowed) == 0 || slices.Contains(allowed, s) }

// Escape is a text of a record in which nothing can end a line, turn the
// direction of the text, or move a terminal's cursor.
func Escape(s string) string {
	if plain(s) {
		return s
	}
	quoted := appendString(nil, s)
	return string(quoted[1 : len(quoted)-1])
}

// EscapeJSON is a JSON text in which nothing but the ends of lines can do so.
// Whoever decodes it finds what he would have found before.
func EscapeJSON(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == '\n' || unicode.IsPrint(r) {
			out = utf8.AppendRune(out, r) // of bytes that are no text, it is the one that says so
		} else {
			out = appendEscape(out, r)
		}
		text = text[n:]
	}
	return out
}
