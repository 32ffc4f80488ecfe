package policy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// A Snapshot is one activated bundle: compiler, data and query, none of which
// ever changes. Whoever pins a snapshot for an exchange judges all of it by
// the same revision, whatever is loaded meanwhile.
type Snapshot struct {
	Revision string // of the manifest, or else the digest's first twelve digits
	SHA256   string // hex digest of the bundle
	Loaded   time.Time
	Size     int64 // of the bundle's files, in bytes

	compiler *ast.Compiler
	store    storage.Store
	txn      storage.Transaction // open as long as the snapshot lives
	query    ast.Body            // decision = data.mcp.decision
	qc       ast.QueryCompiler
	possible ast.Body // data.mcp.decision.allow = true
	reads    *reads
	exprs    map[*ast.Expr]*reads // what each expression reads
	scanner  *scanner             // nil if the policy reads no scan
	bounds   bounds               // empty if the policy reads none
	secrets  secrets              // what an answer may name to be redacted
	warnings []string
	rules    []ast.Ref        // that may be concluded
	visible  memo[Decision]   // what Visible answered
	settled  memo[settlement] // what Decide need not ask again
	workers  *workers
	timeout  time.Duration
}

const answer = ast.Var("decision")

// Warnings are what no input can be, as in a misspelt member of it: rules that
// ask for it never apply. Each says where it is.
func (s *Snapshot) Warnings() []string { return s.warnings }

// newSnapshot compiles a bundle for the rule at path, as in mcp/decision.
func newSnapshot(b *bundle.Bundle, files map[string][]byte, digest, path string) (*Snapshot, error) {
	s := &Snapshot{Revision: revisionOf(b, digest), SHA256: digest, Loaded: time.Now()}
	modules := make(map[string]*ast.Module, len(b.Modules))
	old := false
	for _, m := range b.Modules {
		modules[m.Path] = m.Parsed
		old = old || versionOf(b, m.RelativePath) == ast.RegoV0
	}
	s.compiler = NewCompiler().WithStrict(old) // what v1 forbids anyway: deprecated built-ins, shadowed input
	if s.compiler.Compile(modules); s.compiler.Failed() {
		return nil, fmt.Errorf("compile: %w", s.compiler.Errors)
	}
	wholes := wholesOf(s.compiler)
	data, err := dataOf(files, *b.Manifest.Roots, func(place []string) bool { return !wholes.include(place) })
	if err != nil {
		return nil, err
	}
	s.store = newStore(data)
	ctx := context.Background()
	if s.txn, err = s.store.NewTransaction(ctx); err != nil {
		return nil, fmt.Errorf("open data: %w", err)
	}
	if wrong := ast.CheckPathConflicts(s.compiler, storage.NonEmpty(ctx, s.store, s.txn)); len(wrong) > 0 {
		return nil, fmt.Errorf("compile: %w", wrong)
	}
	rule := ast.DefaultRootRef
	for part := range strings.SplitSeq(path, "/") {
		rule = rule.Append(ast.StringTerm(part))
	}
	if len(s.compiler.GetRules(rule)) == 0 {
		return nil, fmt.Errorf("no rule %s", rule)
	}
	s.qc = s.compiler.QueryCompiler()
	decision := ast.NewBody(ast.Equality.Expr(ast.NewTerm(answer), ast.NewTerm(rule)))
	if s.query, err = s.qc.Compile(decision); err != nil {
		return nil, fmt.Errorf("compile query: %w", err)
	}
	allow := ast.NewBody(ast.Equality.Expr(ast.NewTerm(rule.Append(ast.StringTerm("allow"))), ast.InternedTerm(true)))
	if s.possible, err = s.compiler.QueryCompiler().Compile(allow); err != nil {
		return nil, fmt.Errorf("compile query: %w", err)
	}
	s.warnings = warnings(modules)
	s.reads = readsOf(s.compiler)
	s.exprs = exprsOf(s.compiler)
	s.rules = rulesOf(s.compiler, rule)
	s.visible.size, s.settled.size = maxVisible, maxSettled
	plain := data.plain()
	if s.reads.member("scan") {
		s.scanner = newScanner(plain)
	}
	s.secrets = newSecrets(plain)
	if s.reads.member("bounds") {
		s.bounds = newBounds(plain)
	}
	return s, nil
}

// revisionOf is the revision of the manifest, or else the digest's first twelve
// digits.
func revisionOf(b *bundle.Bundle, digest string) string {
	if b.Manifest.Revision == "" {
		return digest[:12]
	}
	return b.Manifest.Revision
}

// unsafe built-ins reach out of the process, tell what is within it, or spend
// without bound on what a client chose: a number, a template that loops. Those
// that recurse as deep as their argument goes end the process when the stack is
// full, which nothing can recover from.
var unsafe = map[string]bool{
	"http.send": true, "net.lookup_ip_addr": true, "opa.runtime": true,
	"rego.parse_module": true, "trace": true, "bits.lsh": true,
	"strings.render_template": true,
	// These also open what a $ref to a file:// URL names, which no capability forbids.
	"json.match_schema": true, "json.verify_schema": true,
	"graphql.is_valid": true, "graphql.parse": true, "graphql.parse_and_verify": true,
	"graphql.parse_query": true, "graphql.parse_schema": true, "graphql.schema_is_valid": true,
}

func capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	safe := make([]*ast.Builtin, 0, len(c.Builtins))
	for _, b := range c.Builtins {
		if !unsafe[b.Name] {
			safe = append(safe, b)
		}
	}
	c.Builtins, c.AllowNet = safe, []string{}
	return c
}

// Decide judges an input. It always returns a decision: what fails in any way
// is one with Err set, which does not allow. It returns at the deadline even
// when a built-in does not, and may be called by many goroutines at once. A
// decision that does not depend on the message may be a remembered one.
func (s *Snapshot) Decide(in *Input) Decision { return s.timed(in, s.recall) }

// timed gets a decision, and notes how long it took.
func (s *Snapshot) timed(in *Input, decide func(*Input) Decision) Decision {
	start := time.Now()
	if in.shared == nil {
		in.Begin()
	}
	d := decide(s.examined(in))
	d.Eval = time.Since(start)
	return d
}

// examined is the input with its scan, and with whether it keeps its bounds, as
// far as the policy reads these.
func (s *Snapshot) examined(in *Input) *Input {
	scan := (*scan)(nil)
	if s.scanner != nil {
		scan = s.scanner.of(in)
	}
	kept := s.bounds.kept(in)
	if scan == nil && !kept {
		return in
	}
	examined := *in
	examined.scan, examined.kept = scan, kept
	return &examined
}

// answerOf runs the query for the decision about an input.
func (s *Snapshot) answerOf(q *topdown.Query, input *ast.Term) (d Decision, err error) {
	results := 0
	err = q.Iter(context.Background(), func(r topdown.QueryResult) error {
		results++
		d, err = s.parse(r[answer], input)
		return err
	})
	if err == nil && results != 1 {
		err = errUndefined
	}
	return d, err
}

// varyingCalls is where an evaluation notes its calls of built-ins whose answer
// changes. It may be looked at when the evaluation has ended.
func (s *Snapshot) varyingCalls() builtins.NDBCache {
	if !s.reads.varies {
		return nil
	}
	return builtins.NDBCache{}
}

func (s *Snapshot) newQuery(body ast.Body, input *ast.Term, cancel topdown.Cancel) *topdown.Query {
	return topdown.NewQuery(body).WithQueryCompiler(s.qc).WithCompiler(s.compiler).
		WithStore(s.store).WithTransaction(s.txn).WithInput(input).WithCancel(cancel).
		WithIndexing(true).WithEarlyExit(true).WithStrictBuiltinErrors(true).WithMetrics(metrics.NoOp())
}
