# Bounds on the arguments of tools, in the words of JSON Schema. The check is an
# allow-list: a value is fine if every keyword of its bound is known and holds for a value
# of the right type. An array in place of a string, or a misspelt keyword, is refused.
# Bounds nest, by `properties` and `items`. In phase list there are no arguments, and
# nothing here fires. Other files add keywords: `path` and `url` in paths.rego, `sql` in
# sql.rego. A rule of `holds` compares the keyword in its body, since OPA would try one that
# has it in its head for every keyword.
#
# The bounds come before the arguments: of a tool that has none the arguments are not
# looked at, so the gateway may remember the decision. It takes arguments of any tool for
# malformed unless they are an object.
package mcp

deny contains {"reason": "arguments_not_an_object", "code": "validation_failed"} if {
	some _ in bounds_to_check
	args := input.tool.args
	not is_object(args)
}

# A required argument that is null is as good as missing.
deny contains {"reason": "argument_missing", "code": "validation_failed"} if {
	some bounds in bounds_to_check
	some name in bounds.required
	object.get(arguments, name, null) == null
}

deny contains {"reason": "argument_unknown", "code": "validation_failed"} if {
	some bounds in bounds_to_check
	bounds.additionalProperties == false
	some name, _ in arguments
	not bounds.properties[name]
}

deny contains {"reason": bound_reason(keyword), "code": "validation_failed"} if {
	some [name, keyword, limit] in argument_limits
	value := input.tool.args[name]
	not holds(keyword, limit, value)
}

deny contains {"reason": "argument_bound_unknown", "code": "validation_failed"} if some _ in malformed_bounds

# What an argument holds, where its bound says something about that.
deny contains {"reason": reason, "code": "validation_failed"} if {
	some [name, bound] in nested_bounds
	walk(arguments[name], [path, value])
	some reason in violations(bound_at(bound, path), value)
}

# What follows of the bounds alone is the same for all calls of a tool by one caller, so the
# gateway may remember it.
argument_limits := [[name, keyword, limit] |
	some bounds in bounds_to_check
	some name, bound in bounds.properties
	some keyword, limit in bound
]

malformed_bounds := [bound |
	some bounds in bounds_to_check
	some bound in bounds.properties
	not is_object(bound)
]

nested_bounds := [[name, bound] |
	some bounds in bounds_to_check
	some name, bound in bounds.properties
	some keyword in ["items", "properties"]
	bound[keyword]
]

# The bounds of this server's tool, and those of the tool on any server; those that all
# tenants share, and those of the caller's: all of them apply. The shared ones are not
# checked once more where the gateway says that it found them kept: it knows the common
# keywords, and says nothing where a bound has any other.
bounds_to_check := array.concat(
	[bounds |
		not input.bounds.kept == true
		some server in [input.server, "*"]
		bounds := data.arguments[server][input.tool.name]
	],
	[bounds |
		tenants := data.tenants # asked first: the tenant is of no interest without
		own := tenants[tenant].arguments
		some server in [input.server, "*"]
		bounds := own[server][input.tool.name]
	],
) if {
	input.phase == "request"
	input.kind == "tools/call"
}

default arguments := {}

arguments := input.tool.args if is_object(input.tool.args)

violations(bound, _) := {"argument_bound_unknown"} if {
	bound != absent
	not is_object(bound)
}

violations(bound, value) := reasons if {
	is_object(bound)
	reasons := {bound_reason(keyword) |
		some keyword, limit in bound
		not holds(keyword, limit, value)
	} | {"argument_unknown" |
		bound.additionalProperties == false
		some name, _ in value
		object.get(bound, ["properties", name], absent) == absent
	}
}

bound_at(bound, path) := object.get(bound, [step | some part in path; some step in steps(part)], absent)

# No JSON is a set.
absent := set()

steps(part) := ["items"] if is_number(part)

steps(part) := ["properties", part] if is_string(part)

holds(keyword, type, value) if {
	keyword == "type"
	has_type(type, value)
}

holds(keyword, types, value) if {
	keyword == "type"
	is_array(types)
	some type in types
	has_type(type, value)
}

has_type(type, value) if type == type_name(value)

has_type("integer", value) if {
	is_number(value)
	floor(value) == value
}

# Each value below has its own turn.
holds(keyword, bounds, value) if {
	keyword == "properties"
	is_object(bounds)
	is_object(value)
}

holds(keyword, bound, value) if {
	keyword == "items"
	is_object(bound)
	is_array(value)
}

# A required argument that is null is as good as missing.
holds(keyword, names, value) if {
	keyword == "required"
	is_object(value)
	is_array(names)
	every name in names {
		object.get(value, name, null) != null
	}
}

# Which names those are is up to violations.
holds(keyword, limit, value) if {
	keyword == "additionalProperties"
	is_boolean(limit)
	is_object(value)
}

# Rego compares values of different types, so each comparison checks the types first:
# without it "-500" would be greater than every number.
holds(keyword, limit, value) if {
	keyword == "minimum"
	is_number(limit)
	is_number(value)
	value >= limit
}

holds(keyword, limit, value) if {
	keyword == "maximum"
	is_number(limit)
	is_number(value)
	value <= limit
}

holds(keyword, limit, value) if {
	keyword == "exclusiveMinimum"
	is_number(limit)
	is_number(value)
	value > limit
}

holds(keyword, limit, value) if {
	keyword == "exclusiveMaximum"
	is_number(limit)
	is_number(value)
	value < limit
}

holds(keyword, limit, value) if {
	keyword == "minLength"
	is_string(value)
	is_number(limit)
	count(value) >= limit
}

holds(keyword, limit, value) if {
	keyword == "maxLength"
	is_string(value)
	is_number(limit)
	count(value) <= limit
}

holds(keyword, limit, value) if {
	keyword == "minItems"
	is_array(value)
	is_number(limit)
	count(value) >= limit
}

holds(keyword, limit, value) if {
	keyword == "maxItems"
	is_array(value)
	is_number(limit)
	count(value) <= limit
}

holds(keyword, true, value) if {
	keyword == "uniqueItems"
	is_array(value)
	count(value) == count({item | some item in value})
}

holds(keyword, limit, value) if {
	keyword == "enum"
	is_array(limit)
	value in limit
}

holds(keyword, limit, value) if {
	keyword == "const"
	value == limit
}

# RE2; as in JSON Schema it may match anywhere, so anchor it with ^ and $.
holds(keyword, limit, value) if {
	keyword == "pattern"
	is_string(value)
	regex.match(limit, value)
}

holds(keyword, format, value) if {
	keyword == "format"
	is_string(value)
	regex.match(formats[format], value)
}

formats := {
	"date": `^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])$`,
	"date-time": `^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T[0-2][0-9](?::[0-5][0-9]){2}(?:\.[0-9]+)?(?:Z|[+-][0-2][0-9]:[0-5][0-9])$`,
	"email": `^[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}$`,
	"uuid": `^[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`,
}

# They say nothing of the value.
holds(keyword, _, _) if keyword in {"$comment", "default", "description", "examples", "title"}

bound_reason(keyword) := object.get(bound_reasons, keyword, "argument_bound_unknown")

bound_reasons[keyword] := reason if some keyword, reason in {
	"additionalProperties": "argument_unknown",
	"const": "argument_not_allowed",
	"enum": "argument_not_allowed",
	"exclusiveMaximum": "argument_out_of_range",
	"exclusiveMinimum": "argument_out_of_range",
	"format": "argument_not_allowed",
	"items": "argument_wrong_type",
	"maxItems": "argument_too_long",
	"maxLength": "argument_too_long",
	"maximum": "argument_out_of_range",
	"minItems": "argument_too_short",
	"minLength": "argument_too_short",
	"minimum": "argument_out_of_range",
	"pattern": "argument_not_allowed",
	"properties": "argument_wrong_type",
	"required": "argument_missing",
	"type": "argument_wrong_type",
	"uniqueItems": "argument_not_allowed",
}
