package policy

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// boundWords make the bound of a word of a limit: the one that the rule of this
// word in the starter policies states, for all limits that it knows.
var boundWords map[string]func(limit any) bound

func init() { // it refers to itself
	boundWords = map[string]func(limit any) bound{
		"type":             boundOfType,
		"enum":             boundOfEnum,
		"const":            func(limit any) bound { return boundOfEnum([]any{limit}) },
		"pattern":          boundOfPattern,
		"items":            boundOfItems,
		"minimum":          ordered(func(order int) bool { return order >= 0 }),
		"maximum":          ordered(func(order int) bool { return order <= 0 }),
		"exclusiveMinimum": ordered(func(order int) bool { return order > 0 }),
		"exclusiveMaximum": ordered(func(order int) bool { return order < 0 }),
		"minLength":        counted(length, func(n, limit int) bool { return n >= limit }),
		"maxLength":        counted(length, func(n, limit int) bool { return n <= limit }),
		"minItems":         counted(items, func(n, limit int) bool { return n >= limit }),
		"maxItems":         counted(items, func(n, limit int) bool { return n <= limit }),
	}
}

func boundOfType(limit any) bound {
	names, ok := limit.([]any)
	if !ok {
		names = []any{limit}
	}
	types := make([]func(mcp.Value) bool, len(names))
	for i, name := range names {
		s, _ := name.(string)
		if types[i] = boundTypes[s]; types[i] == nil {
			return broken
		}
	}
	return func(v mcp.Value) bool {
		return slices.ContainsFunc(types, func(is func(mcp.Value) bool) bool { return is(v) })
	}
}

var boundTypes = map[string]func(mcp.Value) bool{
	"string":  mcp.Value.IsString,
	"object":  mcp.Value.IsObject,
	"number":  isKind('0'),
	"array":   isKind('['),
	"null":    isKind('n'),
	"boolean": func(v mcp.Value) bool { return v.Kind() == 't' || v.Kind() == 'f' },
	"integer": func(v mcp.Value) bool { return v.Kind() == '0' && !strings.ContainsAny(v.Text(), ".eE") },
}

func isKind(k jsontext.Kind) func(mcp.Value) bool {
	return func(v mcp.Value) bool { return v.Kind() == k }
}

// boundOfEnum knows values that hold no others.
func boundOfEnum(limit any) bound {
	values, ok := limit.([]any)
	if !ok {
		return broken
	}
	allowed := make([]ast.Value, len(values))
	for i, value := range values {
		v, err := ast.InterfaceToValue(value)
		if err != nil {
			return broken
		}
		allowed[i] = v
	}
	return func(v mcp.Value) bool {
		if v.IsObject() || v.Kind() == '[' {
			return false
		}
		value := scalar(v)
		return slices.ContainsFunc(allowed, func(a ast.Value) bool { return a.Compare(value) == 0 })
	}
}

func boundOfPattern(limit any) bound {
	text, ok := limit.(string)
	pattern, err := regexp.Compile(text)
	if !ok || err != nil {
		return broken
	}
	return func(v mcp.Value) bool { return v.IsString() && pattern.MatchString(v.String()) }
}

func boundOfItems(limit any) bound {
	if _, ok := limit.(map[string]any); !ok {
		return broken
	}
	each := boundOf(limit)
	return func(v mcp.Value) bool {
		for item := range v.Items() {
			if !each(item) {
				return false
			}
		}
		return v.Kind() == '['
	}
}

// ordered compares a number with the limit as OPA does.
func ordered(fits func(order int) bool) func(any) bound {
	return func(limit any) bound {
		n, ok := limit.(json.Number)
		if !ok {
			return broken
		}
		number := ast.Value(ast.Number(n))
		return func(v mcp.Value) bool {
			return v.Kind() == '0' && fits(ast.Compare(ast.Number(v.Text()), number))
		}
	}
}

// counted compares a count, which is negative of what has none, with the limit.
func counted(count func(mcp.Value) int, fits func(n, limit int) bool) func(any) bound {
	return func(limit any) bound {
		text, _ := limit.(json.Number)
		most, err := strconv.Atoi(string(text))
		if err != nil {
			return broken
		}
		return func(v mcp.Value) bool {
			n := count(v)
			return n >= 0 && fits(n, most)
		}
	}
}

func length(v mcp.Value) int {
	if !v.IsString() {
		return -1
	}
	return utf8.RuneCountInString(v.String())
}

func items(v mcp.Value) (n int) {
	if v.Kind() != '[' {
		return -1
	}
	for range v.Items() {
		n++
	}
	return n
}
