# Which tools and prompts a caller may use, by role. These rules look at the caller and
# the name only, never at arguments, so one rule serves the call and the list, and the
# gateway can ask ahead of time whether a call could ever be permitted.
package mcp

allow if {
	input.kind == "tools/call"
	input.phase in {"request", "list"}
	granted("tools", input.tool.name)
}

allow if {
	input.kind == "tools/call"
	data.servers
	input.phase in {"request", "list"}
	reads_only
}

# A task goes on for as long as its caller could still begin it. The gateway knows which
# tool began it, and lets nobody else ask about it.
allow if {
	input.phase == "request"
	input.kind in {"tasks/cancel", "tasks/get", "tasks/result", "tasks/update"}
	may_use_tool
}

allow if {
	input.kind == "notifications/tasks"
	input.phase == "response"
	may_use_tool
}

allow if {
	input.kind == "prompts/get"
	input.phase in {"request", "list"}
	granted("prompts", input.prompt.name)
}

# Completing a prompt's arguments shows what the prompt would show.
allow if {
	input.kind == "completion/complete"
	input.phase == "request"
	input.params.ref.type == "ref/prompt"
	granted("prompts", input.params.ref.name)
}

may_use_tool if granted("tools", input.tool.name)

may_use_tool if reads_only

# granted is true if one of the caller's roles grants the name on this server. Every
# step is a look-up by key: roles and tools that are not asked about cost nothing.
granted(section, name) if {
	is_string(name)
	is_array(input.user.roles)
	some table in role_tables
	some role in input.user.roles
	servers := table[role][section]
	some server in [input.server, "*"]
	named(servers[server], name)
}

# What the caller's roles grant.
grants := [table[role] |
	is_array(input.user.roles)
	some table in role_tables
	some role in input.user.roles
]

# The roles that all share and those of the caller's tenant, without those that rest. There
# is no `else` in it, which partial evaluation would leave open.
role_tables := [data.roles] if {
	not data.tenants
	not data.hours
}

role_tables := own_tables if data.tenants

role_tables := own_tables if data.hours

own_tables := [object.filter(table, active_roles) | some table in array.concat(
	[table | table := data.roles],
	[table | table := data.tenants[tenant].roles],
)]

active_roles := {role |
	some role in input.user.roles
	not resting[role]
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

refusal["tasks/cancel"] := "role_mismatch"

refusal["tasks/get"] := "role_mismatch"

refusal["tasks/result"] := "role_mismatch"

refusal["tasks/update"] := "role_mismatch"

refusal["completion/complete"] := "reference_not_allowed"
