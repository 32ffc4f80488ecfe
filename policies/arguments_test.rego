package mcp_test

import data.mcp

convert(args) := call("temp.convert", args)

invalid(reason) := {"allow": false, "reason": reason, "code": "validation_failed"}

# One bound for the argument v of the tool echo.
bounded(bound) := {"demo": {"echo": {"properties": {"v": bound}}}}

test_temperature_within_bounds if {
	every temp in [-273, -272.9, 0, 20, 1e4, 10000] {
		mcp.decision == {"allow": true} with input as convert({"temp": temp, "from": "C", "to": "F"})
	}
}

test_temperature_out_of_bounds if {
	every temp in [-500, -273.0001, 10000.0001, 123456789012345678901234567890, 1e400, -1e400] {
		mcp.decision == invalid("argument_out_of_range") with input as convert({"temp": temp})
	}
}

test_temperature_of_another_type if {
	every temp in ["20", "-500", "", true, false, [], [20], {}, {"temp": 20}] {
		mcp.decision == invalid("argument_out_of_range") with input as convert({"temp": temp})
	}
}

test_temperature_missing if {
	mcp.decision.reason == "argument_missing" with input as convert({})
	mcp.decision.reason == "argument_missing" with input as convert({"TEMP": 20})
	mcp.decision.reason == "argument_missing" with input as convert({"temp": null})
	mcp.decision == invalid("argument_missing") with input as object.union(base, {
		"kind": "tools/call",
		"tool": {"name": "temp.convert"},
	})
}

test_arguments_of_another_type if {
	every args in [null, "temp", 1, true, [], [20], ["temp", 20]] {
		mcp.decision.code == "validation_failed" with input as convert(args)
		mcp.decision == invalid("arguments_not_an_object") with input as as_role("dba", call("database.backup", args))
	}
}

test_argument_beside_the_known_ones if {
	mcp.decision == invalid("argument_unknown") with input as as_role(
		"dba",
		call("database.backup", {"path": "/"}),
	)
}

# The gateway may then remember what it decided.
test_no_bounds_no_look_at_the_arguments if {
	every args in [null, [], {"any": "thing"}] {
		mcp.decision == {"allow": true} with input as call("alert.read", args)
	}
}

# False is a value: `required` and `additionalProperties` must not take it for absence.
test_false_is_a_value if {
	bounds := {"*": {"echo": {
		"required": ["v"],
		"additionalProperties": false,
		"properties": {"v": {"type": "boolean"}},
	}}}
	mcp.decision == {"allow": true} with input as call("echo", {"v": false}) with data.arguments as bounds
}

test_bounds_of_the_server_and_of_all_apply if {
	bounds := {
		"demo": {"echo": {"properties": {"v": {"maximum": 10}}}},
		"*": {"echo": {"properties": {"v": {"minimum": 0}}}},
	}
	mcp.decision == {"allow": true} with input as call("echo", {"v": 5}) with data.arguments as bounds
	mcp.decision.reason == "argument_out_of_range" with input as call("echo", {"v": 11}) with data.arguments as bounds
	mcp.decision.reason == "argument_out_of_range" with input as call("echo", {"v": -1}) with data.arguments as bounds
}

test_types if {
	accepted := {
		"string": ["x"],
		"number": [1.5, 7],
		"integer": [7],
		"boolean": [true, false],
		"array": [[]],
		"object": [{}],
	}
	values := ["x", 1.5, 7, true, false, [], {}, null]
	allowed := {type: right |
		some type, _ in accepted
		right := [value |
			some value in values
			mcp.decision.allow with input as call("echo", {"v": value})
				with data.arguments as bounded({"type": type})
		]
	}
	allowed == accepted
}

test_max_length if {
	mcp.decision.allow with input as call("echo", {"v": "abc"}) with data.arguments as bounded({"maxLength": 3})
	every value in ["abcd", ["a"], {}, 1, null] {
		mcp.decision == invalid("argument_too_long") with input as call("echo", {"v": value})
			with data.arguments as bounded({"maxLength": 3})
	}
}

test_enum if {
	mcp.decision.allow with input as call("echo", {"v": "C"}) with data.arguments as bounded({"enum": ["C", "F"]})
	every value in ["c", ["C"], null, ""] {
		mcp.decision == invalid("argument_not_allowed") with input as call("echo", {"v": value})
			with data.arguments as bounded({"enum": ["C", "F"]})
	}
}

test_pattern if {
	mcp.decision.allow with input as call("echo", {"v": "abc"}) with data.arguments as bounded({"pattern": "^[a-z]+$"})
	every value in ["ABC", "abc\n", ["abc"], 1, null] {
		mcp.decision == invalid("argument_not_allowed") with input as call("echo", {"v": value})
			with data.arguments as bounded({"pattern": "^[a-z]+$"})
	}
}

test_misspelt_keyword_refuses if {
	mcp.decision == invalid("argument_bound_unknown") with input as call("echo", {"v": 1})
		with data.arguments as bounded({"minmum": 0})
}

test_no_arguments_in_a_list if {
	mcp.decision == {"allow": true} with input as object.union(listed("temp.convert"), {"tool": {"args": []}})
}
