package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

type node = yaml.Node

// A sink takes the node at path, or reports to l why it does not. It never panics, whatever the node.
type sink func(l *loader, path string, n *node)

// A key is one key of a mapping with a fixed set of keys.
type key struct {
	name     string
	into     sink
	required bool
}

// object takes a mapping with a fixed set of keys.
func object(keys func() []key) sink {
	return func(l *loader, path string, n *node) {
		known := keys()
		names := make([]string, len(known))
		for i, k := range known {
			names[i] = k.name
		}
		allowed := "allowed: " + strings.Join(names, ", ")
		pairs, ok := l.pairs(path, n, "a mapping ("+allowed+")")
		if !ok {
			return
		}
		for _, p := range pairs {
			i := slices.Index(names, p.name)
			if i < 0 {
				l.problem(p.path, "unknown key (%s)", allowed)
				continue
			}
			known[i].into(l, p.path, p.value)
		}
		for _, k := range known {
			if k.required && !slices.ContainsFunc(pairs, func(p pair) bool { return p.name == k.name }) {
				l.problemAt(l.source(n, join(path, k.name)), "is missing")
			}
		}
	}
}

// pointer takes a mapping with a fixed set of keys that may be left out as a whole.
func pointer[T any](dst **T, keys func(*T) []key) sink {
	return func(l *loader, path string, n *node) {
		v := new(T)
		object(func() []key { return keys(v) })(l, path, n)
		*dst = v
	}
}

// mapping takes a mapping from names, which name checks, to objects.
func mapping[T any](dst *map[string]T, name check, keys func(*T) []key) sink {
	return func(l *loader, path string, n *node) {
		all := map[string]T{}
		l.named(path, n, name, func(name string, p pair) {
			var v T
			object(func() []key { return keys(&v) })(l, p.path, p.value)
			all[name] = v
		})
		*dst = all
	}
}

// scalars takes a mapping from names, which name checks, to scalars.
func scalars[T any](dst *map[string]T, name check, value func(*T) leaf) sink {
	return func(l *loader, path string, n *node) {
		all := map[string]T{}
		l.named(path, n, name, func(name string, p pair) {
			var v T
			scalar(value(&v))(l, p.path, p.value)
			all[name] = v
		})
		*dst = all
	}
}

// list takes a sequence of scalars.
func list[T any](dst *[]T, item func(*T) leaf) sink {
	return sequence(dst, func(v *T) sink { return scalar(item(v)) })
}

// objects takes a sequence of objects.
func objects[T any](dst *[]T, keys func(*T) []key) sink {
	return sequence(dst, func(v *T) sink { return object(func() []key { return keys(v) }) })
}

func sequence[T any](dst *[]T, item func(*T) sink) sink {
	return func(l *loader, path string, n *node) {
		if !l.kind(path, n, yaml.SequenceNode, "a list") {
			return
		}
		all := make([]T, len(n.Content))
		for i, c := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			l.sources[at] = l.source(c, at)
			item(&all[i])(l, at, c)
		}
		*dst = all
	}
}

// scalar takes one scalar, after expansion.
func scalar(v leaf) sink {
	return func(l *loader, path string, n *node) {
		if !l.kind(path, n, yaml.ScalarNode, v.want) {
			return
		}
		text, expanded, err := expand(n.Value, l.references)
		if err != nil {
			l.problem(path, "%v", err)
			return
		}
		tag := n.ShortTag()
		typed := expanded || tag == v.yamlType()
		err = v.set(text)
		switch {
		case typed && err != nil:
			l.problem(path, "%s %v", v.show(n.Value), err)
		case typed:
		case v.yamlType() == strType:
			l.problem(path, "%s is not a string (put it in quotes)", v.show(n.Value))
		case tag == strType && err == nil:
			l.problem(path, "%s is a string, not %s (leave the quotes out)", v.show(n.Value), v.want)
		default:
			l.problem(path, "%s is not %s", v.show(n.Value), v.want)
		}
	}
}

// A pair is one key of a mapping, its path and its value.
type pair struct {
	name, path string
	value      *node
}

// pairs returns the pairs of a mapping in the order of the file, without duplicates, and reports whether n
// is a mapping.
func (l *loader) pairs(path string, n *node, want string) ([]pair, bool) {
	if !l.kind(path, n, yaml.MappingNode, want) {
		return nil, false
	}
	var pairs []pair
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			l.problem(path, "the key in line %d is not a string", k.Line)
			continue
		}
		at := join(path, k.Value)
		if seen[k.Value] {
			l.problemAt(l.source(k, at), "duplicate key")
			continue
		}
		seen[k.Value] = true
		l.sources[at] = l.source(k, at)
		pairs = append(pairs, pair{name: k.Value, path: at, value: v})
	}
	return pairs, true
}

// named calls take for each pair of a mapping whose keys are names of the user's, which name checks. Two
// keys that are the same name are duplicates.
func (l *loader) named(path string, n *node, name check, take func(name string, p pair)) {
	pairs, _ := l.pairs(path, n, "a mapping")
	seen := map[string]bool{}
	for _, p := range pairs {
		name, err := name(p.name)
		switch {
		case err != nil:
			l.problem(p.path, "%q %v", p.name, err)
		case seen[name]:
			l.problem(p.path, "duplicate key")
		default:
			seen[name] = true
			take(name, p)
		}
	}
}

// kind reports whether n has the kind, and to the user if not. A value that is not there is of no kind.
func (l *loader) kind(path string, n *node, kind yaml.Kind, want string) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		l.problem(path, "aliases are not supported (write the value out)")
	case n.Kind == yaml.ScalarNode && n.ShortTag() == nullType:
		l.problem(path, "has no value (leave the key out for the default)")
	case n.Kind == kind:
		return true
	case n.Kind == yaml.MappingNode:
		l.problem(path, "a mapping is not %s", want)
	case n.Kind == yaml.SequenceNode:
		l.problem(path, "a list is not %s", want)
	default:
		l.problem(path, "a single value is not %s", want)
	}
	return false
}

// source is what stands before a problem with the node at path.
func (l *loader) source(n *node, path string) string {
	return fmt.Sprintf("%s:%d: %s", l.file, n.Line, path)
}

// join is the path of a key. A key that would blur the path, or the line it is printed on, is quoted.
func join(path, name string) string {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune("_-", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		name = strconv.Quote(name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}
