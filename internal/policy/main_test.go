package policy

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is a deadline that no evaluation of a test comes near.
const patience = time.Minute

// load compiles files as a bundle, with a deadline that no test comes near.
func load(t testing.TB, files map[string]string) *Snapshot {
	t.Helper()
	s, err := tryLoad(t, files)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tryLoad(t testing.TB, files map[string]string) (*Snapshot, error) {
	t.Helper()
	raw := map[string][]byte{}
	for name, text := range files {
		raw[name] = []byte(text)
	}
	b, err := parseBundle(raw, nil)
	if err != nil {
		return nil, err
	}
	s, err := newSnapshot(b, raw, strings.Repeat("0", 64), "mcp/decision")
	if err != nil {
		return nil, err
	}
	s.workers, s.timeout = newWorkers(), patience
	t.Cleanup(s.workers.close)
	return s, nil
}

// rego compiles one module of package mcp.
func rego(t testing.TB, module string) *Snapshot {
	t.Helper()
	return load(t, map[string]string{"p.rego": "package mcp\n" + module})
}

// value parses a JSON text.
func value(t testing.TB, text string) mcp.Value {
	t.Helper()
	v, err := mcp.ParseValue(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// call is a call of a tool, as the gateway describes it.
func call(t testing.TB, name, args string) *Input {
	t.Helper()
	params := value(t, `{"name":"`+name+`","arguments":`+args+`}`)
	in := &Input{
		Phase: Request, Kind: "tools/call", Server: "s", Params: params,
		Tool: &Tool{Name: name, Args: params.Get("arguments")},
		User: User{ID: "alice", Roles: []string{"dev"}, Auth: "api_key"},
	}
	in.Begin()
	return in
}

// evaluate asks the policy, whatever is remembered.
func (s *Snapshot) evaluate(in *Input) Decision {
	return s.ask(in.term(s.reads), in.size(), nil, nil)
}
