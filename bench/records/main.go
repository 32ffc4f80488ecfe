// Command records writes decision records to standard output, as a gateway with
// a policy would have written them: bench/records -bundle policies -n 1000000.
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

func main() {
	bundle := flag.String("bundle", "policies", "the policy that decides")
	n := flag.Int("n", 1000, "number of records")
	flag.Parse()
	if err := write(*bundle, *n); err != nil {
		fmt.Fprintln(os.Stderr, "records:", err)
		os.Exit(1)
	}
}

func write(bundle string, n int) error {
	engine := policy.New(policy.Config{
		Bundle: bundle, Decision: "mcp/decision", Timeout: time.Second, Log: slog.New(slog.DiscardHandler),
	})
	defer engine.Close()
	if err := engine.Reload(context.Background()); err != nil {
		return err
	}
	s := engine.Pin()
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	log := audit.NewLog(out, true)
	begin := time.Now().Add(-7 * 24 * time.Hour)
	for i := range n {
		in, bad := input(i)
		if bad != nil {
			return bad
		}
		r := &audit.Record{
			Time: begin.Add(7 * 24 * time.Hour / time.Duration(n) * time.Duration(i)), DecisionID: rand.Text(), Input: in,
			Mode: "enforce", Status: http.StatusOK, Revision: s.Revision, SHA256: s.SHA256,
		}
		decide(s, r)
		if err := log.Write(r); err != nil {
			return err
		}
	}
	return errors.Join(out.Flush(), log.Close())
}

func decide(s *policy.Snapshot, r *audit.Record) {
	d := s.Decide(r.Input)
	r.Eval, r.Code, r.Reason = d.Eval, d.Code, d.Reason
	switch {
	case d.Err != nil:
		r.Outcome, r.Status, r.Reason, r.Code = audit.Error, d.Status(), "policy_error", policy.CodeDeny
	case d.Changes():
		r.Outcome = audit.Patch
	case d.Allow:
		r.Outcome = audit.Allow
	default:
		r.Outcome, r.Status = audit.Deny, d.Status()
	}
}

// messages are what is asked, with a place for a number.
var messages = []string{
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"temp.convert","arguments":{"temp":%d,"from":"C","to":"F"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"the quick brown fox, time %d"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"alert.read","arguments":{"id":%d,"token":"abc"}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"database.backup","arguments":{"run":%d}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///srv/public/%d.txt"}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"%d","password":"hunter2"}}}`,
}

var roles = [][]string{{"dev"}, {"reader"}, {"dba"}, {"dev", "dba"}, {}}

// input is the i-th input: a request, and after it the response.
func input(i int) (*policy.Input, error) {
	call := i / 2
	m, bad := mcp.ParseClient(fmt.Sprintf(messages[call%len(messages)], call%20_000))
	if bad != nil {
		return nil, bad
	}
	in := &policy.Input{
		Phase: policy.Request, Kind: m.Method, Server: "demo", Params: m.Params, RequestIP: "192.0.2.7", Transport: "http",
		User:            policy.User{ID: fmt.Sprintf("user-%d", call%997), Roles: roles[call%len(roles)], Auth: "api_key"},
		ProtocolVersion: mcp.Modern, ClientName: "agent", ClientVersion: "3.1",
		Headers: http.Header{
			"Accept": {"application/json, text/event-stream"}, "Authorization": {"Bearer x"}, "User-Agent": {"agent/3.1"},
			"Content-Type": {"application/json"}, "X-Request-Id": {"6dd2b7b4"}, mcp.HeaderVersion: {mcp.Modern},
		},
	}
	if m.Method == "tools/call" {
		in.Tool = &policy.Tool{Name: m.Params.Get("name").String(), Args: m.Params.Get("arguments")}
	} else {
		in.Resource = policy.ParseResource(m.Params.Get("uri").String())
	}
	if i%2 == 1 {
		result, err := mcp.ParseValue(`{"content":[{"type":"text","text":"done"}]}`)
		if err != nil {
			return nil, err
		}
		in.Phase, in.Response = policy.Response, result
	}
	return in, nil
}
