package config

import (
	"errors"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The YAML types of scalars.
const (
	strType   = "!!str"
	intType   = "!!int"
	boolType  = "!!bool"
	floatType = "!!float"
	nullType  = "!!null"
)

// A leaf is one value that is written as text: a scalar of the file, a variable or a flag.
type leaf struct {
	// want says what is allowed, so that it reads on after "is not".
	want string
	// set stores what text stands for, or stores nothing and says why not, reading on after the value.
	set func(text string) error
	// typ is the YAML type of the scalar; empty: a string.
	typ string
	// secret values are never shown.
	secret bool
}

func (v leaf) yamlType() string {
	if v.typ == "" {
		return strType
	}
	return v.typ
}

// show is the value as a message shows it: quoted, on one line, not too long, and without what a URL may
// hold in secrets.
func (v leaf) show(text string) string {
	if v.secret {
		return "the value (not shown)"
	}
	const enough = 120
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		if i := strings.LastIndexByte(rest, '@'); i >= 0 {
			rest = "…" + rest[i:]
		}
		if i := strings.IndexAny(rest, "?#"); i >= 0 {
			rest = rest[:i+1] + "…"
		}
		text = scheme + "://" + rest
	}
	if runes := []rune(text); len(runes) > enough {
		text = string(runes[:enough]) + "…"
	}
	return strconv.Quote(text)
}

// parsed is a leaf that stores what parse makes of the text, unless parse says that the text is not want.
func parsed[T any](dst *T, want string, parse func(text string) (T, bool)) leaf {
	return leaf{want: want, set: func(text string) error {
		v, ok := parse(text)
		if !ok {
			return errors.New("is not " + want)
		}
		*dst = v
		return nil
	}}
}

// matching is a leaf for text that matches re as a whole.
func matching(dst *string, want string, re *regexp.Regexp) leaf {
	return parsed(dst, want, func(text string) (string, bool) { return text, re.MatchString(text) })
}

// oneOf is a leaf for a word out of a few.
func oneOf[T ~string](dst *T, allowed ...T) leaf {
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	return parsed(dst, "one of "+strings.Join(words, ", "), func(text string) (T, bool) {
		return T(text), slices.Contains(allowed, T(text))
	})
}

func mode(dst *Mode) leaf {
	return oneOf(dst, ModeOff, ModePermissive, ModeEnforce)
}

// allowOrDeny is a leaf for what to do where there is no decision. What is not the word allow is a denial.
func allowOrDeny(allow *bool) leaf {
	return parsed(allow, "one of allow, deny", func(text string) (bool, bool) {
		return text == "allow", text == "allow" || text == "deny"
	})
}

func boolean(dst *bool) leaf {
	v := parsed(dst, "true or false", func(text string) (bool, bool) {
		return text == "true", text == "true" || text == "false"
	})
	v.typ = boolType
	return v
}

func seconds(dst *time.Duration) leaf {
	return whole(dst, "a whole number of seconds (0 or more)", 0, math.MaxInt64/int64(time.Second), time.Second)
}

// patience is a leaf for how long a server may hold its answer back.
func patience(dst *time.Duration) leaf {
	return whole(dst, "a whole number of seconds (0 to 3600)", 0, 3600, time.Second)
}

func milliseconds(dst *time.Duration) leaf {
	const most = math.MaxInt64 / int64(time.Millisecond)
	return whole(dst, "a whole number of milliseconds (1 or more)", 1, most, time.Millisecond)
}

func messageBytes(dst *int64) leaf {
	return whole(dst, "a whole number of bytes (1 to 1073741824)", 1, 1<<30, 1)
}

func count(dst *int) leaf {
	return whole(dst, "a whole number (0 to 1000000)", 0, 1e6, 1)
}

var decimal = regexp.MustCompile(`^(0|[1-9][0-9]*)$`)

// whole is a leaf for a decimal number from least to most, counted in units: no sign, no other base, no
// leading zero, which YAML would take for octal.
func whole[T ~int64 | ~int](dst *T, want string, least, most int64, unit T) leaf {
	v := parsed(dst, want, func(text string) (T, bool) {
		n, err := strconv.ParseInt(text, 10, 64)
		return T(n) * unit, err == nil && decimal.MatchString(text) && least <= n && n <= most
	})
	v.typ = intType
	return v
}

// printable reports whether text holds no control character, which a log line or a header cannot carry.
func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// identifier is a leaf for the name of a caller or a role.
func identifier(dst *string) leaf {
	return parsed(dst, "a name (not empty, no control characters)", func(text string) (string, bool) {
		return text, text != "" && printable(text)
	})
}

// filePath is a leaf for the path of a file that must be given.
func filePath(dst *string) leaf {
	return parsed(dst, "the path of a file", func(text string) (string, bool) {
		return text, text != "" && !strings.Contains(text, "://") && printable(text)
	})
}

// optionalPath is a leaf for the path of a file or directory; empty text is none.
func optionalPath(dst *string) leaf {
	return parsed(dst, "a path", func(text string) (string, bool) {
		return text, !strings.Contains(text, "://") && printable(text)
	})
}

func optionalText(dst *string) leaf {
	return parsed(dst, "a text without control characters", func(text string) (string, bool) {
		return text, printable(text)
	})
}

// username is a leaf for a user of HTTP's Basic scheme.
func username(dst *string) leaf {
	return parsed(dst, "a user's name (not empty, no colon, no control characters)", func(text string) (string, bool) {
		return text, text != "" && printable(text) && !strings.Contains(text, ":")
	})
}

// secret is a leaf for text that is never shown.
func secret(dst *Secret) leaf {
	v := parsed(dst, "a secret (not empty, no control characters)", func(text string) (Secret, bool) {
		return Secret(text), text != "" && printable(text)
	})
	v.secret = true
	return v
}

func outputPath(dst *string) leaf {
	return parsed(dst, `the path of a file, or "-" for standard output`, func(text string) (string, bool) {
		return text, text != "" && printable(text)
	})
}

var rulePathText = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*$`)

func rulePath(dst *string) leaf {
	return matching(dst, "the path of a rule below data, such as mcp/decision", rulePathText)
}
