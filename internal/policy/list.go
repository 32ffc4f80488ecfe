package policy

import (
	"context"
	"encoding/json"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Visible judges an item of a list: may this caller ever use it? The decision
// allows what stays in the list. The same rules serve list and call:
//
//  1. The item is judged as a call without arguments. What is allowed stays.
//  2. A denial may be about the arguments that are not there yet. So the
//     policy is evaluated partially, with the arguments unknown: if no
//     arguments could lead to an allow, the item goes; if what remains to be
//     known is about the arguments alone, it stays.
//  3. Where that tells nothing (rules that aggregate over arguments), the code
//     of the first denial does: validation_failed and rate_limited say that
//     the caller may, so the item stays; policy_deny says that it may not.
//
// Answers are remembered by all that the policy reads of the caller and item.
// fresh is false for an answer that was only remembered.
func (s *Snapshot) Visible(in *Input) (d Decision, fresh bool) {
	if s.reads.varies {
		return s.judgeItem(in), true
	}
	key := s.itemKey(in)
	if d, ok := s.visible.get(key); ok {
		return d, false
	}
	d = s.judgeItem(in)
	if d.Err == nil {
		s.visible.put(key, d)
	}
	return d, true
}

func (s *Snapshot) judgeItem(in *Input) Decision {
	d := s.Decide(in)
	if d.Allow || d.Err != nil {
		return d
	}
	stays := d.Code != CodeDeny
	if s.reads.args {
		switch s.couldAllow(in) {
		case always, maybe:
			stays = true
		case never:
			stays = false
		}
	}
	d.Allow = stays
	return d
}

// Members of the input that a call has and a list item has not.
var unknowns = []*ast.Term{
	ast.MustParseTerm("input.tool.args"),
	ast.MustParseTerm("input.prompt.args"),
	ast.MustParseTerm("input.params"),
}

func (s *Snapshot) couldAllow(in *Input) truth {
	t := in.term(s.reads)
	could, err := within(s.workers, s.timeout, func(cancel topdown.Cancel) (truth, error) {
		bodies, support, err := s.newQuery(s.possible, t, cancel).
			WithUnknowns(unknowns).WithNondeterministicBuiltins(true).PartialRun(context.Background())
		return newResidue(support).anyOf(bodies), err
	})
	if err != nil {
		return unclear
	}
	return could
}

// itemKey spells out all that the decision about an item may depend on.
func (s *Snapshot) itemKey(in *Input) string {
	var b strings.Builder
	part := func(text string) {
		b.WriteString(text)
		b.WriteByte(0)
	}
	part(in.Server)
	part(in.Kind)
	switch {
	case in.Tool != nil:
		part(in.Tool.Name)
		part(in.Tool.Annotations.Text())
	case in.Resource != nil:
		part(in.Resource.URI)
		if in.Resource.Template {
			part("template")
		}
	case in.Prompt != nil:
		part(in.Prompt.Name)
	}
	part(*once(&in.shared.caller, func() *string { return s.callerKey(in) }))
	return b.String()
}

func (s *Snapshot) callerKey(in *Input) *string {
	facts := []any{in.User, in.ProtocolVersion, in.Transport}
	if s.reads.member("request_ip") {
		facts = append(facts, in.RequestIP)
	}
	if s.reads.member("client") {
		facts = append(facts, in.ClientName, in.ClientVersion)
	}
	if s.reads.member("headers") {
		facts = append(facts, in.Headers)
	}
	text, _ := json.Marshal(facts) // strings, and claims that were JSON
	key := string(text)
	return &key
}

// memo remembers decisions about items. It starts anew when it is full.
type memo struct {
	mu    sync.RWMutex
	items map[string]Decision
}

const memoSize = 1 << 16

func (m *memo) get(key string) (Decision, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	d, ok := m.items[key]
	return d, ok
}

func (m *memo) put(key string, d Decision) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.items == nil || len(m.items) >= memoSize {
		m.items = map[string]Decision{}
	}
	m.items[key] = d
}
