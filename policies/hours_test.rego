package mcp_test

import data.mcp

office := [{"zone": "Europe/Berlin", "days": ["Monday", "Friday"], "from": "08:00", "until": "18:00"}]

outside_hours := {"allow": false, "reason": "outside_hours", "code": "policy_deny"}

at(text) := time.parse_rfc3339_ns(text)

echoes := call("echo", {"text": "x"})

of_tools(tools) := {"tools": tools}

test_a_tool_in_its_hours if {
	every now in ["2026-11-23T07:00:00Z", "2026-11-23T16:59:59Z", "2026-07-10T06:00:00Z", "2026-07-10T15:59:59Z"] {
		mcp.decision == {"allow": true} with input as echoes
			with time.now_ns as at(now)
			with data.windows as {"office": office}
			with data.hours as of_tools({"demo": {"echo": "office"}})
	}
}

test_a_tool_outside_its_hours if {
	every now in [
		"2026-11-23T06:59:59Z", "2026-11-23T17:00:00Z", "2026-11-24T10:00:00Z", "2026-07-10T05:59:59Z", "2026-07-10T16:00:00Z",
		"2026-11-22T23:30:00Z",
	] {
		every phase in ["request", "list"] {
			mcp.decision == outside_hours with input as object.union(echoes, {"phase": phase})
				with time.now_ns as at(now)
				with data.windows as {"office": office}
				with data.hours as of_tools({"*": {"*": "office"}})
		}
	}
}

test_windows_that_are_never_open if {
	{window |
		some window in [
			null, [], {}, "08:00-18:00", {"zone": "UTC"}, object.union(office[0], {"from": 8}), object.union(office[0], {"until": "6pm"}),
			object.union(office[0], {"from": "8:00"}), object.union(office[0], {"days": "Monday"}), object.union(office[0], {"days": ["Mon"]}),
			object.union(office[0], {"zone": ""}), object.union(office[0], {"zone": "Local"}), object.union(office[0], {"zone": null}),
			object.union(office[0], {"from": "18:00", "until": "08:00"}), object.union(office[0], {"until": "24:01"}),
		]
		not mcp.decision == outside_hours with input as echoes
			with time.now_ns as at("2026-11-23T10:00:00Z")
			with data.windows as {"office": [window]}
			with data.hours as of_tools({"demo": {"echo": "office"}})
	} == set()
	every name in ["unknown", null, ["office"], true, false] {
		mcp.decision == outside_hours with input as echoes
			with time.now_ns as at("2026-11-23T10:00:00Z")
			with data.windows as {"office": office}
			with data.hours as of_tools({"demo": {"echo": name}})
	}
}

test_any_of_several_windows if {
	night := array.concat(office, [{"zone": "UTC", "days": ["Tuesday"], "from": "00:00", "until": "24:00"}])
	mcp.decision == {"allow": true} with input as echoes
		with time.now_ns as at("2026-11-24T23:59:59Z")
		with data.windows as {"office": night}
		with data.hours as of_tools({"demo": {"echo": "office"}})
}

test_other_tools_have_no_hours if {
	mcp.decision == {"allow": true} with input as call("alert.read", {})
		with time.now_ns as at("2026-11-24T10:00:00Z")
		with data.windows as {"office": office}
		with data.hours as of_tools({"demo": {"echo": "office"}, "other": {"alert.read": "office"}})
}

test_a_role_in_and_outside_its_hours if {
	hours := {"roles": {"dev": "office"}}
	mcp.decision == {"allow": true} with input as echoes
		with time.now_ns as at("2026-11-23T10:00:00Z")
		with data.windows as {"office": office}
		with data.hours as hours
	mcp.decision == role_mismatch with input as echoes
		with time.now_ns as at("2026-11-24T10:00:00Z")
		with data.windows as {"office": office}
		with data.hours as hours
	mcp.decision == {"allow": true} with input as object.union(echoes, {"user": {"roles": ["reader", "dev"]}})
		with time.now_ns as at("2026-11-24T10:00:00Z")
		with data.windows as {"office": office}
		with data.hours as hours
	mcp.decision == uri_not_allowed with input as read(file("/srv/public/a"))
		with time.now_ns as at("2026-11-24T10:00:00Z")
		with data.windows as {"office": office}
		with data.hours as hours
}
