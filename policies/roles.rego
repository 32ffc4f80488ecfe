# Which tools and prompts a caller may use, by role. These rules look at the caller and
# the name only, never at arguments, so one rule serves the call and the list, and the
# gateway can ask ahead of time whether a call could ever be permitted.
package mcp

allow if {
	input.kind == "tools/call"
	asks
	granted("tools", input.tool.name)
}

# A task goes on for as long as its caller could still begin it. The gateway knows which
# tool began it, and lets nobody else ask about it.
allow if {
	about_task[input.kind]
	input.phase == "request"
	granted("tools", input.tool.name)
}

allow if {
	input.kind == "notifications/tasks"
	input.phase == "response"
	granted("tools", input.tool.name)
}

about_task := {"tasks/cancel", "tasks/get", "tasks/result", "tasks/update"}

allow if {
	input.kind == "prompts/get"
	asks
	granted("prompts", input.prompt.name)
}

# Completing a prompt's arguments shows what the prompt would show.
allow if {
	input.kind == "completion/complete"
	input.phase == "request"
	input.params.ref.type == "ref/prompt"
	granted("prompts", input.params.ref.name)
}

asks if input.phase == "request"

asks if input.phase == "list"

# granted is true if one of the caller's roles grants the name on this server. Every
# step is a look-up by key: roles and tools that are not asked about cost nothing.
granted(section, name) if {
	is_string(name)
	is_array(input.user.roles)
	some role in input.user.roles
	some server in [input.server, "*"]
	named(data.roles[role][section][server], name)
}

named(names, name) if names[name] == true

# An exact `false` beats the wildcard of the same list.
named(names, name) if {
	names["*"] == true
	not names[name] == false
}

refusal["tools/call"] := "role_mismatch"

refusal["prompts/get"] := "role_mismatch"

refusal["notifications/tasks"] := "role_mismatch"

refusal[method] := "role_mismatch" if some method in about_task

refusal["completion/complete"] := "reference_not_allowed"
