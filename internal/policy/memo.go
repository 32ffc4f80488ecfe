package policy

import (
	"crypto/sha256"
	"strconv"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// recall is the decision about an input, remembered if it does not depend on
// the message. What a policy looks at depends on the facts too, so each key is
// watched on its own.
//
// Only what is allowed is remembered, and only what is allowed is watched: a
// caller who makes up names has no work done for it twice.
func (s *Snapshot) recall(in *Input) Decision {
	key := s.factsKey(in)
	before, known := s.settled.get(key)
	if known && before.Allow {
		return before.Decision
	}
	until := time.Now().Add(s.timeout)
	rules := newCache(before.rules)
	d := s.ask(in.term(s.reads), in.size(), nil, rules)
	switch {
	case !d.Allow || before.rules != nil:
	case !known:
		s.settled.put(key, settlement{Decision: s.settle(in, d, until)})
	case before.again < worthwhile:
		before.again++
		s.settled.put(key, before)
	default:
		before.rules = s.conclude(in, rules, until)
		s.settled.put(key, before)
	}
	return d
}

// A settlement is what is remembered of the facts of an input: the decision or,
// if that depends on the message, what some rules come to.
type settlement struct {
	Decision
	again int // how often it was judged anew
	rules conclusions
}

// worthwhile is how often the same facts have to come again: what conclude costs
// is saved in so many decisions.
const worthwhile = 8

// settle is the decision to remember for the facts of an input that led to d:
// d itself if the facts alone lead there before the deadline, without a look at
// the message, and else the zero value, so that the next one is judged again
// but not watched.
func (s *Snapshot) settle(in *Input, d Decision, until time.Time) Decision {
	found, looked := s.looks(s.query, in.facts().term(s.reads), readsMessage, until)
	if looked || len(found) != 1 {
		return Decision{}
	}
	if same, err := parseDecision(found[0][answer]); err != nil || same != d {
		return Decision{}
	}
	return d
}

// facts is the input without all that factsKey leaves out.
func (in *Input) facts() *Input {
	f := *in
	f.Params, f.Response, f.Error, f.Headers = mcp.Value{}, mcp.Value{}, mcp.Value{}, nil
	if in.Tool != nil {
		f.Tool = &Tool{Name: in.Tool.Name, Annotations: in.Tool.Annotations}
	}
	if in.Prompt != nil {
		f.Prompt = &Prompt{Name: in.Prompt.Name}
	}
	return &f
}

// factMembers are the members of the input that factsKey holds; of tool and
// prompt, all but the arguments.
var factMembers = map[string]bool{
	"version": true, "phase": true, "kind": true, "server": true, "user": true, "tool": true,
	"resource": true, "prompt": true, "request_ip": true, "client": true, "protocol_version": true,
	"transport": true, "scan": true, "bounds": true,
}

// factsKey is a digest of all that the policy reads of an input beside the
// message itself.
func (s *Snapshot) factsKey(in *Input) memoKey {
	k := make(keyText, 0, 512).add(string(in.Phase), in.Kind, in.Server, s.caller(in)).addTarget(in)
	if in.scan != nil {
		k = k.add("scan", strconv.FormatBool(in.scan.plain), strconv.FormatBool(in.scan.named)).add(in.scan.marks...)
	}
	if in.kept {
		k = k.add("bounds")
	}
	return sha256.Sum256(k)
}

// itemKey is a digest of all that the decision about an item may depend on.
func (s *Snapshot) itemKey(in *Input) memoKey {
	k := make(keyText, 0, 512).add(in.Server, in.Kind, s.caller(in))
	if s.reads.member("headers") {
		k = k.add(*once(&in.shared.headersText, func() *string {
			text := once(&in.shared.headers, in.headersTerm).String()
			return &text
		}))
	}
	return sha256.Sum256(k.addTarget(in))
}

// addTarget adds what the message is about, read or not: each item of a list
// has a decision, and a record, of its own.
func (k keyText) addTarget(in *Input) keyText {
	if in.Tool != nil {
		k = k.add("tool", in.Tool.Name, in.Tool.Annotations.Text())
	}
	if in.Prompt != nil {
		k = k.add("prompt", in.Prompt.Name)
	}
	if r := in.Resource; r != nil {
		k = k.add("resource", r.URI, strconv.FormatBool(r.Template), strconv.FormatBool(r.Valid),
			r.Scheme, r.Host, r.Port, r.Path, r.Query, r.Fragment)
	}
	return k
}

// caller spells out what the policy reads of the caller and its connection. It
// is the same for all phases of an exchange, and made once.
func (s *Snapshot) caller(in *Input) string {
	if in.shared.callerFor != s {
		in.shared.caller, in.shared.callerFor = s.callerKey(in), s
	}
	return in.shared.caller
}

func (s *Snapshot) callerKey(in *Input) string {
	k := make(keyText, 0, 256)
	for _, m := range [...][2]string{
		{"protocol_version", in.ProtocolVersion},
		{"transport", in.Transport},
		{"request_ip", in.RequestIP},
		{"client", in.ClientName},
		{"client", in.ClientVersion},
	} {
		if s.reads.member(m[0]) {
			k = k.add(m[1])
		}
	}
	if s.reads.member("user") {
		k = k.add(in.User.ID, in.User.Auth, strconv.Itoa(len(in.User.Roles))).add(in.User.Roles...)
		if in.User.Claims != nil {
			k = k.add(once(&in.shared.user, in.userTerm).String())
		}
	}
	return string(k)
}

// A keyText is a list of texts, each after its length: no text can pass for two.
type keyText []byte

func (k keyText) add(texts ...string) keyText {
	for _, t := range texts {
		k = append(append(strconv.AppendInt(k, int64(len(t)), 10), ':'), t...)
	}
	return k
}

type memoKey [sha256.Size]byte

// memo remembers what was decided. It starts anew when it is full.
type memo[T any] struct {
	mu    sync.RWMutex
	items map[memoKey]T
	size  int
}

// How much is remembered, which bounds the memory that it takes.
const (
	maxVisible = 1 << 16
	maxSettled = 1 << 14
)

func (m *memo[T]) get(key memoKey) (T, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	item, ok := m.items[key]
	return item, ok
}

func (m *memo[T]) put(key memoKey, item T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.items == nil || len(m.items) >= m.size {
		m.items = map[memoKey]T{}
	}
	m.items[key] = item
}
