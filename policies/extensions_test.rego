package mcp_test

import data.mcp

known_extensions := {"io.modelcontextprotocol/tasks": true, "com.example/trace": true, "com.example/off": false}

extension_not_allowed := {"allow": false, "reason": "extension_not_allowed", "code": "policy_deny"}

with_meta(meta) := object.union(call("alert.read", {}), {"params": {"_meta": meta}})

capable(capabilities) := with_meta({"io.modelcontextprotocol/clientCapabilities": capabilities})

initialize(capabilities) := object.union(base, {"kind": "initialize", "params": {"capabilities": capabilities}})

test_extensions_of_the_list if {
	every doc in [
		with_meta({}), with_meta({"progressToken": 1, "traceparent": "x", "com.example/trace": 1}), capable({}),
		capable({"extensions": {"io.modelcontextprotocol/tasks": {}}, "sampling": {}}), initialize({"experimental": {"com.example/trace": {}}}),
		call("alert.read", {}), initialize({"roots": {"listChanged": true}}),
	] {
		mcp.decision == {"allow": true} with input as doc with data.extensions as known_extensions
	}
}

test_other_extensions if {
	every doc in [
		with_meta({"com.example/other": 1}), with_meta({"com.example/off": 1}), with_meta({"COM.example/trace": 1}),
		with_meta({"com.example/other": false}), with_meta([1]), with_meta(null), with_meta("com.example/other"),
		capable({"extensions": {"com.example/other": {}}}), capable({"experimental": {"com.example/other": false}}),
		capable({"extensions": ["com.example/other"]}), capable({"extensions": "com.example/trace"}), capable({"experimental": null}),
		initialize({"experimental": {"com.example/other": {}}}), initialize({"extensions": {"io.modelcontextprotocol/ui": {}}}),
	] {
		mcp.decision == extension_not_allowed with input as doc with data.extensions as known_extensions
		mcp.decision == {"allow": true} with input as doc
	}
}

offering(response) := object.union(base, {"phase": "response", "kind": "initialize", "response": response})

test_extensions_of_a_server if {
	response := {
		"capabilities": {
			"tools": {},
			"experimental": {"com.example/trace": {}, "a/b~c": {}},
			"extensions": {"io.modelcontextprotocol/tasks": {}, "com.example/off": {}},
		},
		"_meta": {"com.example/other": 1, "io.modelcontextprotocol/serverInfo": {}},
	}
	mcp.decision.patch == [
		{"op": "remove", "path": "/_meta/com.example~1other"},
		{"op": "remove", "path": "/capabilities/experimental/a~1b~0c"},
		{"op": "remove", "path": "/capabilities/extensions/com.example~1off"},
	] with input as offering(response) with data.extensions as known_extensions
	mcp.decision == {"allow": true} with input as offering(response)
	mcp.decision == {"allow": true} with input as offering({"capabilities": {"extensions": {"com.example/trace": {}}}})
		with data.extensions as known_extensions
}
