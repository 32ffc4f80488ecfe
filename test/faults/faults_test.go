// Package faults breaks what the gateway depends on and looks at what becomes
// of the messages, and whether the process lives. It runs the real binary in
// front of a real MCP server, whose tool counts its calls.
package faults

import (
	"encoding/json"
	"strings"
	"testing"
)

// A fault is one thing that breaks, and what becomes in enforce mode of the call that meets it.
type fault struct {
	name   string
	breaks func(*testing.T, *stage)
	class  class
	want   want
}

// A class says in which modes a fault is tried, and what is to come of it in those beside enforce.
type class map[mode]func(want) want

var (
	aRule   = class{enforce: same, open: passes, permissive: passes}               // open is onError: allow
	aBundle = class{enforce: same, open: passes, permissive: passes, reload: last} // open is onMissing: allow
	aSource = class{enforce: same}                                                 // of bundles
	aServer = class{enforce: same, permissive: same}
	aClient = class{enforce: same, permissive: same}
	aRecord = class{enforce: same, permissive: unrecorded}
	thisOne = class{enforce: same, permissive: same} // the process itself
)

func same(w want) want     { return w }
func last(want) want       { return inForce }
func unrecorded(want) want { return want{status: 200, executed: 1} }

// passes is what becomes of what the policy failed to judge, where that may pass.
func passes(w want) want {
	w.status, w.executed = 200, 1
	return w
}

// A want is what is to come of a call: what the client gets, the one record that tells why, and whether
// the tool was executed.
type want struct {
	status   int    // 0: the client did not wait for it
	phase    string // of the record; empty: there is none
	outcome  string
	says     string // the reason, or a part of the message
	executed int64
	streamed bool // the error is the last event of a stream of status 200
}

var (
	policyError   = want{status: 403, phase: "request", outcome: "error", says: "policy_error"}
	resultError   = want{status: 403, phase: "response", outcome: "error", says: "policy_error", executed: 1} // nothing of the result reaches the client
	timedOut      = want{status: 403, phase: "request", outcome: "error", says: "the policy timed out"}
	policyMissing = want{status: 403, phase: "request", outcome: "error", says: "policy_missing"}
	inForce       = want{status: 200, phase: "request", outcome: "allow", executed: 1} // judged by the last good bundle
	notRecorded   = want{status: 503}
)

// served is a call that was judged and executed, and whose answer is told instead.
func served(status int, says string) want {
	return want{status: status, phase: "response", outcome: "reject", says: says, executed: 1}
}

// failed is a call that was judged, and that the server did not execute.
func failed(status int, says string) want {
	return want{status: status, phase: "response", outcome: "reject", says: says}
}

// refused is a message that is not one, and that nobody judged.
func refused(status int, says string) want {
	return want{status: status, phase: "request", outcome: "reject", says: says}
}

func TestFaults(t *testing.T) {
	for _, f := range faults {
		for m, other := range f.class {
			t.Run(f.name+"/"+string(m), func(t *testing.T) {
				t.Parallel()
				f.run(t, m, other(f.want))
			})
		}
	}
}

func (f fault) run(t *testing.T, m mode, w want) {
	s := newStage(t, m)
	if m != reload {
		f.breaks(t, s)
	}
	s.start(t)
	if m == reload {
		f.breaks(t, s)
		s.reload(t)
	}
	if s.strike != nil {
		s.strike(t)
	}
	s.check(t, w, s.ask(t))
	s.heal(t)
	s.checkAlive(t, w.executed)
	if s.bound > 0 && s.gw.PeakMemory(t) > s.bound {
		t.Errorf("memory rose to %d MiB, over %d MiB", s.gw.PeakMemory(t)>>20, s.bound>>20)
	}
}

// checkAlive makes a good call, which is served unless no record of it can be written.
func (s *stage) checkAlive(t *testing.T, before int64) {
	t.Helper()
	status, text, executed := 200, `"worked"`, before+1
	if s.lost && s.mode != permissive {
		status, text, executed = 503, `"not recorded"`, before
	}
	if got := s.call(t); got.status != status || !strings.Contains(got.text, text) {
		t.Errorf("the next good call: %d %s", got.status, got.text)
	}
	if n := s.executed(t); n != executed {
		t.Errorf("%d calls were executed, want %d", n, executed)
	}
}

// check compares what came of a call.
func (s *stage) check(t *testing.T, w want, got answer) {
	t.Helper()
	if got.status != w.status && (!w.streamed || got.status != 200) {
		t.Errorf("status %d, want %d: %s", got.status, w.status, got.text)
	}
	if n := s.executed(t); n != w.executed {
		t.Errorf("executed %d calls, want %d", n, w.executed)
	}
	told := s.told(t, w)
	if w.status == 0 || w.status == 200 && w.outcome != "reject" {
		return
	}
	var body struct {
		JSONRPC string
		ID      json.RawMessage
		Error   struct {
			Code int
			Data struct {
				ID string `json:"decision_id"`
			}
		}
	}
	if err := json.Unmarshal([]byte(got.text), &body); err != nil || body.JSONRPC != "2.0" || body.Error.Code == 0 {
		t.Errorf("the body is no JSON-RPC error: %q", got.text)
	}
	if !strings.Contains(got.sent, `"id":`+string(body.ID)+`,`) && w.phase != "request" {
		t.Errorf("the error is of id %s: %s", body.ID, got.text)
	}
	if w.phase != "" && body.Error.Data.ID != told.ID {
		t.Errorf("the error names the record %q, not %q", body.Error.Data.ID, told.ID)
	}
}

// A record is what a decision record tells.
type record struct {
	ID      string `json:"decision_id"`
	Phase   string
	Outcome string
	Reason  string
	Message string
	Status  int
}

// told waits for the record that tells of a call, and makes sure that it is the only one to do so, and
// that what was executed has one of its judgement.
func (s *stage) told(t *testing.T, w want) (told record) {
	t.Helper()
	var all, found []record
	s.gw.Await(t, "the record", func() bool {
		all, found = s.records(t), nil
		for _, r := range all {
			if r.Phase == w.phase && r.Outcome == w.outcome && strings.Contains(r.Reason+" "+r.Message, w.says) {
				found = append(found, r)
			}
		}
		return w.phase == "" || len(found) > 0
	})
	judged, others := int64(0), -len(found)
	for _, r := range all {
		if r.Phase == "request" && r.Outcome != "reject" && r.Status == 200 {
			judged++
		}
		// Where it passes, the same fault is met again by the result.
		if r.Outcome != "allow" && (r.Phase == w.phase || s.mode == enforce || s.mode == reload) {
			others++
		}
	}
	if w.outcome == "allow" {
		others += len(found)
	}
	if w.phase == "" {
		return told
	}
	if len(found) != 1 || others != 0 {
		t.Errorf("%d records tell of it, and %d others: %+v", len(found), others, all)
	}
	if judged < w.executed {
		t.Errorf("%d calls were executed, %d judged: %+v", w.executed, judged, all)
	}
	if w.status >= 400 && found[0].Status != w.status {
		t.Errorf("the record says %d, the client got %d", found[0].Status, w.status)
	}
	return found[0]
}
