# When: a window is a list of times of day on days of the week, in a time zone. A role with
# `hours` grants nothing outside the window of that name; a tool under data.hours is denied
# outside its own. A window that is unknown or malformed is never open.
#
# Only a decision that comes to a window asks the time. The others may be remembered.
package mcp

deny contains {"reason": "outside_hours"} if {
	input.kind == "tools/call"
	input.phase in {"request", "list"}
	tools := data.hours.tools
	some server in [input.server, "*"]
	some name in [input.tool.name, "*"]
	window := tools[server][name]
	not open(window)
}

# The caller's roles that grant nothing now.
resting contains role if {
	windows := data.hours.roles
	some role in input.user.roles
	window := windows[role]
	not open(window)
}

open(name) if {
	some window in data.windows[name]
	every bound in [window.from, window.until] {
		is_string(bound)
		regex.match(`^(?:[01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$`, bound)
	}
	is_string(window.zone)
	not window.zone in {"", "Local"} # would be the machine's
	now := [time.now_ns(), window.zone]
	time.weekday(now) in window.days
	[hour, minute, _] := time.clock(now)
	clock := sprintf("%02d:%02d", [hour, minute])
	clock >= window.from
	clock < window.until
}
