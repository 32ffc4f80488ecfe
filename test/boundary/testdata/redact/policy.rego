package mcp

# The canary is taken out of all that a client would read. A name cannot be changed, so one with the canary stops all.
default decision := {"allow": true}

decision := {"allow": false, "reason": "canary"} if named

decision := {"allow": true, "patch": patch} if {
	not named
	count(patch) > 0
}

marker := "S3CR3T-CANARY"

document := input.response

document := input.error

document := input.params if input.phase == "server_request"

named if {
	walk(document, [path, _])
	some name in path
	is_string(name)
	contains(name, marker)
}

patch := [{"op": "replace", "path": pointer(path), "value": replace(value, marker, "[redacted]")} |
	walk(document, [path, value])
	is_string(value)
	contains(value, marker)
]

pointer(path) := concat("", [sprintf("/%v", [step]) |
	some part in path
	step := replace(replace(sprintf("%v", [part]), "~", "~0"), "/", "~1")
])
