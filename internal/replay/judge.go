package replay

import (
	"errors"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// A class is what a verdict comes to.
type class int

// A failed policy denies, unless the gateway is told otherwise.
const (
	denied class = iota
	failed
	allowed
)

// A verdict is what became of a message, or would.
type verdict struct {
	class
	patched bool
	patch   string
	reason  string          // of what was not allowed
	err     error           // of a failed policy
	answer  policy.Decision // what the policy answered first, of which the rest follows
}

// judge judges a record's input by a policy, as the gateway does: a client
// connects in neither era or in both, and a patched request is judged again. If
// the record does not tell enough, missing says what it lacks.
func judge(s *policy.Snapshot, r *record) (v verdict, missing string) {
	if r.patched {
		return v, "the input before its patch"
	}
	d, missing := s.DecideKnown(&r.in, &r.unknown, r.time)
	first := d
	for implied := range r.in.Implied() {
		if missing != "" || !d.Allow {
			break
		}
		if implied.Kind == "resources/subscribe" && !r.unknown.Below("params").Empty() {
			return v, "params"
		}
		var other policy.Decision
		if other, missing = s.DecideKnown(implied, &r.unknown, r.time); !other.Allow {
			d = other
		} else if other.Patch != "" && implied.Kind == "resources/subscribe" {
			d = policy.Decision{Err: policy.ErrBadPatch}
		}
	}
	if missing == "" && d.Changes() && r.in.Phase != policy.List {
		d, missing = patched(s, r, d)
	}
	if missing != "" {
		return v, missing
	}
	v = verdict{class: denied, reason: d.Reason, err: d.Err, answer: first}
	switch {
	case d.Err != nil:
		v.class, v.reason = failed, "policy_error"
	case d.Allow:
		v = verdict{class: allowed, patch: d.Patch, patched: d.Patch != "" && r.in.Phase != policy.List, answer: first}
	}
	return v, ""
}

// patched is the decision on a message that the policy changes. Results are not
// recorded, so nobody can tell whether a patch applies to one, or what is redacted.
func patched(s *policy.Snapshot, r *record, d policy.Decision) (policy.Decision, string) {
	in := r.in
	switch {
	case in.Phase == policy.Response && in.Error.Exists():
		return d, "error"
	case in.Phase == policy.Response:
		return d, "response"
	case in.Phase != policy.Request || in.Kind != "tools/call" && in.Kind != "prompts/get" || in.Response.Exists() || in.Error.Exists():
		return d, "params"
	case !r.unknown.Below("params").Empty():
		return d, "params.arguments"
	}
	if err := patchArguments(&in, d.Patch); err != nil {
		return policy.Decision{Err: policy.ErrBadPatch}, ""
	}
	again, missing := s.DecideKnown(&in, &r.unknown, r.time)
	if missing != "" || !again.Allow {
		return again, missing
	}
	return d, ""
}

func patchArguments(in *policy.Input, patch string) error {
	old := "{}"
	if v := in.Params.Get("arguments"); v.Exists() {
		old = v.Text()
	}
	text, err := policy.ApplyPatch(old, patch)
	if err != nil {
		return err
	}
	if !in.Params.IsObject() {
		return errors.New("no params")
	}
	params, err := mcp.ParseValue(`{"params":` + in.Params.Text() + `}`)
	if err != nil {
		return err
	}
	if params, err = mcp.ParseValue(params.Get("params").With("arguments", text)); err != nil {
		return err
	}
	in.Params = params.Get("params")
	args := in.Params.Get("arguments")
	if in.Tool != nil {
		tool := *in.Tool
		tool.Args = args
		in.Tool = &tool
	}
	if in.Prompt != nil {
		in.Prompt = &policy.Prompt{Name: in.Prompt.Name, Args: args}
	}
	in.Begin()
	return nil
}

// The changes, from the one that hurts most.
const (
	NewlyDenied      = "newly_denied"
	NewlyAllowed     = "newly_allowed"
	Failed           = "error" // the new policy fails where the old did not: a denial, by default
	PatchedOtherwise = "patched_otherwise"
)

// Changes are all changes there are.
var Changes = []string{NewlyDenied, NewlyAllowed, Failed, PatchedOtherwise}

// change tells one verdict from another, and is empty if they are alike.
func change(before, after verdict) string {
	switch {
	case after.class == failed && before.class != failed:
		return Failed
	case before.class == allowed && after.class != allowed:
		return NewlyDenied
	case before.class != allowed && after.class == allowed:
		return NewlyAllowed
	case before.class == allowed && before.patched != after.patched:
		return PatchedOtherwise
	case before.patched && before.patch != "" && !policy.SamePatch(before.patch, after.patch):
		return PatchedOtherwise
	}
	return ""
}
