package mcp

# A tool and the resources of a host are hidden, and no text with the canary may reach a client, wherever it stands.
default decision := {"allow": true}

decision := {"allow": false, "reason": "hidden"} if hidden

decision := {"allow": false, "reason": "canary"} if {
	not hidden
	leaks
}

hidden if startswith(input.tool.name, "hidden_tool")

hidden if input.resource.host == "vault"

hidden if input.resource.valid == false

leaks if told(input.response)

leaks if told(input.error)

leaks if {
	input.phase == "server_request"
	told(input.params)
}

told(document) if {
	walk(document, [path, value])
	some text in array.concat([value], path)
	is_string(text)
	secret(text)
}

secret(text) if contains(text, "S3CR3T-CANARY")

# The items of a list of tools are judged one by one.
secret(text) if {
	contains(text, "hidden_tool")
	input.kind != "tools/list"
}
