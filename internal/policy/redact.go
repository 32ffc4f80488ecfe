package policy

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// redacted stands in the place of each secret.
const redacted = "[redacted]"

// Opaque members of a judged value, which the client hands back as they are:
// nobody reads them, and a signed token would look like a secret.
var opaque = map[string]bool{"nextCursor": true, "requestState": true}

var (
	errKeys   = errors.New("redact is not an array of strings")
	errPhase  = errors.New("redact is for phase response")
	errSecret = errors.New("redact names no secret of the bundle")
	errInName = fmt.Errorf("%w: a secret is in the name of a member", ErrBadRedact)
)

// redactText is the JSON text of the keys that an answer names, and empty if it
// names none.
func redactText(t *ast.Term) (string, error) {
	list, ok := t.Value.(*ast.Array)
	if !ok {
		return "", errKeys
	}
	keys := make([]string, list.Len())
	for i := range keys {
		key, ok := list.Elem(i).Value.(ast.String)
		if !ok {
			return "", errKeys
		}
		keys[i] = string(key)
	}
	if len(keys) == 0 {
		return "", nil
	}
	slices.Sort(keys)
	text := []byte{'['}
	for _, key := range slices.Compact(keys) {
		text = append(mcp.AppendString(text, key), ',')
	}
	text[len(text)-1] = ']'
	return string(text), nil
}

// parse reads the answer of the policy about an input, and refuses one that
// asks for what cannot be done.
func (s *Snapshot) parse(answer, input *ast.Term) (Decision, error) {
	d, err := parseDecision(answer)
	if err != nil || d.Redact == "" {
		return d, err
	}
	if o, ok := input.Value.(ast.Object); !ok || ast.Compare(valueOf(o.Get(keyPhase)), ast.String(Response)) != 0 {
		return Decision{}, errPhase
	}
	if _, err = s.secrets.named(d.Redact); err != nil {
		return Decision{}, err
	}
	return d, nil
}

// secrets are the bundle's data.secrets by their keys, each compiled when it is
// first named.
type secrets map[string]func() (*secret, error)

func newSecrets(data map[string]any) secrets {
	all := secrets{}
	patterns, _ := data["secrets"].(map[string]any)
	for mark, pattern := range patterns {
		all[mark] = sync.OnceValues(func() (*secret, error) { return newSecret(mark, pattern) })
	}
	return all
}

// named are the secrets of a decision's keys.
func (s secrets) named(keys string) ([]*secret, error) {
	list, err := mcp.ParseValue(keys)
	if err != nil {
		return nil, errKeys
	}
	var named []*secret
	for key := range list.Items() {
		compile := s[key.String()]
		if compile == nil {
			return nil, errSecret
		}
		k, err := compile()
		if err != nil {
			return nil, err
		}
		named = append(named, k)
	}
	return named, nil
}

// Redact takes what a decision names out of a judged value. It returns the whole
// text in which the value stands, of which nothing else is changed, or an empty
// one if there is nothing to take out. It keeps to the deadline of a decision.
//
// In every string, whatever one of the patterns matches is replaced; where
// matches overlap, all of them by one mark. In a name it is an error, since a
// name cannot be replaced without moving its value.
func (s *Snapshot) Redact(v mcp.Value, keys string) (string, error) {
	return within(s.workers, len(v.Text()), s.timeout, func(topdown.Cancel) (string, error) {
		named, err := s.secrets.named(keys)
		if err != nil {
			return "", err
		}
		r := redaction{secrets: named}
		if err = r.value(v, opaque); err != nil || len(r.edits) == 0 {
			return "", err
		}
		return v.Splice(r.edits), nil
	})
}

// A redaction is one under way.
type redaction struct {
	secrets []*secret
	edits   []mcp.Edit
	reader  reader
}

// value redacts a value but for the strings that are members of that name.
func (r *redaction) value(v mcp.Value, except map[string]bool) error {
	switch v.Kind() {
	case '{':
		for name, m := range v.Members() {
			if _, unclean := r.string(name); unclean {
				return errInName
			}
			if m.IsString() && except[name.String()] {
				continue
			}
			if err := r.value(m, nil); err != nil {
				return err
			}
		}
	case '[':
		for item := range v.Items() {
			if err := r.value(item, nil); err != nil {
				return err
			}
		}
	case '"':
		if text, unclean := r.string(v); unclean {
			r.edits = append(r.edits, mcp.Edit{At: v, New: text})
		}
	default: // nothing that could be a secret
	}
	return nil
}

// string returns the JSON text of a string without its secrets, if it has any.
// It looks at the string as it was written, which needs no copy, and at what it
// says if an escape could stand for part of a mark.
func (r *redaction) string(v mcp.Value) (text string, unclean bool) {
	raw := v.Text()
	p := passage{raw[1 : len(raw)-1], true}
	r.reader.left = minReads + len(raw)
	found, ok := []place(nil), false
	if !spelt(p.s) {
		found, ok = r.find(p)
	}
	if !ok {
		p = passage{v.String(), false}
		found, _ = r.find(p)
	}
	if len(found) == 0 {
		return "", false
	}
	return p.without(found), true
}

// find is where the secrets are in a passage. Of an escaped one it may not be
// able to tell.
func (r *redaction) find(p passage) (found []place, ok bool) {
	for _, k := range r.secrets {
		places, ok := k.near(p, &r.reader)
		switch {
		case ok:
		case p.escaped:
			return nil, false
		default:
			places = k.everywhere(p.s)
		}
		found = append(found, places...)
	}
	return union(found), true
}
