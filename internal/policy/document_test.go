package policy

import (
	"errors"
	"testing"
)

func TestDecideDocument(t *testing.T) {
	t.Parallel()
	s := rego(t, `
default decision := {"allow": false, "reason": "big"}
decision := {"allow": true} if input.tool.args.n < 9007199254740993
decision := {"allow": "odd"} if input.kind == "odd"
`)
	for text, want := range map[string]Decision{
		`{"kind":"tools/call","tool":{"args":{"n":9007199254740992}}}`: {Allow: true},
		`{"kind":"tools/call","tool":{"args":{"n":9007199254740993}}}`: {Reason: "big", Code: CodeDeny},
		`{"kind":"odd"}`: {Err: errors.New("allow is not a boolean")},
	} {
		d := s.DecideDocument(value(t, text))
		if d.Allow != want.Allow || d.Reason != want.Reason || d.Code != want.Code || (d.Err == nil) != (want.Err == nil) {
			t.Errorf("%s: %+v", text, d)
		}
	}
}
