# Bounds on the arguments of tools, in the words of JSON Schema. The check is an
# allow-list: an argument is fine if every keyword of its bound is known and holds for a
# value of the right type. An array in place of a string, or a misspelt keyword, is
# refused. In phase list there are no arguments, and nothing here fires.
#
# The bounds come before the arguments: of a tool that has none the arguments are not
# looked at, so the gateway may remember the decision. It takes arguments of any tool for
# malformed unless they are an object.
package mcp

deny contains {"reason": "arguments_not_an_object", "code": "validation_failed"} if {
	some _ in bounds_that_apply
	not is_object(object.get(input.tool, "args", {}))
}

# A required argument that is null is as good as missing.
deny contains {"reason": "argument_missing", "code": "validation_failed"} if {
	some bounds in bounds_that_apply
	some name in bounds.required
	object.get(arguments, name, null) == null
}

deny contains {"reason": "argument_unknown", "code": "validation_failed"} if {
	some bounds in bounds_that_apply
	bounds.additionalProperties == false
	some name, _ in arguments
	not bounds.properties[name]
}

deny contains {"reason": reason, "code": "validation_failed"} if {
	some bounds in bounds_that_apply
	some name, bound in bounds.properties
	value := arguments[name]
	some keyword, limit in bound
	not holds(keyword, limit, value)
	reason := object.get(bound_reasons, keyword, "argument_bound_unknown")
}

# The bounds of this server's tool, and those of the tool on any server: both apply.
bounds_that_apply := [bounds |
	some server in [input.server, "*"]
	bounds := data.arguments[server][input.tool.name]
] if {
	input.phase == "request"
	input.kind == "tools/call"
}

default arguments := {}

arguments := input.tool.args if is_object(input.tool.args)

holds("type", "string", value) if is_string(value)

holds("type", "number", value) if is_number(value)

holds("type", "integer", value) if {
	is_number(value)
	floor(value) == value
}

holds("type", "boolean", value) if is_boolean(value)

holds("type", "array", value) if is_array(value)

holds("type", "object", value) if is_object(value)

# Rego compares values of different types, so each comparison checks the type first:
# without it "-500" would be greater than every number.
holds("minimum", limit, value) if {
	is_number(value)
	value >= limit
}

holds("maximum", limit, value) if {
	is_number(value)
	value <= limit
}

holds("maxLength", limit, value) if {
	is_string(value)
	count(value) <= limit
}

holds("enum", limit, value) if value in limit

# RE2; as in JSON Schema it may match anywhere, so anchor it with ^ and $.
holds("pattern", limit, value) if {
	is_string(value)
	regex.match(limit, value)
}

bound_reasons := {
	"type": "argument_wrong_type",
	"minimum": "argument_out_of_range",
	"maximum": "argument_out_of_range",
	"maxLength": "argument_too_long",
	"enum": "argument_not_allowed",
	"pattern": "argument_not_allowed",
}
