package audit

import (
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
	"github.com/gatehouse-mcp/gatehouse/internal/policy"
)

// Shared is what the inputs of an exchange's records have in common, masked once.
// The records are written one after the other, and have one caller and the same
// headers. A nil one shares nothing.
type Shared struct {
	of   target
	text []byte
}

// A target is what a record may be about that the one before was not.
type target struct {
	kind     string
	tool     *policy.Tool
	resource *policy.Resource
	prompt   *policy.Prompt
	params   mcp.Value
}

// maxShared is the size in bytes beyond which a text is not kept as long as the
// exchange goes on.
const maxShared = 4 << 10

// append adds the members of an input that are not those of its phase alone.
func (s *Shared) append(b []byte, in *policy.Input) []byte {
	of := target{in.Kind, in.Tool, in.Resource, in.Prompt, in.Params}
	if s == nil || in.Phase == policy.List {
		return appendCommon(b, in)
	}
	if s.text == nil || s.of != of {
		at := len(b)
		if b = appendCommon(b, in); len(b)-at <= maxShared {
			s.of, s.text = of, append([]byte(nil), b[at:]...)
		}
		return b
	}
	return append(b, s.text...)
}
