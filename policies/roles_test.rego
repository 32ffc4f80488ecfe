package mcp_test

import data.mcp

call(name, args) := object.union(base, {"kind": "tools/call", "tool": {"name": name, "args": args}})

as_role(role, doc) := object.union(doc, {"user": {"id": "bob", "roles": [role]}})

listed(name) := object.union(base, {"phase": "list", "kind": "tools/call", "tool": {"name": name}})

role_mismatch := {"allow": false, "reason": "role_mismatch", "code": "policy_deny"}

test_dev_may_not_back_up if {
	mcp.decision == role_mismatch with input as call("database.backup", {})
}

test_dev_may if {
	mcp.decision == {"allow": true} with input as call("temp.convert", {"temp": 20, "from": "C", "to": "F"})
	mcp.decision == {"allow": true} with input as call("echo", {"text": "hello"})
	mcp.decision == {"allow": true} with input as call("alert.read", {})
}

test_dba_may_back_up if {
	mcp.decision == {"allow": true} with input as as_role("dba", call("database.backup", {}))
}

test_list_and_call_agree if {
	mcp.decision == {"allow": true} with input as listed("temp.convert")
	mcp.decision == {"allow": true} with input as listed("echo")
	mcp.decision == role_mismatch with input as listed("database.backup")
}

test_any_of_several_roles if {
	mcp.decision.allow with input as object.union(
		call("database.backup", {}),
		{"user": {"roles": ["nobody", "dba"]}},
	)
}

test_callers_without_usable_roles if {
	every user in [
		{}, null, [], "dev", {"roles": null}, {"roles": "dev"}, {"roles": []},
		{"roles": {"r": "dev"}}, {"roles": [["dev"]]}, {"roles": [null, 1]},
		{"roles": ["DEV"]}, {"roles": ["*"]},
	] {
		mcp.decision == role_mismatch with input as json.patch(
			call("echo", {"text": "x"}),
			[{"op": "replace", "path": "/user", "value": user}],
		)
	}
}

test_names_of_another_type if {
	every name in [null, 1, true, ["echo"], {"echo": true}] {
		mcp.decision == role_mismatch with input as call(name, {})
			with data.roles.dev.tools as {"*": {"*": true}}
	}
}

test_no_tool if {
	every tool in [null, "echo", ["echo"], {}] {
		mcp.decision == role_mismatch with input as object.union(base, {"kind": "tools/call", "tool": tool})
	}
	mcp.decision == role_mismatch with input as object.union(base, {"kind": "tools/call"})
}

test_tools_of_one_server if {
	doc := call("x", {})
	grants := {"demo": {"x": true}}
	mcp.decision.allow with input as doc with data.roles.dev.tools as grants
	not mcp.decision.allow with input as object.union(doc, {"server": "other"}) with data.roles.dev.tools as grants
}

test_wildcard_and_exception if {
	grants := {"*": {"*": true, "secret.read": false}}
	mcp.decision.allow with input as call("anything", {}) with data.roles.dev.tools as grants
	mcp.decision == role_mismatch with input as call("secret.read", {}) with data.roles.dev.tools as grants
}

test_a_grant_is_true_and_nothing_else if {
	every value in [false, null, "true", 1, {}, []] {
		mcp.decision == role_mismatch with input as call("x", {})
			with data.roles.dev.tools as {"*": {"x": value}}
	}
}

get_prompt(name) := object.union(base, {"kind": "prompts/get", "prompt": {"name": name}})

test_prompts_by_role if {
	mcp.decision == {"allow": true} with input as get_prompt("review")
	mcp.decision == {"allow": true} with input as object.union(get_prompt("review"), {"phase": "list"})
	mcp.decision == role_mismatch with input as as_role("dba", get_prompt("review"))
	mcp.decision == role_mismatch with input as get_prompt(["review"])
}

complete(ref) := object.union(base, {"kind": "completion/complete", "params": {"ref": ref}})

test_completion_of_a_prompt if {
	ref := {"type": "ref/prompt", "name": "review"}
	mcp.decision == {"allow": true} with input as complete(ref)
	mcp.decision.reason == "reference_not_allowed" with input as as_role("dba", complete(ref))
	mcp.decision.reason == "reference_not_allowed" with input as complete({"type": "other", "name": "review"})
	mcp.decision.reason == "reference_not_allowed" with input as complete(null)
}

# A permission is for asking. A server that asks as if it were a client gets none.
test_phases_are_kept_apart if {
	not mcp.decision.allow with input as object.union(call("echo", {"text": "x"}), {"phase": "server_request"})
	not mcp.decision.allow with input as object.union(get_prompt("review"), {"phase": "server_request"})
}

task(method, name) := object.union(base, {"kind": method, "tool": {"name": name}, "params": {"taskId": "t"}})

test_tasks_as_their_tool if {
	every method in ["tasks/get", "tasks/update", "tasks/cancel", "tasks/result"] {
		mcp.decision == {"allow": true} with input as task(method, "echo")
		mcp.decision == role_mismatch with input as task(method, "database.backup")
		mcp.decision == role_mismatch with input as object.remove(task(method, "echo"), ["tool"])
	}
	mcp.decision.reason == "method_not_allowed" with input as task("tasks/list", "echo")
}

notified(name) := object.union(task("notifications/tasks", name), {"phase": "response"})

test_tasks_notified_as_their_tool if {
	mcp.decision == {"allow": true} with input as notified("echo")
	mcp.decision == role_mismatch with input as notified("database.backup")
}
