package audit

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/bundle"
	"github.com/open-policy-agent/opa/v1/logging"
	"github.com/open-policy-agent/opa/v1/plugins"
	"github.com/open-policy-agent/opa/v1/plugins/logs"
	"github.com/open-policy-agent/opa/v1/server"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// logPolicy is the bundle that has the rules of package system.log.
func logPolicy(t testing.TB, rules string) *policy.Snapshot {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"mcp.rego": "package mcp\n\ndecision := {\"allow\": true}\n", "log.rego": "package system.log\n\n" + rules,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e := policy.New(policy.Config{Bundle: dir, Decision: "mcp/decision", Timeout: time.Minute, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(e.Close)
	if err := e.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e.Pin()
}

// reference is OPA's own plugin for decision logs.
type reference struct {
	plugin *logs.Plugin
	events []logs.EventV1
}

func (*reference) Start(context.Context) error      { return nil }
func (*reference) Stop(context.Context)             {}
func (*reference) Reconfigure(context.Context, any) {}
func (r *reference) Log(_ context.Context, e logs.EventV1) error {
	r.events = append(r.events, e)
	return nil
}

func newReference(t *testing.T, rules string) *reference {
	t.Helper()
	text := []byte("package system.log\n\n" + rules)
	module, err := ast.ParseModule("log.rego", string(text))
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle.Bundle{Modules: []bundle.ModuleFile{{URL: "log.rego", Path: "log.rego", Raw: text, Parsed: module}}, Data: map[string]any{}}
	b.Manifest.Init()
	m, err := plugins.New([]byte("{}"), "test", inmem.New(), plugins.InitBundles(map[string]*bundle.Bundle{"b": b}), plugins.Logger(logging.NewNoOpLogger()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Stop(context.Background()) })
	r := &reference{}
	m.Register("reference", r)
	if err := m.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := logs.ParseConfig([]byte(`{"plugin":"reference"}`), nil, []string{"reference"})
	if err != nil {
		t.Fatal(err)
	}
	r.plugin = logs.New(c, m)
	return r
}

const maskedInput = `{"version":1,"kind":"tools/call","user":{"id":"alice","roles":["a","b","c"]},"big":9007199254740993,` +
	`"params":{"name":"n","arguments":{"x":[{"y":1},{"y":2}],"z":null}}}`

// maskRules are rules that OPA's plugin and ours read the same way.
var maskRules = map[string]string{
	"none":              ``,
	"remove":            `mask contains "/input/user/id"`,
	"remove two":        `mask contains p if some p in ["/input/user/id", "/input/params/arguments"]`,
	"remove all":        `mask contains "/input"`,
	"remove the result": `mask contains "/result/reason"`,
	"remove op":         `mask contains {"op": "remove", "path": "/input/params"}`,
	"not there":         `mask contains "/input/params/nothing/there"`,
	"within a string":   `mask contains "/input/kind/x"`,
	"an item":           `mask contains "/input/user/roles/1"`,
	"no such item":      `mask contains p if some p in ["/input/user/roles/3", "/input/user/roles/-1", "/input/user/roles/x"]`,
	"in an item":        `mask contains "/input/params/arguments/x/1/y"`,
	"upsert":            `mask contains {"op": "upsert", "path": "/input/user/id", "value": "***"}`,
	"upsert new":        `mask contains {"op": "upsert", "path": "/input/a/b/c", "value": {"d": [1, 2.50]}}`,
	"upsert all":        `mask contains {"op": "upsert", "path": "/input", "value": 7}`,
	"upsert an item":    `mask contains {"op": "upsert", "path": "/input/params/arguments/x/0", "value": null}`,
	"upsert in a text":  `mask contains {"op": "upsert", "path": "/input/kind/x", "value": 1}`,
	"upsert past":       `mask contains {"op": "upsert", "path": "/input/user/roles/3", "value": 1}`,
	"upsert, no value":  `mask contains {"op": "upsert", "path": "/input/user/id"}`,
	"in order":          `mask := [{"op": "upsert", "path": "/input/user", "value": {"id": "x"}}, "/input/user/id"]`,
	"cache":             `mask contains "/nd_builtin_cache"`,
	"by the event":      `mask contains "/input/params" if { input.path == "mcp/decision"; input.input.kind == "tools/call"; input.result.allow == false }`,
	"drop":              `drop if input.input.user.id == "alice"`,
	"drop nobody":       `drop if input.input.user.id == "bob"`,
	"drop is no true":   `drop := "yes"`,
	"drop and mask":     "drop if input.decision_id == \"D1\"\n\nmask contains \"/input\"",
}

// TestMaskAsOPA masks an event by our rules and by OPA's own plugin.
func TestMaskAsOPA(t *testing.T) {
	for name, rules := range maskRules {
		rules = "import rego.v1\n\n" + rules
		ev := maskedEvent(t)
		var drop bool
		var err error
		if rules := prepared(t, logPolicy(t, rules)); (rules == nil) != (name == "none") {
			t.Errorf("%s: rules %v", name, rules)
		} else if rules != nil {
			drop, err = ev.mask(rules)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r, before := newReference(t, rules), maskedEvent(t)
		before.Input = decoded(t, maskedInput)
		err = r.plugin.Log(t.Context(), &server.Info{DecisionID: before.DecisionID, Path: before.Path, Input: &before.Input, Results: &before.Result, Timestamp: before.Timestamp})
		if err != nil {
			t.Fatal(err)
		}
		if drop || len(r.events) != 1 {
			if drop != (len(r.events) == 0) {
				t.Errorf("%s: dropped %v, and OPA kept %d", name, drop, len(r.events))
			}
			continue
		}
		want := r.events[0]
		opts := cmpopts.EquateEmpty()
		if d := cmp.Diff(shown(t, want.Input), shown(t, ev.Input), opts) + cmp.Diff(shown(t, want.Result), shown(t, ev.Result), opts) +
			cmp.Diff(want.Erased, ev.Erased, opts) + cmp.Diff(want.Masked, ev.Masked, opts); d != "" {
			t.Errorf("%s (-OPA +ours):\n%s", name, d)
		}
	}
}

func prepared(t testing.TB, s *policy.Snapshot) *policy.LogRules {
	t.Helper()
	r, err := s.LogRules()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func maskedEvent(t testing.TB) *event {
	t.Helper()
	return newEvent(&Entry{
		Time: time.Unix(1, 0), DecisionID: "D1", Outcome: Deny, Code: "policy_deny", Reason: "no", Input: []byte(maskedInput),
	}, map[string]string{"id": "x"}, "mcp/decision")
}

// shown is a value as JSON, with sorted names; a *any is what it points to.
func shown(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		text, err = json.Marshal(decoded(t, string(text)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// decoded is what a JSON text stands for, its numbers as they are written.
func decoded(t testing.TB, text string) (v any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestMaskFailsClosed gives rules that OPA's plugin loses events by, or skips
// in silence. Of such an event nothing is told that a rule might have masked.
func TestMaskFailsClosed(t *testing.T) {
	for name, rules := range map[string]string{
		"conflict":      "mask := [\"/input/a\"] if true\n\nmask := [\"/input/b\"] if true",
		"type error":    `mask contains "/input/user" if { x := input.input.kind; to_number(x) > 0 }`,
		"no list":       `mask := "/input/user"`,
		"no path":       `mask contains "input/user"`,
		"another part":  `mask contains "/labels/id"`,
		"no op":         `mask contains {"path": "/input/user"}`,
		"unknown op":    `mask contains {"op": "hide", "path": "/input/user"}`,
		"a number":      `mask contains 7`,
		"drop conflict": "drop if true\n\ndrop := false if true",
	} {
		ev := maskedEvent(t)
		drop, err := ev.mask(prepared(t, logPolicy(t, "import rego.v1\n\n"+rules)))
		if text, textErr := ev.text(); err == nil || drop || textErr != nil || strings.Contains(string(text), "alice") ||
			!strings.Contains(string(text), `"erased":["/input","/result"]`) {
			t.Errorf("%s: %v, dropped %v: %s", name, err, drop, text)
		}
	}
}

// A name that OPA cannot reach is masked all the same.
func TestMaskOddNames(t *testing.T) {
	for rule, name := range map[string]string{"/input/a b": "a b", "/input/a%20b": "a b", "/input/a%2Fb": "a/b", "/input/50%": "50%"} {
		ev := &event{Input: map[string]any{name: "canary"}}
		rules, err := parseMask([]any{rule})
		if err != nil {
			t.Fatal(err)
		}
		if rules[0].apply(ev); len(ev.Erased) != 1 || len(ev.Input.(map[string]any)) != 0 {
			t.Errorf("%s: %v", rule, ev.Input)
		}
	}
}
