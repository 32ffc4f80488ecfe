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

// A resolver returns what the reference stands for that text begins with, and its length. An error never holds
// more of text than a variable's name.
type resolver func(text string) (value string, length int, err error)

// resolve is the resolver of the gateway's own files.
func (l *loader) resolve(text string) (string, int, error) {
	match := reference.FindStringSubmatch(text)
	if match == nil {
		return "", 0, errNoReference
	}
	value, err := l.lookup(match[1])
	return value, len(match[0]), err
}

func (l *loader) lookup(name string) (string, error) {
	value, _ := l.env(name)
	if value == "" {
		return "", fmt.Errorf("environment variable %s is not set or empty (write $${ for a literal ${)", name)
	}
	return value, nil
}

// expand replaces each reference in text by what it stands for, and each $${ by ${, in one pass: what a
// variable holds is not expanded again. It reports whether something was replaced.
func expand(text string, resolve resolver) (result string, expanded bool, err error) {
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
		value, length, err := resolve(text[i:])
		if err != nil {
			return "", false, err
		}
		b.WriteString(text[:i] + value)
		text = text[i+length:]
		expanded = true
	}
}
