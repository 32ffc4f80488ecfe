package policy

import (
	"iter"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// Implied yields what else a request comes to, as inputs that must be allowed as well. A client connects in
// neither era or in both: one that is denied server/discover would go on to try initialize. And each resource
// that subscriptions/listen names is subscribed to, as resources/subscribe has it in the older revisions.
func (in *Input) Implied() iter.Seq[*Input] {
	return func(yield func(*Input) bool) {
		twin := mcp.Twin(in.Kind)
		if in.Phase != Request || twin == "" && in.Kind != "subscriptions/listen" {
			return
		}
		other := *in
		if twin != "" {
			other.Kind = twin
			yield(&other)
			return
		}
		for uri := range in.Params.Get("notifications").Get("resourceSubscriptions").Items() {
			params, err := mcp.ParseValue(`{"uri":` + uri.Text() + `}`)
			if err != nil {
				panic("a member of a value that was parsed: " + err.Error())
			}
			other.Kind, other.Params, other.Resource = "resources/subscribe", params, ParseResource(uri.String())
			if !yield(&other) {
				return
			}
		}
	}
}
