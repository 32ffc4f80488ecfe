package mcp

test_roles if {
	every tool, want in {"echo": true, "get-env": false} {
		decision.allow == want with input as {
			"phase": "request", "kind": "tools/call",
			"user": {"id": "guest", "roles": ["reader"], "auth": "anonymous"},
			"tool": {"name": tool},
		}
	}
}

test_other_methods if decision.allow with input as {"phase": "request", "kind": "ping"}
