package config

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/tailscale/hujson"
	"go.yaml.in/yaml/v3"
)

// isJSON reports whether a file is JSON, by its name.
func isJSON(path string) bool {
	ext := strings.ToLower(filepath.Ext(path))
	return ext == ".json" || ext == ".jsonc"
}

var place = regexp.MustCompile(`line [0-9]+, column [0-9]+`)

// readJSON returns the root of a JSON text, which may hold comments and trailing commas.
func readJSON(data []byte) (*node, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !utf8.Valid(data) {
		return nil, errors.New("it is not UTF-8")
	}
	v, err := hujson.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: it is not JSON", place.FindString(err.Error())) // the rest may quote a secret
	}
	j := jsonReader{data: data, line: 1}
	return j.node(v), nil
}

// A jsonReader makes nodes of values, in the order of the text.
type jsonReader struct {
	data     []byte
	at, line int
}

var wholeNumber = regexp.MustCompile(`^-?[0-9]+$`)

// node is a value as YAML has it, with its line.
func (j *jsonReader) node(v hujson.Value) *node {
	j.line += bytes.Count(j.data[j.at:v.StartOffset], []byte("\n"))
	j.at = v.StartOffset
	n := &node{Line: j.line}
	switch v := v.Value.(type) {
	case *hujson.Object:
		n.Kind = yaml.MappingNode
		for _, m := range v.Members {
			n.Content = append(n.Content, j.node(m.Name), j.node(m.Value))
		}
	case *hujson.Array:
		n.Kind = yaml.SequenceNode
		for _, e := range v.Elements {
			n.Content = append(n.Content, j.node(e))
		}
	case hujson.Literal:
		n.Kind, n.Value, n.Tag = yaml.ScalarNode, string(v), nullType
		switch v.Kind() {
		case '"':
			n.Value, n.Tag = v.String(), strType
		case 't', 'f':
			n.Tag = boolType
		case '0':
			n.Tag = floatType
			if wholeNumber.MatchString(n.Value) {
				n.Tag = intType
			}
		}
	}
	return n
}
