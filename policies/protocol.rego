# The messages that carry no act of their own: whoever may connect may send them.
# Methods that nobody lists are refused with `method_not_allowed`.
package mcp

allow if {
	input.phase == "request"
	input.kind in {
		"initialize",
		"logging/setLevel",
		"notifications/cancelled",
		"notifications/initialized",
		"notifications/progress",
		"notifications/roots/list_changed",
		"ping",
		"prompts/list",
		"resources/list",
		"resources/templates/list",
		"server/discover",
		"tools/list",
	}
}

# A result was asked for, and the asking was judged.
allow if {
	input.phase == "response"
	is_string(input.kind)
	not startswith(input.kind, "notifications/")
}

# A notification was not asked for, so the server may send only what is known.
allow if {
	input.phase == "response"
	input.kind in {
		"notifications/cancelled",
		"notifications/elicitation/complete",
		"notifications/message",
		"notifications/progress",
		"notifications/prompts/list_changed",
		"notifications/resources/list_changed",
		"notifications/subscriptions/acknowledged",
		"notifications/tools/list_changed",
	}
}

# What a server asks of the client: sampling, elicitation, roots.
allow if {
	input.phase == "server_request"
	data.server_requests[input.server][input.kind] == true
}

allow if {
	input.phase == "server_request"
	input.kind == "ping"
}

# The client's answer to such a question; an answer is the only thing that a client
# may send under these names.
allow if {
	input.phase == "request"
	data.server_requests[input.server][input.kind] == true
	input.response
}

allow if {
	input.phase == "request"
	data.server_requests[input.server][input.kind] == true
	input.error
}

refusal["elicitation/create"] := "server_request_not_allowed"

refusal["roots/list"] := "server_request_not_allowed"

refusal["sampling/createMessage"] := "server_request_not_allowed"
