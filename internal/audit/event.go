package audit

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// An event is a decision in the format of OPA's decision logs. It is made of a
// record, so it holds nothing that the record masks.
type event struct {
	Labels      map[string]string     `json:"labels"`
	DecisionID  string                `json:"decision_id"`
	TraceID     string                `json:"trace_id,omitempty"`
	Bundles     map[string]bundleInfo `json:"bundles,omitempty"`
	Path        string                `json:"path"`
	Input       any                   `json:"input,omitempty"`
	Result      any                   `json:"result,omitempty"`
	Erased      []string              `json:"erased,omitempty"`
	Masked      []string              `json:"masked,omitempty"`
	Error       *eventError           `json:"error,omitempty"`
	RequestedBy string                `json:"requested_by,omitempty"`
	Timestamp   time.Time             `json:"timestamp"`
	Metrics     map[string]int64      `json:"metrics,omitempty"`
	Custom      map[string]any        `json:"custom,omitempty"` // what is Gatehouse's own
}

type bundleInfo struct {
	Revision string `json:"revision,omitempty"`
}

type eventError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// bundleName is what the one bundle is called.
const bundleName = "policy"

// newEvent makes an event of a record.
func newEvent(e *Entry, labels map[string]string, path string) *event {
	ev := &event{
		Labels: labels, DecisionID: e.DecisionID, TraceID: e.TraceID, Path: path, RequestedBy: e.RequestIP, Timestamp: e.Time,
		Custom: map[string]any{"outcome": e.Outcome, "mode": e.Mode, "status": e.Status},
	}
	if e.Revision != "" {
		ev.Bundles = map[string]bundleInfo{bundleName: {e.Revision}}
	}
	if e.Eval > 0 {
		ev.Metrics = map[string]int64{"timer_rego_query_eval_ns": e.Eval}
	}
	if e.Items > 0 {
		ev.Custom["items"], ev.Custom["hidden"] = e.Items, e.Hidden
	}
	if e.Outcome == Error {
		ev.Error = &eventError{e.Reason, e.Message}
	} else {
		ev.Result = result(e)
	}
	if ev.Input = json.RawMessage(e.Input); e.Input == nil {
		ev.Input = outline(e)
	}
	return ev
}

// result is what the policy answered, without a patch, which may hold what the
// record does not.
func result(e *Entry) map[string]any {
	r := map[string]any{"allow": e.Outcome == Allow || e.Outcome == Patch || e.Outcome == WouldPatch}
	if e.Code != "" {
		r["code"] = e.Code
	}
	if e.Reason != "" {
		r["reason"] = e.Reason
	}
	return r
}

// outline is the input as far as a record without one tells.
func outline(e *Entry) map[string]any {
	in := map[string]any{"version": 1, "phase": e.Phase, "kind": e.Kind, "server": e.Server, "user": map[string]any{"id": e.User}, "request_ip": e.RequestIP}
	for name, member := range map[string]any{
		"tool": map[string]any{"name": e.Tool}, "resource": map[string]any{"uri": e.Resource}, "prompt": map[string]any{"name": e.Prompt},
	} {
		for _, value := range member.(map[string]any) {
			if value != "" {
				in[name] = member
			}
		}
	}
	return in
}

// text is the event as JSON, which shows on a terminal as what it is.
func (ev *event) text() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(ev); err != nil {
		return nil, err
	}
	return EscapeJSON(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// mask applies the bundle's rules to the event, and reports whether the event
// is to be dropped. If they cannot be asked or read, it erases all that they
// might have masked, and says why.
func (ev *event) mask(rules *policy.LogRules) (drop bool, err error) {
	defer func() {
		if err != nil {
			ev.erase()
		}
	}()
	text, err := ev.text()
	if err != nil {
		return false, err
	}
	v, err := mcp.ParseValue(string(text))
	if err != nil {
		return false, err
	}
	answer, drop, err := rules.Ask(v)
	if err != nil || drop {
		return drop, err
	}
	mask, err := parseMask(answer)
	if err != nil || len(mask) == 0 {
		return false, err
	}
	if raw, ok := ev.Input.(json.RawMessage); ok {
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		ev.Input = nil
		if err := dec.Decode(&ev.Input); err != nil {
			return false, err
		}
	}
	for _, r := range mask {
		r.apply(ev)
	}
	return false, nil
}

// erase removes all that a rule may mask.
func (ev *event) erase() {
	ev.Input, ev.Result, ev.Masked, ev.Erased = nil, nil, nil, []string{"/input", "/result"}
}
