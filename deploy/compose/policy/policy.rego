# The policy of the example: which roles may use which tools. ../../../policies has what a real one also needs:
# bounds on arguments, resources, secrets in results.
package mcp

allow if input.kind != "tools/call"

allow if {
	some role in input.user.roles
	input.tool.name in data.roles[role].tools
}

decision := {"allow": true} if allow

else := {"allow": false, "reason": "role_mismatch"}
