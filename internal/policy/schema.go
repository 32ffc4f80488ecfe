package policy

import (
	"encoding/json"
	"slices"

	"github.com/google/jsonschema-go/jsonschema"
)

//go:generate go test -run ^TestPublishedSchemas$ -update .

// draft is the one that both OPA's type checker and common validators read.
const draft = "http://json-schema.org/draft-07/schema#"

// InputSchema is the JSON schema of what a policy sees. docs/schema/input.json
// is its text.
func InputSchema() *jsonschema.Schema {
	s := closed("What the policy is asked about. Members that do not apply are absent.",
		member{"version", &jsonschema.Schema{Const: jsonschema.Ptr(any(1.0)), Type: "integer", Description: "Of this document."}},
		member{"phase", oneOf("The moment at which the message is judged.", Request, Response, List, ServerRequest)},
		member{"kind", text("The method; in phase response that of the request that is answered.")},
		member{"server", text("The name of the MCP server.")},
		member{"user", userSchema()},
		member{"tool", closed("The tool that the message is about.",
			member{"name", text("")},
			member{"args", anything("The arguments of a call, as they were sent.")},
			member{"annotations", anything("What the server last said of the tool in tools/list.")})},
		member{"resource", resourceSchema()},
		member{"prompt", closed("The prompt that the message is about.",
			member{"name", text("")},
			member{"args", anything("The arguments, as they were sent.")})},
		member{"params", anything("The params of the message, whole; in phase response those of the request.")},
		member{"response", anything("A result, or the params of a server's notification.")},
		member{"error", anything("A JSON-RPC error.")},
		member{"request_ip", text("The address of the caller.")},
		member{"headers", &jsonschema.Schema{
			Type: "object", AdditionalProperties: text(""),
			Description: "The headers of the HTTP request: names in lower case, several values joined by \", \".",
		}},
		member{"client", closed("What the client says of itself, never to be trusted.",
			member{"name", text("")}, member{"version", text("")})},
		member{"protocol_version", text("The revision of MCP.")},
		member{"transport", oneOf("How the message came.", "http", "stdio")},
		member{"scan", closed("What one pass over response, error or the params of a server's request found.",
			member{"plain", boolean("No control, bidi or tag character.")},
			member{"marks", texts("The keys of data.secrets that occur, in order.")},
			member{"named", boolean("One of them occurs in the name of a member.")})},
		member{"bounds", closed("Of a tool call that has bounds in data.arguments, and was found to keep them.",
			member{"kept", &jsonschema.Schema{Const: jsonschema.Ptr(any(true)), Type: "boolean"}})})
	s.Schema, s.Title = draft, "Gatehouse policy input"
	s.Required = []string{"version", "phase", "kind"}
	s.Properties["scan"].Required = []string{"plain", "marks", "named"}
	s.Properties["bounds"].Required = []string{"kept"}
	return s
}

func userSchema() *jsonschema.Schema {
	s := closed("Who calls.",
		member{"id", text("")},
		member{"roles", texts("")},
		member{"auth", text("How it was proved: anonymous, api_key, proxy, local and so on.")},
		member{"claims", &jsonschema.Schema{Type: "object", Description: "What the identity provider says."}})
	s.Required = []string{"roles"}
	return s
}

func resourceSchema() *jsonschema.Schema {
	s := closed("The resource that the message is about. The parts are there only if valid is true.",
		member{"uri", text("As it was sent.")},
		member{"valid", boolean("No two readers could take the URI for different things.")},
		member{"template", boolean("The URI is a template, and its variables are not filled in.")},
		member{"scheme", text("In lower case.")},
		member{"host", text("In lower case, without the port.")},
		member{"port", text("Absent if it is the scheme's own.")},
		member{"path", text("Percent-decoded, without dot segments.")},
		member{"path_segments", texts("Those of the path that are not empty.")},
		member{"query", text("")},
		member{"fragment", text("")})
	s.Required = []string{"valid"}
	return s
}

// DecisionSchema is the JSON schema of what a policy answers.
// docs/schema/decision.json is its text.
func DecisionSchema() *jsonschema.Schema {
	operation := members("One operation of a JSON Patch.",
		member{"op", oneOf("", "add", "remove", "replace", "move", "copy", "test")},
		member{"path", text("A JSON Pointer into the value.")},
		member{"from", text("A JSON Pointer into the value.")},
		member{"value", anything("")})
	operation.Required = []string{"op", "path"}
	s := members("What the policy answers. Other members have no meaning.",
		member{"allow", boolean("")},
		member{"reason", text("A word for the record and, unless deny.showReason is false, for the client.")},
		member{"code", oneOf("Of a denial; policy_deny if absent.", CodeDeny, CodeInvalid, CodeRateLimit)},
		member{"patch", &jsonschema.Schema{
			Description: "Of a permission: how the message is changed.",
			AnyOf: []*jsonschema.Schema{
				{Type: "object", Description: "A JSON Merge Patch (RFC 7396)."},
				{Type: "array", Items: operation, Description: "A JSON Patch (RFC 6902)."},
			},
		}},
		member{"redact", texts("Of a permission in phase response: the keys of data.secrets whose matches are taken out.")})
	s.Schema, s.Title, s.Required = draft, "Gatehouse policy decision", []string{"allow"}
	return s
}

// A member of an object, in the order in which it is printed.
type member struct {
	name   string
	schema *jsonschema.Schema
}

func members(description string, all ...member) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "object", Description: description, Properties: map[string]*jsonschema.Schema{}}
	for _, m := range all {
		s.Properties[m.name] = m.schema
		s.PropertyOrder = append(s.PropertyOrder, m.name)
	}
	return s
}

// closed is an object that has no other members.
func closed(description string, all ...member) *jsonschema.Schema {
	s := members(description, all...)
	s.AdditionalProperties = &jsonschema.Schema{Not: &jsonschema.Schema{}}
	return s
}

func text(description string) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Description: description}
}

func texts(description string) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "array", Items: text(""), Description: description}
}

func boolean(description string) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "boolean", Description: description}
}

func anything(description string) *jsonschema.Schema {
	return &jsonschema.Schema{Description: description}
}

func oneOf[T ~string](description string, values ...T) *jsonschema.Schema {
	s := text(description)
	for _, v := range values {
		s.Enum = append(s.Enum, string(v))
	}
	return s
}

// SchemaText is the JSON text of a schema, as it is published.
func SchemaText(s *jsonschema.Schema) ([]byte, error) {
	raw, err := json.MarshalIndent(s, "", "  ")
	return slices.Concat(raw, []byte("\n")), err
}
