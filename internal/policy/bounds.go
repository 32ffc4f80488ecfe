package policy

import (
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// maxBounded is the size of the arguments, in bytes, beyond which it is left to
// the policy whether they keep their bounds: there it has a deadline.
const maxBounded = 64 << 10

// A bound reports whether a value keeps what the bundle's data.arguments says of
// it. It knows the common words of JSON Schema, and says no when in doubt: the
// policy then looks itself.
type bound func(mcp.Value) bool

func broken(mcp.Value) bool { return false }

// bounds are those on the arguments of tools, by server, which may be *, and
// tool. They are made once for a snapshot.
type bounds map[[2]string]bound

func newBounds(data map[string]any) bounds {
	all := bounds{}
	servers, _ := data["arguments"].(map[string]any)
	for server, tools := range servers {
		tools, _ := tools.(map[string]any)
		for name, words := range tools {
			all[[2]string{server, name}] = boundOfArguments(words)
		}
	}
	return all
}

// kept reports whether a call has bounds on its arguments and keeps them all.
func (all bounds) kept(in *Input) bool {
	if in.Phase != Request || in.Kind != "tools/call" || in.Tool == nil || len(in.Tool.Args.Text()) > maxBounded {
		return false
	}
	found := false
	for _, server := range [...]string{in.Server, "*"} {
		if b, ok := all[[2]string{server, in.Tool.Name}]; ok {
			if found = b(in.Tool.Args); !found {
				return false
			}
		}
	}
	return found
}

// boundOfArguments is the bound on all arguments of a tool; a call without them
// has none. Other words than those of an object may mean something to a rule of
// the bundle's own.
func boundOfArguments(words any) bound {
	m, _ := words.(map[string]any)
	for word := range m {
		if !objectWords[word] && !remarks[word] {
			return broken
		}
	}
	b := boundOf(words)
	return func(args mcp.Value) bool {
		if !args.Exists() {
			args = noArguments
		}
		return b(args) && args.IsObject()
	}
}

var noArguments, _ = mcp.ParseValue("{}")

// remarks are words that say nothing of the value, and objectWords those that
// bound an object together.
var (
	remarks     = map[string]bool{"$comment": true, "default": true, "description": true, "examples": true, "title": true}
	objectWords = map[string]bool{"properties": true, "required": true, "additionalProperties": true}
)

// boundOf is the bound that words make up together.
func boundOf(words any) bound {
	m, ok := words.(map[string]any)
	if !ok {
		return broken
	}
	all := []bound(nil)
	object := false
	for word, limit := range m {
		make := boundWords[word]
		switch {
		case make != nil:
			all = append(all, make(limit))
		case objectWords[word]:
			object = true
		case !remarks[word]:
			return broken
		}
	}
	if object {
		all = append(all, boundOfObject(m))
	}
	return allOf(all)
}

func allOf(all []bound) bound {
	return func(v mcp.Value) bool {
		for _, b := range all {
			if !b(v) {
				return false
			}
		}
		return true
	}
}

func boundOfObject(words map[string]any) bound {
	properties, ok1 := optional[map[string]any](words, "properties")
	required, ok2 := optional[[]any](words, "required")
	more, ok3 := optional[bool](words, "additionalProperties")
	if !ok1 || !ok2 || !ok3 {
		return broken
	}
	names := make([]string, len(required))
	for i, name := range required {
		if names[i], ok1 = name.(string); !ok1 {
			return broken
		}
	}
	_, limited := words["additionalProperties"]
	closed, members := limited && !more, map[string]bound{}
	for name, bound := range properties {
		if _, ok := bound.(map[string]any); !ok {
			return broken
		}
		members[name] = boundOf(bound)
	}
	return func(v mcp.Value) bool {
		for _, name := range names { // null is as good as missing
			if m := v.Get(name); !m.Exists() || m.Kind() == 'n' {
				return false
			}
		}
		for name, m := range v.Members() {
			if b := members[name.String()]; b == nil && closed || b != nil && !b(m) {
				return false
			}
		}
		return v.IsObject()
	}
}

// optional is what a word says, which may be missing, and whether it is of its type.
func optional[T any](words map[string]any, word string) (t T, ok bool) {
	limit, found := words[word]
	t, ok = limit.(T)
	return t, ok || !found
}
