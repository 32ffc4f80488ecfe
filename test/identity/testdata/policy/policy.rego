package mcp

# Who calls is told back to the test: tool "who" of role dev only, with the caller in the reason.
decision := {"allow": true} if not calls

decision := {"allow": "dev" in input.user.roles, "reason": sprintf("%s %s %s", [input.user.id, input.user.auth, concat(",", input.user.roles)])} if calls

calls if {
	input.phase == "request"
	input.kind == "tools/call"
}
