package replay

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
	"github.com/gatehouse-mcp/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// load compiles a policy: data and one module without its package.
func load(t testing.TB, module, data string) *policy.Engine {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"p.rego": "package mcp\n\n" + module, "data.json": data} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e := policy.New(policy.Config{Bundle: dir, Decision: "mcp/decision", Timeout: time.Minute, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(e.Close)
	if err := e.Reload(context.Background()); err != nil {
		t.Fatalf("%v\n%s", err, module)
	}
	return e
}

// conditions are what rules of the random policies ask. Some read what records
// mask, some read around it; some fail for some inputs.
var conditions = []string{
	`input.phase == "request"`, `input.phase in {"request", "list"}`, `input.kind == "tools/call"`, `input.kind != "initialize"`,
	`"dev" in input.user.roles`, `some role in input.user.roles; role != "dev"`, `input.user.id == "alice"`, `not input.user.claims`,
	`input.user.claims.team == "red"`, `user := input.user; user.id == "bob"`, `count(input.user.roles) > 1`,
	`input.tool.name == "pay"`, `startswith(input.tool.name, "p")`, `input.tool.args.n > 3`, `input.tool.args.password`,
	`input.tool.args.password == "hunter2"`, `not input.tool.args.token`, `object.get(input.tool.args, "n", 0) == 5`,
	`args := input.tool.args; args.city == "Bonn"`, `some i; input.tool.args[i] == "Bonn"`, `some k, v in input.tool.args; contains(v, "o")`,
	`input.tool.args.deep[_].secret == 1`, `input.tool.args.deep[0].open == 1`, `every d in input.tool.args.deep { d.open == 1 }`,
	`count([d | d := input.tool.args.deep[_]; d.open]) > 0`, `input.tool.annotations.readOnlyHint`, `input.tool.args.url == "http://u:p@h/"`,
	`input.headers["user-agent"] == "a"`, `input.headers.authorization == "Bearer x"`, `input.headers["x-team"]`, `some h; input.headers[h] == "red"`,
	`name := data.header; input.headers[name] == "a"`, `data.limits[input.tool.name] > object.get(input.tool.args, "n", 9)`,
	`input.resource.scheme == "file"`, `input.resource.valid`, `input.resource.path_segments[0] == "srv"`, `contains(input.resource.uri, "k=1")`,
	`input.resource.template`, `input.prompt.args.pin == "1"`, `input.prompt.name == "greet"`, `input.params._meta`, `input.params.uri`,
	`input.response.content[0].text == "secret"`, `input.response`, `not input.scan.plain`, `input.scan.plain == true`, `input.error.code == 1`, `input.bounds.kept`, `not input.bounds.kept`,
	`input.client.name == "c"`, `input.request_ip == "192.0.2.1"`, `input.transport == "http"`, `input.protocol_version == "2025-11-25"`,
	`input.server == "s"`, `fine(input.tool.name)`, `fine(input.tool.args.password)`, `not helper`, `helper`, `input.tool.args.n in bad`, `count(bad) > 0`,
	`helper with input as {"user": {"id": "alice"}}`, `helper with input.tool.args.password as "x"`, `is_object(input.tool.args)`,
	`startswith(input.tool.args.n, "x")`, `input.tool.args.n / input.tool.args.zero > 1`, `json.marshal(input) != ""`, `time.now_ns() > 5`,
	`rand.intn(input.kind, 2) == 1`, `input[data.member].id == "alice"`, `to_number(input.tool.args.city) > 0`,
}

// answers are what decisions answer.
var answers = []string{
	`{"allow": true}`, `{"allow": true}`, `{"allow": false, "reason": "no"}`, `{"allow": false, "reason": "bad", "code": "validation_failed"}`,
	`{"allow": true, "patch": {"city": "Ulm"}}`, `{"allow": true, "patch": {"password": null}}`,
	`{"allow": true, "patch": [{"op": "replace", "path": "/city", "value": "Ulm"}]}`, `{"allow": input.kind}`,
	`{"allow": true, "reason": input.kind}`, `{"allow": true, "patch": {"city": object.get(input.tool.args, "password", "x")}}`,
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// body is what a rule asks, without the rules that it may not refer to.
func body(r *rand.Rand, without ...string) string {
	var b strings.Builder
	taken := map[string]bool{}
	for len(taken) < 1+r.IntN(3) {
		c := pick(r, conditions)
		if taken[c] || slices.ContainsFunc(without, func(name string) bool { return strings.Contains(c, name) }) {
			continue
		}
		taken[c] = true
		fmt.Fprintf(&b, "\t%s\n", strings.ReplaceAll(c, "; ", "\n\t"))
	}
	return "{\n" + b.String() + "}\n"
}

func module(r *rand.Rand) string {
	var b strings.Builder
	fmt.Fprintf(&b, "fine(x) if x == \"pay\"\nfine(x) if startswith(x, \"hun\")\n")
	fmt.Fprintf(&b, "bad contains 7\nbad contains input.tool.args.n if %s", body(r, "bad", "helper"))
	fmt.Fprintf(&b, "default helper := false\nhelper if %s", body(r, "helper"))
	if r.IntN(2) == 0 {
		fmt.Fprintf(&b, "default decision := %s\n", pick(r, answers[:7]))
	}
	fmt.Fprintf(&b, "decision := %s if %s", pick(r, answers), body(r))
	for range r.IntN(4) {
		fmt.Fprintf(&b, "else := %s if %s", pick(r, answers), body(r))
	}
	if r.IntN(3) == 0 {
		b.WriteString("else := {\"allow\": true}\n")
	}
	return b.String()
}

// A server answers everything, and asks something in between.
type server struct{ r *rand.Rand }

func (s server) Send(_ context.Context, out *mcp.Outgoing) (*mcp.Answer, *mcp.Error) {
	m, _ := mcp.ParseClient(out.Text)
	if !m.IsRequest() {
		return &mcp.Answer{Status: http.StatusAccepted}, nil
	}
	result := pick(s.r, []string{
		`{"content":[{"type":"text","text":"secret"}]}`, `{"content":[{"type":"text","text":"plain \u001b[1m"}]}`,
		`{"tools":[{"name":"pay","annotations":{"readOnlyHint":true}},{"name":"look","annotations":{"apiKey":"k"}}]}`,
		`{"resourceTemplates":[{"uriTemplate":"file:///srv/{x}","name":"t"}],"resources":[{"uri":"file:///srv/a?k=1","name":"u"}]}`,
		`{"prompts":[{"name":"greet"}]}`, `{}`,
	})
	text := `{"jsonrpc":"2.0","id":` + m.ID.Text() + `,"result":` + result + `}`
	if s.r.IntN(4) == 0 {
		text = `{"jsonrpc":"2.0","id":` + m.ID.Text() + `,"error":{"code":1,"message":"token"}}`
	}
	asks := []mcp.Event{{Data: `{"jsonrpc":"2.0","id":9,"method":"elicitation/create","params":{"message":"pin?"}}`}, {Data: text}}
	if s.r.IntN(3) == 0 {
		return &mcp.Answer{Status: http.StatusOK, Events: &events{asks}}, nil
	}
	return &mcp.Answer{Status: http.StatusOK, Text: text}, nil
}

type events struct{ left []mcp.Event }

func (e *events) Next() (mcp.Event, error) {
	if len(e.left) == 0 {
		return mcp.Event{}, context.Canceled
	}
	next := e.left[0]
	e.left = e.left[1:]
	return next, nil
}

func (*events) Close() error { return nil }

type nobody struct{}

func (nobody) Answer(*mcp.Answer) error           { return nil }
func (nobody) Event(*mcp.Answer, mcp.Event) error { return nil }

var messages = []string{
	`"method":"tools/call","params":{"name":"pay","arguments":{"n":5,"city":"Bonn","password":"hunter2","deep":[{"open":1,"secret":1},{"open":1}]}}`,
	`"method":"tools/call","params":{"name":"pay","arguments":{"n":1,"city":"Ulm","deep":[{"open":1}]}}`,
	`"method":"tools/call","params":{"name":"look","arguments":{"n":"x","zero":0,"url":"http://u:p@h/","token":null}}`,
	`"method":"tools/call","params":{"name":"look","arguments":{"city":"***","password":"***"},"_meta":{}}`,
	`"method":"tools/call","params":{"name":"look"}`,
	`"method":"resources/read","params":{"uri":"file:///srv/a?k=1"}`, `"method":"resources/read","params":{"uri":"file:///srv/a"}`,
	`"method":"resources/read","params":{"uri":"http://u:p@h/srv"}`, `"method":"prompts/get","params":{"name":"greet","arguments":{"pin":"1","city":"Bonn"}}`,
	`"method":"tools/list"`, `"method":"resources/list"`, `"method":"resources/templates/list"`, `"method":"prompts/list"`,
	`"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}`,
	`"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"file:///srv/{x}"},"argument":{"name":"x","value":"1"}}`, `"method":"vendor/x","params":{"city":"Bonn"}`,
}

func exchange(r *rand.Rand) *gateway.Exchange {
	h := http.Header{"Accept": {"*/*"}, "User-Agent": {pick(r, []string{"a", "b", "http://x/?a", ""})}, mcp.HeaderVersion: {"2025-11-25"}}
	for name, value := range map[string]string{"Authorization": "Bearer x", "X-Team": "red", "Accept-Language": "\xff"} {
		if r.IntN(3) == 0 {
			h[name] = []string{value}
		}
	}
	caller := &identity.Caller{ID: pick(r, []string{"alice", "bob", "sk-abc"}), Roles: pick(r, [][]string{{"dev"}, {"dev", "dba"}, {}}), Auth: "api_key"}
	if r.IntN(3) == 0 {
		caller.Claims = map[string]any{"team": pick(r, []string{"red", "blue"})}
	}
	return &gateway.Exchange{
		Server: "s", Caller: caller, RequestIP: "192.0.2.1", Transport: "http", Verb: http.MethodPost, Header: h,
		Text: `{"jsonrpc":"2.0","id":1,` + pick(r, messages) + `}`,
	}
}

const randomData = `{"header":"user-agent","member":"user","limits":{"pay":6},"secrets":{"secret":{}},"arguments":{"s":` +
	`{"pay":{"properties":{"n":{"maximum":3},"password":{"maxLength":9}}},"look":{"properties":{"token":{"type":"null"}}}}}}`

// Whatever the policy and the traffic: a record replayed by the very policy that
// made it comes to the very same, or is not replayable.
func TestReplayIsLive(t *testing.T) {
	t.Parallel()
	replayed, total, missing := 0, 0, map[string]int{}
	var mu sync.Mutex
	t.Run("policies", func(t *testing.T) {
		for seed := range uint64(400) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(seed, 1))
				text := module(r)
				e := load(t, text, randomData)
				var log bytes.Buffer
				g := &gateway.Gateway{
					Upstreams: map[string]gateway.Upstream{"s": server{r}}, Policy: e, Configured: true,
					Mode: pick(r, []string{gateway.Enforce, gateway.Permissive}), Audit: audit.NewLog(&log, true), Log: slog.New(slog.DiscardHandler),
					Metrics: gateway.NewMetrics(prometheus.NewRegistry()), Handles: gateway.NewHandles(),
				}
				for range 40 {
					g.Serve(context.Background(), exchange(r), nobody{})
				}
				report, _, err := (&Replay{New: e.Pin()}).Run(context.Background(), Input{"log", strings.NewReader(log.String())})
				if err != nil {
					t.Fatal(err)
				}
				if report.Fails(Changes) || report.Skipped[skipUnreadable] > 0 {
					var out strings.Builder
					_ = report.Write(&out, Table, nil)
					t.Errorf("%s\n%s\n%s", text, out.String(), exampleOf(log.String(), report))
				}
				mu.Lock()
				defer mu.Unlock()
				replayed, total = replayed+report.Unchanged, total+report.Records
				for name, n := range report.Missing {
					missing[name] += n
				}
			})
		}
	})
	if replayed < total/4 || replayed == total {
		t.Errorf("%d of %d records were replayable, which proves little", replayed, total)
	}
	t.Logf("%d of %d records replayed; lacking %v", replayed, total, missing)
}

// exampleOf is the record of a change.
func exampleOf(log string, r *Report) string {
	for line := range strings.Lines(log) {
		if len(r.Groups) > 0 && strings.Contains(line, r.Groups[0].Examples[0]) {
			return line
		}
	}
	return ""
}
