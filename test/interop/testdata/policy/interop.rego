package mcp

# What the interop tests are told: a few things are refused, an argument is bound, an argument and a result
# are patched, all else is allowed.

default decision := {"allow": true}

decision := {"allow": false, "reason": "role_mismatch"} if refused

decision := {"allow": false, "reason": "out_of_range", "code": "validation_failed"} if {
	input.phase == "request"
	input.tool.name == "convert"
	not in_range(input.tool.args.temp)
}

decision := {"allow": true, "patch": {"name": "Grace"}} if {
	input.phase == "request"
	input.tool.name == "greet"
	input.tool.args.name != "Grace"
}

decision := {"allow": true, "patch": patches} if {
	input.phase == "response"
	input.tool.name == "alert"
	count(patches) > 0
}

# Asking for, and listing, what nobody may have. The same rule serves the request and the list.
refused if input.tool.name in {"secret", "get-env", "write_file", "delete_entities"}

refused if input.resource.uri == "test://private"

refused if input.prompt.name == "forbidden"

# A server may not ask the user for a password.
refused if {
	input.phase == "server_request"
	input.kind == "elicitation/create"
	contains(input.params.message, "password")
}

in_range(temp) if {
	is_number(temp)
	temp >= -273
	temp <= 10000
}

# What a tool returns by way of a task is judged like any other result of it.
decision := {"allow": true, "patch": [{"op": "replace", "path": "/content/0/text", "value": plain}]} if {
	input.phase == "response"
	input.kind == "tools/call"
	input.tool.name == "simulate-research-query"
	plain := replace(input.response.content[0].text, "Synthesis", "S********")
}

# Colours are taken out of every text.
patches := [{"op": "replace", "path": sprintf("/content/%d/text", [i]), "value": plain} |
	some i, item in input.response.content
	plain := regex.replace(item.text, `\x1b\[[0-9;]*m`, "")
	plain != item.text
]
