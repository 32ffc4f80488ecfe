package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/tester"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

func parse(t testing.TB, text string) mcp.Value {
	t.Helper()
	v, err := mcp.ParseValue(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// call is the record of a tool call that was allowed, or denied for a reason.
func call(t testing.TB, n int, user, tool, args, reason string) string {
	t.Helper()
	var out strings.Builder
	r := &audit.Record{
		Time: time.Unix(1_700_000_000+int64(n), 0), DecisionID: fmt.Sprintf("D%d", n), Mode: "enforce", Outcome: audit.Allow, Reason: reason,
		Input: &policy.Input{
			Phase: policy.Request, Kind: "tools/call", Server: "s", User: policy.User{ID: user, Roles: []string{"dev", "ops"}, Auth: "api_key"},
			Tool:   &policy.Tool{Name: tool, Args: parse(t, args)},
			Params: parse(t, fmt.Sprintf(`{"name":%q,"arguments":%s}`, "t", args)),
		},
	}
	if reason != "" {
		r.Outcome = audit.Deny
	}
	if err := audit.NewLog(&out, true).Write(r); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func run(t testing.TB, r *Replay, inputs ...string) (*Report, []Case) {
	t.Helper()
	files := make([]Input, len(inputs))
	for i, text := range inputs {
		files[i] = Input{"x", strings.NewReader(text)}
	}
	report, cases, err := r.Run(context.Background(), files...)
	if err != nil {
		t.Fatal(err)
	}
	return report, cases
}

const denyEcho = `default decision := {"allow": true}
decision := {"allow": false, "reason": "loud", "code": "validation_failed"} if input.tool.name == "echo"
decision := {"allow": input.kind} if input.tool.name == "broken"
decision := {"allow": true, "patch": {"a": 1}} if input.tool.name == "patched"
decision := {"allow": true, "patch": [{"op": "test", "path": "/a", "value": 1}]} if input.tool.name == "tested"`

func TestChanges(t *testing.T) {
	t.Parallel()
	s := load(t, denyEcho, `{}`).Pin()
	for _, c := range []struct{ tool, args, was, change, missing string }{
		{"x", `{}`, "", "", ""},
		{"x", `{}`, "old", NewlyAllowed, ""},
		{"echo", `{}`, "", NewlyDenied, ""},
		{"echo", `{}`, "old", "", ""},
		{"broken", `{}`, "", Failed, ""},
		{"broken", `{}`, "old", Failed, ""},
		{"patched", `{}`, "", PatchedOtherwise, ""},
		{"patched", `{"password":1}`, "", "", "params.arguments"},
		{"tested", `{"a":1}`, "", PatchedOtherwise, ""},
		{"tested", `{"a":2}`, "", Failed, ""},
	} {
		report, _ := run(t, &Replay{New: s}, call(t, 1, "alice", c.tool, c.args, c.was))
		for _, change := range Changes {
			if want := map[bool]int{true: 1}[change == c.change]; report.Changes[change] != want {
				t.Errorf("%+v: %d %s", c, report.Changes[change], change)
			}
		}
		if c.missing != "" && report.Missing[c.missing] != 1 || c.missing == "" && report.NotReplayable != 0 {
			t.Errorf("%+v lacks %v", c, report.Missing)
		}
	}
}

// What a redaction makes of a result nobody can tell; of a request it is an error.
func TestRedactionIsNotReplayed(t *testing.T) {
	t.Parallel()
	s := load(t, `decision := {"allow": true, "redact": ["k"]}`, `{"secrets": {"k": "k"}}`).Pin()
	request := call(t, 1, "alice", "x", `{}`, "")
	response := strings.ReplaceAll(request, `"phase":"request"`, `"phase":"response"`)
	if response == request {
		t.Fatal(request)
	}
	report, _ := run(t, &Replay{New: s}, response, request)
	if report.Missing["response"] != 1 || report.NotReplayable != 1 || report.Changes[Failed] != 1 {
		t.Errorf("%+v", report)
	}
}

func TestSkipped(t *testing.T) {
	t.Parallel()
	good := strings.TrimSpace(call(t, 1, "alice", "x", `{}`, ""))
	lines := []string{
		good, "", `{"ts":"202`, "not a record", `{}`, `{"ts":1}`, `{"ts":"2026-01-01T00:00:00Z","outcome":"reject","status":400}`,
		`{"ts":"2026-01-01T00:00:00Z","outcome":"allow"}`, `{"ts":"2026-01-01T00:00:00Z","decision_id":"D1","candidate":{"change":"newly_denied"}}`,
		strings.Replace(good, `"outcome":"allow"`, `"outcome":"perhaps"`, 1), good + good, strings.Replace(good, `"ts":"20`, `"ts":"x0`, 1),
	}
	report, _ := run(t, &Replay{New: load(t, denyEcho, `{}`).Pin()}, strings.Join(lines, "\n"))
	want := map[string]int{skipUnreadable: 7, skipRejected: 1, skipNoInput: 1, skipCandidate: 1}
	if report.Records != 1 || report.Unchanged != 1 || fmt.Sprint(report.Skipped) != fmt.Sprint(want) {
		t.Errorf("%d records, skipped %v", report.Records, report.Skipped)
	}
}

// The report is the same however the records are spread over files and workers.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	s := load(t, denyEcho, `{}`).Pin()
	lines := make([]string, 0, 3000)
	for n := range 3000 {
		lines = append(lines, call(t, n, fmt.Sprintf("u%d", n%7), []string{"echo", "x", "broken"}[n%3], `{}`, []string{"", "old"}[n%2]))
	}
	report := func(inputs ...string) string {
		r, _ := run(t, &Replay{New: s}, inputs...)
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	want := report(strings.Join(lines, ""))
	slices.Reverse(lines)
	if got := report(strings.Join(lines[:100], ""), strings.Join(lines[100:], "")); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if !strings.Contains(want, `"examples":["D`) || !strings.Contains(want, `"records":3000`) {
		t.Error(want)
	}
}

func TestNamesAreBounded(t *testing.T) {
	t.Parallel()
	r := newReport()
	for n := range maxGroups + 10 {
		rec := &record{id: fmt.Sprint(n), time: time.Unix(int64(n), 0), in: policy.Input{User: policy.User{ID: "u"}, Tool: &policy.Tool{Name: fmt.Sprintf("t%d%s", n, strings.Repeat("ü", 200))}}}
		r.changed(NewlyDenied, "r", rec)
		count(r.Missing, rec.in.Tool.Name, 1)
	}
	r.finish()
	if len(r.Groups) != maxGroups+1 || len(r.By["tool"]) != maxGroups+1 || len(r.Missing) != maxGroups+1 || r.By["tool"][other][NewlyDenied] != 10 || r.Changes[NewlyDenied] != maxGroups+10 {
		t.Errorf("%d groups, %d tools, %d missing", len(r.Groups), len(r.By["tool"]), len(r.Missing))
	}
	if g := r.Groups[1]; len(g.Tool) > maxName+len("…") {
		t.Errorf("a name of %d bytes", len(g.Tool))
	}
}

func TestInputs(t *testing.T) {
	t.Parallel()
	r := &Replay{New: load(t, denyEcho, `{}`).Pin()}
	line := call(t, 1, "alice", "x", `{}`, "")
	report, _ := run(t, r, line+"\n"+line, "", strings.TrimSpace(line))
	if report.Records != 3 {
		t.Errorf("%d records", report.Records)
	}
	if _, _, err := r.Run(context.Background(), Input{"log", io.MultiReader(strings.NewReader(line), broken{})}); err == nil || !strings.Contains(err.Error(), "log:2: disk on fire") {
		t.Errorf("broken: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := r.Run(ctx, Input{"log", strings.NewReader(strings.Repeat(line, 10_000))}); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }

func TestFormats(t *testing.T) {
	t.Parallel()
	s := load(t, denyEcho, `{}`).Pin()
	nasty := "ev\x1b[31m\u202eil"
	report, _ := run(t, &Replay{New: s, Against: s}, call(t, 1, nasty, "echo", `{}`, ""))
	if report.Fails(Changes) || report.Against == nil {
		t.Errorf("the same bundle changes something: %+v", report)
	}
	report, _ = run(t, &Replay{New: s}, call(t, 1, nasty, "echo", `{}`, ""), call(t, 2, "bob", "broken", `{}`, ""), call(t, 3, "bob", "patched", `{"pin":1}`, ""))
	for _, format := range []string{Table, JSON, JUnit} {
		var out bytes.Buffer
		if err := report.Write(&out, format, []string{NewlyDenied}); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(out.String(), "\x1b\u202e") && format == Table || !strings.Contains(out.String(), "params.arguments") {
			t.Errorf("%s:\n%q", format, out.String())
		}
		switch format {
		case JSON:
			var back Report
			if err := json.Unmarshal(out.Bytes(), &back); err != nil || back.Changes[NewlyDenied] != 1 || len(back.Groups) != 2 {
				t.Errorf("%v: %+v", err, back)
			}
		case JUnit:
			var back junitSuite
			if err := xml.Unmarshal(out.Bytes(), &back); err != nil || back.Failures != 2 || back.Tests != 4 || back.Skipped != 1 {
				t.Errorf("%v: %+v", err, back)
			}
		}
	}
	if err := report.Write(io.Discard, "yaml", nil); err == nil {
		t.Error("wrote YAML")
	}
}

// Whatever is recorded: the tests compile, pass with the policy that they were
// written by, and show what the policy saw.
func TestWriteTests(t *testing.T) {
	t.Parallel()
	s := load(t, denyEcho, `{}`).Pin()
	var log strings.Builder
	for n, text := range []string{`\"`, `\t`, `\u001b[1m`, `\u2028`, `\ud83d\ude00`, `\udb40\udc41`, "`", `\\x41`, `{{}}`, `é`, `\u007f`, `#`} {
		log.WriteString(call(t, n, "alice", "echo", `{"x":["`+text+`",1e3,-0.5,9007199254740993,null,true]}`, ""))
	}
	log.WriteString(call(t, 90, "bob\nx", "echo", `{"password":"hunter2"}`, ""))
	log.WriteString(call(t, 91, "bob\nx", "echo", `{"password":"hunter2"}`, "")) // the same input
	log.WriteString(call(t, 92, "bob", "patched", `{}`, ""))
	log.WriteString(call(t, 93, "bob", "broken", `{}`, "")) // an error is no example
	_, cases := run(t, &Replay{New: s, Chosen: func(string, string) bool { return true }}, log.String())
	if len(cases) != 14 {
		t.Errorf("%d cases", len(cases))
	}
	var out strings.Builder
	if err := WriteTests(&out, "mcp/decision", s, cases); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "hunter2") || !strings.Contains(out.String(), `"password": "***"`) {
		t.Error(out.String())
	}
	checkTests(t, out.String(), "package mcp\n\n"+denyEcho, len(cases))
}

func checkTests(t *testing.T, tests, module string, want int) {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, dir, "replayed_test.rego", tests)
	writeFile(t, dir, "p.rego", module)
	results, err := tester.Run(context.Background(), dir)
	if err != nil {
		t.Fatalf("%v\n%s", err, tests)
	}
	passed := 0
	for _, r := range results {
		if r.Pass() {
			passed++
		} else {
			t.Errorf("%s", r)
		}
	}
	if passed != want {
		t.Errorf("%d of %d tests passed:\n%s", passed, want, tests)
	}
}

func writeFile(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
