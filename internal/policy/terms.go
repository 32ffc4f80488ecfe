package policy

import (
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// terms builds the terms of one document, many with one allocation. One
// goroutine at a time may build; what was built never changes.
type terms struct {
	slab    []ast.Term
	members [][2]*ast.Term // of the objects under way, the innermost last
}

// How many terms are allocated at once.
const (
	minSlab = 16
	maxSlab = 64
)

func newTerms() *terms { return &terms{members: make([][2]*ast.Term, 0, minSlab)} }

func (t *terms) term(v ast.Value) *ast.Term {
	if len(t.slab) == cap(t.slab) {
		t.slab = make([]ast.Term, 0, min(maxSlab, max(minSlab, 2*cap(t.slab))))
	}
	t.slab = append(t.slab, ast.Term{Value: v})
	return &t.slab[len(t.slab)-1]
}

func (t *terms) text(s string) *ast.Term { return t.term(ast.String(s)) }

// word is a text that is likely to be a common one.
func (t *terms) word(s string) *ast.Term {
	if known := common[s]; known != nil {
		return known
	}
	return t.text(s)
}

func (t *terms) texts(list []string) *ast.Term {
	items := make([]*ast.Term, len(list))
	for i, s := range list {
		items[i] = t.text(s)
	}
	return t.term(ast.NewArray(items...))
}

// common are words that many messages have, as terms that are made once.
var common = map[string]*ast.Term{}

func init() {
	for _, s := range []string{
		string(Request), string(Response), string(List), string(ServerRequest),
		"initialize", "ping", "prompts/get", "prompts/list", "resources/list", "resources/read", "tools/call", "tools/list",
		"http", "stdio", "api_key", mcp.Modern,
		"_meta", "arguments", "capabilities", "clientInfo", "content", "cursor", "isError", "name", "params", "progressToken",
		"protocolVersion", "ref", "structuredContent", "text", "title", "type", "uri", "version",
		"io.modelcontextprotocol/clientCapabilities", "io.modelcontextprotocol/clientInfo", "io.modelcontextprotocol/protocolVersion",
	} {
		common[s] = ast.StringTerm(s)
	}
}

// value builds the term of a judged value: from the tree, never from bytes,
// since OPA's own reader forgives what the strict parser refuses.
func (t *terms) value(v mcp.Value) *ast.Term {
	switch v.Kind() {
	case '{':
		if v.Text() == "{}" {
			return ast.InternedEmptyObject
		}
		o := t.object()
		for name, m := range v.Members() {
			o.add(t.word(name.String()), t.value(m))
		}
		return o.term()
	case '[':
		items := []*ast.Term{}
		for item := range v.Items() {
			items = append(items, t.value(item))
		}
		return t.term(ast.NewArray(items...))
	}
	return t.term(scalar(v))
}

// scalar is the value of what is neither an object nor an array.
func scalar(v mcp.Value) ast.Value {
	switch v.Kind() {
	case '"':
		return ast.String(v.String())
	case '0':
		return ast.Number(v.Text())
	case 't':
		return ast.InternedTerm(true).Value
	case 'f':
		return ast.InternedTerm(false).Value
	}
	return ast.NullValue
}

func valueTerm(v mcp.Value) *ast.Term { return newTerms().value(v) }

// An object collects the members of an ast.Object. While it does, none may be
// added to an object that began before it.
type object struct {
	t    *terms
	from int
}

func (t *terms) object() object { return object{t, len(t.members)} }

func (o object) add(key, value *ast.Term) {
	o.t.members = append(o.t.members, [2]*ast.Term{key, value})
}

// text and word leave out what is empty.
func (o object) text(key *ast.Term, s string) {
	if s != "" {
		o.add(key, o.t.text(s))
	}
}

func (o object) word(key *ast.Term, s string) {
	if s != "" {
		o.add(key, o.t.word(s))
	}
}

func (o object) term() *ast.Term {
	members := o.t.members[o.from:]
	o.t.members = o.t.members[:o.from]
	return o.t.term(ast.NewObject(members...))
}
