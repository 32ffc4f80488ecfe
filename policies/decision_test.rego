package mcp_test

import data.mcp

base := {
	"version": 1,
	"phase": "request",
	"server": "demo",
	"user": {"id": "alice@org", "roles": ["dev"]},
}

vetoes := [
	{"reason": "b_reason"},
	{"reason": "a_reason", "code": "validation_failed"},
	{"reason": "c_reason", "code": "rate_limited"},
	{"reason": "a_policy", "code": "policy_deny"},
]

test_deny_by_default if {
	mcp.decision.allow == false with input as {}
	mcp.decision.allow == false with input as []
	mcp.decision.allow == false with input as null
}

test_unknown_method if {
	mcp.decision == {
		"allow": false,
		"reason": "method_not_allowed",
		"code": "policy_deny",
	} with input as object.union(base, {"kind": "acme/status"})
}

test_method_of_another_type if {
	every kind in [null, 1, true, ["ping"], {"ping": "ping"}] {
		mcp.decision.reason == "method_not_allowed" with input as object.union(base, {"kind": kind})
	}
}

test_unknown_phase if {
	every phase in ["", "other", null, ["request"]] {
		not mcp.decision.allow with input as object.union(base, {"kind": "ping", "phase": phase})
	}
}

test_other_version if {
	every version in [0, 2, "1", null] {
		mcp.decision == {
			"allow": false,
			"reason": "denied",
			"code": "policy_deny",
		} with input as object.union(base, {"kind": "ping", "version": version})
	}
}

test_a_denial_beats_a_permission if {
	mcp.decision == {
		"allow": false,
		"reason": "quota",
		"code": "rate_limited",
	} with input as object.union(base, {"kind": "ping"}) with mcp.deny as {{
		"reason": "quota",
		"code": "rate_limited",
	}}
}

test_policy_deny_is_told_first if {
	mcp.decision.reason == "a_policy" with input as object.union(base, {"kind": "ping"})
		with mcp.deny as {veto | some veto in vetoes}
}

test_validation_is_told_before_rate if {
	mcp.decision.reason == "a_reason" with input as object.union(base, {"kind": "ping"})
		with mcp.deny as {vetoes[1], vetoes[2]}
}

# A denial that nobody understands is a denial.
test_malformed_denials_deny if {
	every denial in ["text", 1, null, {}, [], {"reason": 1}, {"reason": "x", "code": "y"}] {
		mcp.decision == {
			"allow": false,
			"reason": "denied",
			"code": "policy_deny",
		} with input as object.union(base, {"kind": "ping"}) with mcp.deny as {denial}
	}
}

test_patches_of_other_files if {
	op := {"op": "replace", "path": "/text", "value": "x"}
	mcp.decision == {
		"allow": true,
		"patch": [op],
	} with input as object.union(base, {"kind": "ping"}) with mcp.patches as {op}
}

test_redactions_of_other_files if {
	ping := object.union(base, {"kind": "ping"})
	mcp.decision == {"allow": true, "redact": ["a", "b"]} with input as ping with mcp.redactions as {"b", "a"}
	op := {"op": "replace", "path": "/text", "value": "x"}
	mcp.decision == {
		"allow": true,
		"patch": [op],
		"redact": ["a"],
	} with input as ping with mcp.redactions as {"a"} with mcp.patches as {op}
}
