package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var (
	reference      = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)
	errNoReference = errors.New("${ is not followed by a variable's name and } (write $${ for a literal ${)")
)

// expand replaces each ${NAME} in text by what env has for NAME, and each $${ by ${, in one pass: what a
// variable holds is not expanded again. It reports whether a variable was replaced. An error never holds
// more of text than a variable's name.
func expand(text string, env func(string) (string, bool)) (result string, expanded bool, err error) {
	var b strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			b.WriteString(text)
			return b.String(), expanded, nil
		}
		if i > 0 && text[i-1] == '$' {
			b.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		match := reference.FindStringSubmatch(text[i:])
		if match == nil {
			return "", false, errNoReference
		}
		value, _ := env(match[1])
		if value == "" {
			return "", false, fmt.Errorf("environment variable %s is not set or empty (write $${ for a literal ${)", match[1])
		}
		b.WriteString(text[:i] + value)
		text = text[i+len(match[0]):]
		expanded = true
	}
}
