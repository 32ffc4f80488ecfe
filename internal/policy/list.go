package policy

import (
	"context"
	"crypto/sha256"
	"errors"
	"strconv"
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
//  3. Where that tells nothing (an else, rules that aggregate over arguments),
//     the item goes if the denial came about without a look at the arguments.
//
// When in doubt the item stays, since the call will be judged too. Answers are
// remembered by all that the policy reads of the caller and item. fresh is
// false for an answer that was only remembered.
func (s *Snapshot) Visible(in *Input) (d Decision, fresh bool) {
	if in.shared == nil {
		in.Begin()
	}
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
	undefined := errors.Is(d.Err, errUndefined) // as it may well be without arguments
	if d.Allow || d.Err != nil && !undefined {
		return d
	}
	stays := !undefined && d.Code != CodeDeny
	if s.reads.args {
		t := in.term(s.reads)
		switch s.couldAllow(t) {
		case always, maybe:
			stays = true
		case never:
			stays = false
		case unclear:
			stays = stays || s.looksAtArguments(t)
		}
	}
	if stays {
		d.Allow, d.Err = true, nil
	}
	return d
}

// Members of the input that a call has and a list item has not.
var unknowns = []*ast.Term{
	ast.MustParseTerm("input.tool.args"),
	ast.MustParseTerm("input.prompt.args"),
	ast.MustParseTerm("input.params"),
}

func (s *Snapshot) couldAllow(item *ast.Term) truth {
	could, err := within(s.workers, s.timeout, func(cancel topdown.Cancel) (truth, error) {
		bodies, support, err := s.newQuery(s.possible, item, cancel).
			WithUnknowns(unknowns).WithNondeterministicBuiltins(true).PartialRun(context.Background())
		return newResidue(item, support).anyOf(bodies), err
	})
	if err != nil {
		return unclear
	}
	return could
}

// looksAtArguments reports whether the decision about an item came about with
// a look at the arguments that it has not got. Every rule is evaluated for it,
// since the index would look unseen.
func (s *Snapshot) looksAtArguments(item *ast.Term) bool {
	looked, err := within(s.workers, s.timeout, func(cancel topdown.Cancel) (bool, error) {
		w := &argumentWatch{}
		_, err := s.newQuery(s.query, item, cancel).WithIndexing(false).WithQueryTracer(w).Run(context.Background())
		return w.looked, err
	})
	return looked || err != nil
}

// An argumentWatch is a tracer that looks for expressions on the arguments.
type argumentWatch struct{ looked bool }

// Enabled is part of topdown.QueryTracer.
func (*argumentWatch) Enabled() bool { return true }

// Config is part of topdown.QueryTracer.
func (*argumentWatch) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// TraceEvent is part of topdown.QueryTracer.
func (w *argumentWatch) TraceEvent(e topdown.Event) {
	if expr, ok := e.Node.(*ast.Expr); ok && e.Op == topdown.EvalOp && !w.looked {
		w.looked = readsIn(expr).args
	}
}

// itemKey is a digest of all that the decision about an item may depend on.
func (s *Snapshot) itemKey(in *Input) memoKey {
	if in.shared.callerFor != s {
		in.shared.caller, in.shared.callerFor = s.callerKey(in), s
	}
	k := make(keyText, 0, 512)
	k.add(in.Server, in.Kind, in.shared.caller)
	switch {
	case in.Tool != nil:
		k.add(in.Tool.Name, in.Tool.Annotations.Text())
	case in.Resource != nil:
		k.add(in.Resource.URI, strconv.FormatBool(in.Resource.Template))
	case in.Prompt != nil:
		k.add(in.Prompt.Name)
	}
	return sha256.Sum256(k)
}

// callerKey spells out what the policy reads of the caller and its request.
func (s *Snapshot) callerKey(in *Input) string {
	k := keyText{}
	k.add(in.ProtocolVersion, in.Transport, in.RequestIP)
	if s.reads.member("user") {
		k.add(once(&in.shared.user, in.userTerm).String())
	}
	if s.reads.member("client") {
		k.add(in.ClientName, in.ClientVersion)
	}
	if s.reads.member("headers") {
		k.add(once(&in.shared.headers, in.headersTerm).String())
	}
	return string(k)
}

// A keyText is a list of texts, each after its length: no text can pass for two.
type keyText []byte

func (k *keyText) add(texts ...string) {
	for _, t := range texts {
		*k = append(strconv.AppendInt(*k, int64(len(t)), 10), ':')
		*k = append(*k, t...)
	}
}

type memoKey [sha256.Size]byte

// memo remembers decisions about items. It starts anew when it is full.
type memo struct {
	mu    sync.RWMutex
	items map[memoKey]Decision
}

const memoSize = 1 << 16

func (m *memo) get(key memoKey) (Decision, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	d, ok := m.items[key]
	return d, ok
}

func (m *memo) put(key memoKey, d Decision) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.items == nil || len(m.items) >= memoSize {
		m.items = map[memoKey]Decision{}
	}
	m.items[key] = d
}
