package mcp_test

import data.mcp

test_plumbing_needs_no_role if {
	every kind in {
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
	} {
		mcp.decision == {"allow": true} with input as {
			"version": 1,
			"phase": "request",
			"kind": kind,
			"user": {"id": "anonymous", "roles": []},
		}
	}
}

test_response_of_a_judged_request if {
	every kind in ["initialize", "tools/call", "resources/read", "tools/list"] {
		mcp.decision == {"allow": true} with input as object.union(base, {
			"phase": "response",
			"kind": kind,
			"response": {},
		})
	}
}

test_response_without_a_result if {
	mcp.decision == {"allow": true} with input as object.union(base, {"phase": "response", "kind": "ping"})
}

test_response_of_a_method_of_another_type if {
	not mcp.decision.allow with input as object.union(base, {"phase": "response", "kind": 1})
}

test_known_server_notifications if {
	every kind in {
		"notifications/cancelled",
		"notifications/elicitation/complete",
		"notifications/message",
		"notifications/progress",
		"notifications/prompts/list_changed",
		"notifications/resources/list_changed",
		"notifications/subscriptions/acknowledged",
		"notifications/tools/list_changed",
	} {
		mcp.decision == {"allow": true} with input as object.union(base, {
			"phase": "response",
			"kind": kind,
			"response": {},
		})
	}
}

test_unknown_server_notification if {
	mcp.decision.reason == "method_not_allowed" with input as object.union(base, {
		"phase": "response",
		"kind": "notifications/other",
		"response": {},
	})
}

asking(server, kind) := object.union(base, {
	"phase": "server_request",
	"server": server,
	"kind": kind,
	"params": {"message": "Name?"},
})

test_server_may_ask_what_data_lists if {
	mcp.decision == {"allow": true} with input as asking("demo", "elicitation/create")
	mcp.decision.reason == "server_request_not_allowed" with input as asking("demo", "sampling/createMessage")
	mcp.decision.reason == "server_request_not_allowed" with input as asking("other", "elicitation/create")
	mcp.decision.reason == "server_request_not_allowed" with input as asking("other", "roots/list")
	mcp.decision.reason == "method_not_allowed" with input as asking("demo", "tools/list")
	mcp.decision == {"allow": true} with input as asking("other", "ping")
}

test_server_may_not_ask_if_data_is_not_true if {
	every value in [false, null, "true", 1, {}] {
		not mcp.decision.allow with input as asking("demo", "roots/list")
			with data.server_requests as {"demo": {"roots/list": value}}
	}
}

test_client_answers_what_the_server_may_ask if {
	answer := object.union(base, {"kind": "elicitation/create", "response": {"action": "accept"}})
	mcp.decision == {"allow": true} with input as answer
	not mcp.decision.allow with input as object.union(answer, {"server": "other"})
}

test_client_answers_with_an_error if {
	answer := object.union(base, {"kind": "elicitation/create", "error": {"code": 1, "message": "no"}})
	mcp.decision == {"allow": true} with input as answer
	not mcp.decision.allow with input as object.union(answer, {"server": "other"})
}

test_client_may_not_ask_as_a_server if {
	not mcp.decision.allow with input as object.union(base, {"kind": "elicitation/create"})
}
