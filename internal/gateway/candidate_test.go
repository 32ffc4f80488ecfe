package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// A trial is a bench with a candidate, whose bundle is in dir.
type trial struct {
	*bench
	dir      string
	registry *prometheus.Registry
}

// newTrial returns a gateway with a policy, and another one as its candidate.
func newTrial(t *testing.T, live, next string) *trial {
	t.Helper()
	b := &trial{newBench(t, live), t.TempDir(), prometheus.NewRegistry()}
	engine := policy.New(policy.Config{Bundle: b.dir, Decision: "mcp/decision", Timeout: 10 * time.Second, Log: b.Log, Trial: true})
	t.Cleanup(engine.Close)
	b.Candidate = NewCandidate(engine, b.registry)
	if next != "" {
		b.replace(next)
	}
	return b
}

// replace replaces the candidate.
func (b *trial) replace(rego string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, "policy.rego"), []byte("package mcp\n\n"+rego), 0o600); err != nil {
		b.t.Fatal(err)
	}
	if err := b.Candidate.Engine.Reload(context.Background()); err != nil {
		b.t.Log(err)
	}
}

// counted is the value of a counter, with a change as its label if it has one.
func (b *trial) counted(name, change string) float64 {
	families, err := b.registry.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (change == "" || m.GetLabel()[0].GetValue() == change) {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// settle judges what waits.
func (b *trial) settle() *CandidateReport {
	b.drain()
	return b.Candidate.Report(b.Policy)
}

func (b *trial) drain() { b.Candidate.drain(b.t.Context(), b.Gateway) }

// differences are the candidate's lines of the audit log.
func (b *trial) differences() (all []map[string]any) {
	for _, r := range b.records() {
		if c, ok := r["candidate"].(map[string]any); ok {
			if r["input"] != nil || r["outcome"] != nil {
				b.t.Errorf("a candidate's line tells of more: %v", r)
			}
			c["decision_id"], c["phase"], c["tool"] = r["decision_id"], r["phase"], r["tool"]
			all = append(all, c)
		}
	}
	return all
}

func TestCandidateChanges(t *testing.T) {
	t.Parallel()
	const request = "default decision := {\"allow\": true}\ndecision := %s if input.phase == \"request\""
	for name, c := range map[string]struct{ live, next, change, reason, outcome string }{
		"denied":         {`{"allow": true}`, `{"allow": false, "reason": "new", "code": "rate_limited"}`, NewlyDenied, "new", "deny"},
		"allowed":        {`{"allow": false, "reason": "old"}`, `{"allow": true}`, NewlyAllowed, "old", "allow"},
		"allowed, error": {`{"allow": input.kind}`, `{"allow": true}`, NewlyAllowed, "policy_error", "allow"},
		"allowed, patch": {`{"allow": false, "reason": "old"}`, `{"allow": true, "patch": {"a": 1}}`, NewlyAllowed, "old", "patch"},
		"error":          {`{"allow": true}`, `{"allow": input.kind}`, Failed, "policy_error", "error"},
		"error, denied":  {`{"allow": false}`, `{"allow": input.kind}`, Failed, "policy_error", "error"},
		"patch":          {`{"allow": true}`, `{"allow": true, "patch": {"a": 1}}`, PatchedOtherwise, "", "patch"},
		"no patch":       {`{"allow": true, "patch": {"a": 1}}`, `{"allow": true}`, PatchedOtherwise, "", "allow"},
		"other patch":    {`{"allow": true, "patch": {"a": 1}}`, `{"allow": true, "patch": {"a": 2}}`, PatchedOtherwise, "", "patch"},
		"same patch":     {`{"allow": true, "patch": {"a": 1, "b": {"c": 1}}}`, `{"allow": true, "patch": {"b": {"c": 1.0}, "a": 1}}`, Unchanged, "", ""},
		"patch denied":   {`{"allow": true, "patch": {"a": 1}}`, `{"allow": object.get(input.tool.args, "a", 0) != 1, "reason": "a", "patch": {"a": 1}}`, NewlyDenied, "a", "deny"},
		"both deny":      {`{"allow": false, "reason": "a"}`, `{"allow": false, "reason": "b"}`, Unchanged, "", ""},
		"both allow":     {`{"allow": true}`, `{"allow": true, "reason": "b"}`, Unchanged, "", ""},
		"both fail":      {`{"allow": input.kind}`, `{"allow": input.phase}`, Unchanged, "", ""},
	} {
		for _, mode := range []string{Enforce, Permissive} {
			t.Run(name+" "+mode, func(t *testing.T) {
				b := newTrial(t, fmt.Sprintf(request, c.live), fmt.Sprintf(request, c.next))
				b.Mode = mode
				alone := newBench(t, fmt.Sprintf(request, c.live))
				alone.Mode = mode
				if got, want := b.post(toolCall("echo", `{"x":"y"}`)), alone.post(toolCall("echo", `{"x":"y"}`)); got.status != want.status || len(b.server.sent) != len(alone.server.sent) {
					t.Errorf("the candidate touched the traffic: %d, not %d", got.status, want.status)
				}
				recorded := b.records()
				report := b.settle()
				lines := b.differences()
				if c.change == Unchanged {
					if len(lines) != 0 || len(report.Table) != 0 || report.Judged != len(recorded) {
						t.Errorf("lines %v, report %+v", lines, report)
					}
					return
				}
				if len(lines) != 1 || lines[0]["change"] != c.change || lines[0]["outcome"] != c.outcome || lines[0]["decision_id"] != recorded[0]["decision_id"] {
					t.Fatalf("lines %v after %v", lines, recorded)
				}
				if len(report.Table) != 1 || report.Totals[c.change] != 1 {
					t.Fatalf("report %+v", report)
				}
				row := report.Table[0]
				if row.Change != c.change || row.Reason != c.reason || row.Tool != "echo" || row.User != "alice" || row.Count != 1 || row.Examples[0] != recorded[0]["decision_id"] {
					t.Errorf("row %+v", row)
				}
				if n := b.counted("gatehouse_candidate_total", c.change); n != 1 {
					t.Errorf("counted %v", n)
				}
			})
		}
	}
}

// All that the policy judges, the candidate judges.
func TestCandidateSeesAll(t *testing.T) {
	t.Parallel()
	b := newTrial(t, allowAll, `decision := {"allow": false, "reason": input.phase}`)
	b.server.answer = func(out *mcp.Outgoing) *mcp.Answer {
		if strings.Contains(out.Text, "tools/list") {
			return result(out, `{"tools":[{"name":"a"},{"name":"b"}]}`)
		}
		return stream(mcp.Event{Data: `{"jsonrpc":"2.0","id":7,"method":"elicitation/create","params":{}}`},
			mcp.Event{Data: `{"jsonrpc":"2.0","method":"notifications/message","params":{}}`}, mcp.Event{Data: result(out, `{}`).Text})
	}
	b.legacy(alice, "", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo"}}`)
	b.legacy(alice, "", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	report := b.settle()
	got := map[string]int{}
	for _, d := range b.differences() {
		got[fmt.Sprint(d["phase"])]++
	}
	want := map[string]int{"request": 2, "server_request": 1, "response": 3, "list": 2}
	if fmt.Sprint(got) != fmt.Sprint(want) || report.Judged != 8 || report.Totals[NewlyDenied] != 8 {
		t.Errorf("differences %v, want %v; %+v", got, want, report)
	}
	// What both remember is no news.
	b.legacy(alice, "", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	b.settle()
	if n := len(b.differences()); n != 10 {
		t.Errorf("%d differences", n)
	}
}

func TestCandidateRestarts(t *testing.T) {
	t.Parallel()
	b := newTrial(t, allowAll, "")
	b.post(toolCall("echo", `{}`))
	if r := b.settle(); r.Judged != 0 || r.Dropped != 0 || r.Candidate.Revision != "" || r.Live.Revision == "" {
		t.Errorf("without a candidate: %+v", r)
	}
	b.replace(`decision := {"allow": false}`)
	b.post(toolCall("echo", `{}`))
	first := b.settle()
	b.replace(`broken`)
	if r := b.settle(); r.Candidate.Error == "" || r.Candidate.Revision != first.Candidate.Revision || r.Judged != first.Judged || first.Judged == 0 {
		t.Errorf("with a broken one: %+v, before %+v", r, first)
	}
	if log := b.log.String(); !strings.Contains(log, `"level":"WARN","msg":"bundle refused"`) || strings.Contains(log, `"ERROR"`) {
		t.Errorf("log %s", log)
	}
	b.replace(`decision := {"allow": false, "reason": "more"}`)
	if r := b.settle(); r.Judged != 0 || len(r.Table) != 0 || r.Candidate.Error != "" || !r.Since.After(first.Since) {
		t.Errorf("after another candidate: %+v", r)
	}
	// What was decided by a policy that is no longer in force is not compared.
	b.post(toolCall("echo", `{}`))
	live := newBench(t, `decision := {"allow": true, "reason": "other"}`)
	b.Policy = live.Policy
	if r := b.settle(); r.Judged != 0 || r.Live.SHA256 == first.Live.SHA256 {
		t.Errorf("after another policy: %+v", r)
	}
	if n := b.counted("gatehouse_candidate_dropped_total", ""); n == 0 {
		t.Error("nothing is counted as dropped")
	}
}

// What waits is bounded in number and in bytes, and so is what is told.
func TestCandidateBounds(t *testing.T) {
	t.Parallel()
	b := newTrial(t, allowAll, `decision := {"allow": false, "reason": input.tool.name}`)
	for range maxWaiting {
		b.post(toolCall("echo", `{}`))
	}
	if r := b.settle(); r.Judged != maxWaiting || r.Dropped != maxWaiting {
		t.Errorf("judged %d, dropped %d", r.Judged, r.Dropped)
	}
	if held := b.Candidate.held.Load(); held != 0 {
		t.Errorf("%d bytes are still held", held)
	}
	large := toolCall("echo", `{"x":"`+strings.Repeat("x", 1<<20)+`"}`)
	for range 20 {
		b.post(large)
	}
	if held := b.Candidate.held.Load(); held > maxHeld || held < maxHeld/2 {
		t.Errorf("%d bytes are held", held)
	}
	b.settle()
	for n := range maxRows + 50 {
		b.post(toolCall(fmt.Sprintf("t%d-%0200d", n, 0), `{}`))
		b.drain()
	}
	r := b.settle()
	if len(r.Table) != maxRows+1 || len(r.Table[1].Tool) > maxName+len("…") {
		t.Errorf("%d rows, such as %+v", len(r.Table), r.Table[1])
	}
	if !slices.ContainsFunc(r.Table, func(row *DifferenceRow) bool { return row.Tool == otherNames && row.Count > 1 }) {
		t.Error("no row for the others")
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}

// While messages pass, both policies are replaced, and the report is read: only
// whole comparisons, of all that was not dropped, and nothing races.
func TestCandidateUnderLoad(t *testing.T) {
	t.Parallel()
	b := newTrial(t, `decision := {"allow": true, "patch": {"a": 1}} if input.phase == "request"
else := {"allow": true}`, `decision := {"allow": false}`)
	b.server.answer = func(out *mcp.Outgoing) *mcp.Answer {
		if strings.Contains(out.Text, "tools/list") {
			return result(out, `{"tools":[{"name":"a","annotations":{"x":1}},{"name":"b"}]}`)
		}
		return result(out, `{}`)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var run, group sync.WaitGroup
	run.Go(func() { b.Candidate.Run(ctx, b.Gateway) })
	for caller := range 4 {
		group.Go(func() {
			for n := range 50 {
				if c := b.post(toolCall(fmt.Sprintf("t%d", n%7), `{"x":[1,2]}`)); c.status != http.StatusOK {
					t.Errorf("client %d got %d %s", caller, c.status, c.text)
				}
				b.legacy(alice, "", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
				_ = b.Candidate.Report(b.Policy)
			}
		})
	}
	group.Go(func() {
		for n := range 20 {
			b.replace(fmt.Sprintf(`decision := {"allow": false, "reason": "%d"}`, n))
		}
	})
	group.Wait()
	for b.Candidate.held.Load() > 0 {
		b.Candidate.Report(b.Policy)
	}
	cancel()
	run.Wait()
	if len(b.differences()) == 0 {
		t.Error("nothing was found to differ")
	}
	b.Log = slog.New(slog.DiscardHandler)
}
