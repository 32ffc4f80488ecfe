package mcp_test

import data.mcp

acme_and_bolt := {
	"acme": {
		"roles": {"agent": {"tools": {"*": {"acme.read": true, "echo": true}}}},
		"arguments": {"*": {"echo": {"properties": {"text": {"maxLength": 3}}}}},
	},
	"bolt": {"roles": {"agent": {"tools": {"*": {"bolt.read": true}}}}},
}

# A call of a user whom the token gives these claims.
claiming(claims, doc) := object.union(doc, {"user": {"id": "carol", "roles": ["agent"], "claims": claims}})

test_roles_of_a_tenant if {
	mcp.decision == {"allow": true} with input as claiming({"tenant": "acme"}, call("acme.read", {})) with data.tenants as acme_and_bolt
	mcp.decision == {"allow": true} with input as claiming({"tenant": "bolt"}, call("bolt.read", {})) with data.tenants as acme_and_bolt
	every tenant in ["bolt", "", "ACME", "*", null, ["acme"], {"acme": true}, true, false, 1] {
		mcp.decision == role_mismatch with input as claiming({"tenant": tenant}, call("acme.read", {})) with data.tenants as acme_and_bolt
	}
	mcp.decision == role_mismatch with input as claiming({}, call("acme.read", {})) with data.tenants as acme_and_bolt
}

test_shared_roles_hold_for_tenants if {
	doc := object.union(call("alert.read", {}), {"user": {"id": "carol", "roles": ["dev"], "claims": {"tenant": "acme"}}})
	mcp.decision == {"allow": true} with input as doc with data.tenants as acme_and_bolt
}

test_bounds_of_a_tenant if {
	mcp.decision == {"allow": true} with input as claiming({"tenant": "acme"}, call("echo", {"text": "abc"})) with data.tenants as acme_and_bolt
	mcp.decision == invalid("argument_too_long") with input as claiming({"tenant": "acme"}, call("echo", {"text": "abcd"}))
		with data.tenants as acme_and_bolt
	mcp.decision == {"allow": true} with input as call("echo", {"text": "abcd"}) with data.tenants as acme_and_bolt
}

test_tenant_of_a_user if {
	users := {"carol": {"tenant": "acme"}}
	mcp.decision == {"allow": true} with input as claiming({}, call("acme.read", {}))
		with data.tenants as acme_and_bolt
		with data.users as users
	every tenant in ["bolt", ["acme"], null, false, ""] {
		mcp.decision.allow == false with input as claiming({"tenant": tenant}, call("acme.read", {}))
			with data.tenants as acme_and_bolt
			with data.users as users
	}
	mcp.decision.reason == "tenant_mismatch" with input as claiming({"tenant": "bolt"}, call("bolt.read", {}))
		with data.tenants as acme_and_bolt
		with data.users as users
}

test_servers_of_a_tenant if {
	servers := {"demo": {"tenants": {"acme": true, "bolt": false}}}
	every phase in ["request", "list", "response"] {
		every claims in [{"tenant": "bolt"}, {}, {"tenant": ["acme"]}] {
			mcp.decision.reason == "other_tenant" with input as object.union(
				claiming(claims, {"version": 1, "server": "demo", "kind": "tools/call", "tool": {"name": "bolt.read"}}),
				{"phase": phase, "user": {"id": "carol", "roles": ["agent", "all"]}},
			)
				with data.tenants as acme_and_bolt
				with data.roles.all.tools as {"*": {"*": true}}
				with data.servers as servers
		}
	}
	mcp.decision == {"allow": true} with input as claiming({"tenant": "acme"}, call("acme.read", {}))
		with data.tenants as acme_and_bolt
		with data.servers as servers
	every owners in [[], ["acme"], null, "acme", false, {}] {
		mcp.decision.reason == "other_tenant" with input as claiming({"tenant": "acme"}, call("acme.read", {}))
			with data.tenants as acme_and_bolt
			with data.servers as {"demo": {"tenants": owners}}
	}
}
