package audit

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A maskRule removes or replaces a part of an event's input or result, as OPA's
// rules for decision logs do.
type maskRule struct {
	path   []string // from input or result on
	upsert bool
	value  any
}

var errMaskRule = errors.New("a rule of data.system.log.mask is none")

// parseMask reads the value of data.system.log.mask: an array or a set of
// paths to remove, as in "/input/params", or of objects with op, path and value.
func parseMask(v any) ([]maskRule, error) {
	if v == nil {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok {
		return nil, errMaskRule
	}
	rules := make([]maskRule, len(list))
	for i, item := range list {
		path, isPath := item.(string)
		if o, ok := item.(map[string]any); ok {
			path, isPath = o["path"].(string)
			switch o["op"] {
			case "remove":
			case "upsert":
				rules[i].upsert, rules[i].value = true, o["value"]
			default:
				return nil, errMaskRule
			}
		}
		parts := strings.Split(path, "/")
		if !isPath || len(parts) < 2 || parts[0] != "" {
			return nil, errMaskRule
		}
		switch rules[i].path = parts[1:]; parts[1] {
		case "input", "result", "nd_builtin_cache": // of the last there is none
		default:
			return nil, errMaskRule
		}
	}
	return rules, nil
}

// apply applies the rule to an event, and notes that it did. A path that is not
// there is none to mask.
func (r *maskRule) apply(e *event) {
	var at *any
	switch r.path[0] {
	case "input":
		at = &e.Input
	case "result":
		at = &e.Result
	}
	if at == nil || *at == nil {
		return
	}
	switch {
	case r.upsert && put(at, r.path[1:], r.value):
		e.Masked = append(e.Masked, r.String())
	case !r.upsert && remove(at, r.path[1:]):
		e.Erased = append(e.Erased, r.String())
	}
}

// String is the path as OPA writes it.
func (r *maskRule) String() string {
	var b strings.Builder
	for _, part := range r.path {
		b.WriteString("/" + url.PathEscape(part))
	}
	return b.String()
}

// remove removes what is at a path, and reports whether it was there.
func remove(at *any, path []string) bool {
	if len(path) == 0 {
		*at = nil
		return true
	}
	switch v := (*at).(type) {
	case map[string]any:
		name := member(v, path[0])
		child, ok := v[name]
		if ok = ok && (len(path) == 1 || remove(&child, path[1:])); !ok {
			return false
		}
		if v[name] = child; len(path) == 1 {
			delete(v, name)
		}
		return true
	case []any:
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 0 || i >= len(v) {
			return false
		}
		if len(path) > 1 {
			return remove(&v[i], path[1:])
		}
		*at = slices.Delete(v, i, i+1)
		return true
	}
	return false
}

// put puts a value at a path, with the objects on the way, and reports whether
// there was a place for it.
func put(at *any, path []string, value any) bool {
	if len(path) == 0 {
		*at = value
		return true
	}
	switch v := (*at).(type) {
	case map[string]any:
		name := member(v, path[0])
		child, ok := v[name]
		if !ok {
			child = map[string]any{}
		}
		if ok = put(&child, path[1:], value); ok {
			v[name] = child
		}
		return ok
	case []any:
		i, err := strconv.Atoi(path[0])
		return err == nil && i >= 0 && i < len(v) && put(&v[i], path[1:], value)
	}
	return false
}

// member is the name that a part of a path stands for: itself, or what it is
// without the escapes of a URL.
func member(v map[string]any, part string) string {
	if _, ok := v[part]; ok {
		return part
	}
	if name, err := url.PathUnescape(part); err == nil {
		return name
	}
	return part
}
