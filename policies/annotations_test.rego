package mcp_test

import data.mcp

trusted := {"demo": {"trust_annotations": true}}

reader_of_all := {"auditor": {"read_only": {"*": true}, "tools": {"*": {"secret.read": false}}}}

annotated(name, annotations) := as_role("auditor", object.union(base, {
	"kind": "tools/call",
	"tool": {"name": name, "annotations": annotations},
}))

test_read_only_tools if {
	every annotations in [{"readOnlyHint": true}, {"readOnlyHint": true, "destructiveHint": false, "title": "x"}] {
		mcp.decision == {"allow": true} with input as annotated("any.list", annotations)
			with data.roles as reader_of_all
			with data.servers as trusted
		mcp.decision == {"allow": true} with input as object.union(annotated("any.list", annotations), {"phase": "list"})
			with data.roles as reader_of_all
			with data.servers as trusted
		mcp.decision == {"allow": true} with input as object.union(annotated("any.list", annotations), {"kind": "tasks/get"})
			with data.roles as reader_of_all
			with data.servers as trusted
	}
}

test_other_annotations if {
	{annotations |
		some annotations in [
			null, [], "readOnlyHint", true, {}, {"readOnlyHint": false}, {"readOnlyHint": "true"}, {"readOnlyHint": 1},
			{"readOnlyHint": [true]}, {"readonlyhint": true}, {"destructiveHint": false},
			{"readOnlyHint": true, "destructiveHint": true}, {"readOnlyHint": true, "destructiveHint": "false"},
			{"readOnlyHint": true, "destructiveHint": null}, {"readOnlyHint": true, "destructiveHint": 0},
		]
		not mcp.decision == role_mismatch with input as annotated("any.list", annotations)
			with data.roles as reader_of_all
			with data.servers as trusted
	} == set()
	mcp.decision == role_mismatch with input as as_role("auditor", call("any.list", {}))
		with data.roles as reader_of_all
		with data.servers as trusted
}

test_servers_without_trust if {
	every servers in [
		{}, {"other": {"trust_annotations": true}}, {"*": {"trust_annotations": true}}, {"demo": {"trust_annotations": "true"}},
		{"demo": true}, {"demo": {"trust_annotations": false}},
	] {
		mcp.decision == role_mismatch with input as annotated("any.list", {"readOnlyHint": true})
			with data.roles as reader_of_all
			with data.servers as servers
	}
}

test_roles_without_read_only if {
	every role in [{}, {"read_only": true}, {"read_only": {"*": "true"}}, {"read_only": {"other": true}}, null, true] {
		mcp.decision == role_mismatch with input as annotated("any.list", {"readOnlyHint": true})
			with data.roles as {"auditor": role}
			with data.servers as trusted
	}
}

test_a_read_only_tool_that_is_excepted if {
	every name in ["secret.read", null, ["x"], {"x": 1}] {
		mcp.decision == role_mismatch with input as annotated(name, {"readOnlyHint": true})
			with data.roles as reader_of_all
			with data.servers as trusted
	}
}
