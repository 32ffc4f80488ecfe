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

# The gateway says so only if it looked at all bounds that tenants share.
test_kept_bounds_are_not_checked_again if {
	hot := convert({"temp": 99999})
	mcp.decision == {"allow": true} with input as object.union(hot, {"bounds": {"kept": true}})
	every other in [null, {}, {"kept": false}, {"kept": "true"}, {"kept": 1}, true] {
		mcp.decision == invalid("argument_out_of_range") with input as object.union(hot, {"bounds": other})
	}
}

test_bounds_of_a_tenant_are_checked if {
	own := object.union(as_role("dev", convert({"temp": 30})), {"user": {"claims": {"tenant": "acme"}}, "bounds": {"kept": true}})
	bounds := {"*": {"temp.convert": {"properties": {"temp": {"maximum": 20}}}}}
	mcp.decision == {"allow": true} with input as own with data.tenants as {"acme": {}}
	mcp.decision == invalid("argument_out_of_range") with input as own with data.tenants as {"acme": {"arguments": bounds}}
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

order := {
	"type": "object",
	"required": ["id"],
	"additionalProperties": false,
	"properties": {
		"id": {"type": "integer", "description": "n", "title": "t"},
		"lines": {"minItems": 1, "maxItems": 2, "items": {
			"required": ["sku"],
			"additionalProperties": false,
			"properties": {"sku": {"pattern": "^[A-Z]+$"}, "at": {"items": {"path": ["/srv"]}}},
		}},
	},
}

test_nested_bounds if {
	every value in [
		{"id": 1}, {"id": 1, "lines": [{"sku": "A"}]}, {"id": 1, "lines": [{"sku": "A", "at": ["/srv/a"]}, {"sku": "B", "at": []}]},
	] {
		mcp.decision == {"allow": true} with input as call("echo", {"v": value}) with data.arguments as bounded(order)
	}
	cases := {
		"argument_missing": [{}, {"id": null}, {"id": 1, "lines": [{}]}, {"id": 1, "lines": [{"sku": "A"}, {"sku": null}]}],
		"argument_unknown": [{"id": 1, "x": 1}, {"id": 1, "lines": [{"sku": "A", "x": 1}]}, {"id": 1, "lines": [{"sku": "A", "SKU": 1}]}],
		"argument_wrong_type": [{"id": "1"}, {"id": 1.5}, {"id": 1, "lines": [{"sku": "A", "at": "/srv"}]}],
		"argument_not_allowed": [{"id": 1, "lines": [{"sku": "a"}]}, {"id": 1, "lines": [{"sku": "A"}, {"sku": ["A"]}]}],
		"argument_too_short": [{"id": 1, "lines": []}],
		"argument_too_long": [{"id": 1, "lines": [{"sku": "A"}, {"sku": "A"}, {"sku": "A"}]}],
		"path_not_allowed": [{"id": 1, "lines": [{"sku": "A", "at": ["/srv/a", "/etc/passwd"]}]}],
	}
	every reason, values in cases {
		every value in values {
			mcp.decision == invalid(reason) with input as call("echo", {"v": value}) with data.arguments as bounded(order)
		}
	}
	every value in [null, [], "x", 1, {"id": 1, "lines": {"0": {"sku": "A"}}}, {"id": 1, "lines": ["A"]}, {"id": 1, "lines": [null]}] {
		mcp.decision.code == "validation_failed" with input as call("echo", {"v": value}) with data.arguments as bounded(order)
	}
}

test_malformed_nested_bounds if {
	every bound in [
		{"items": true}, {"items": null}, {"items": [{"type": "string"}]}, {"items": "string"}, {"properties": []}, {"properties": true},
		{"items": {"type": "text"}}, {"items": {"tpye": "string"}}, {"items": {"items": 1}}, {"items": {"additionalProperties": {}}},
	] {
		mcp.decision.code == "validation_failed" with input as call("echo", {"v": [["x"]]}) with data.arguments as bounded(bound)
	}
	every bound in [{"properties": {"a": true}}, {"properties": {"a": null}}, {"required": "a"}, {"additionalProperties": "no"}] {
		mcp.decision.code == "validation_failed" with input as call("echo", {"v": {"a": 1}}) with data.arguments as bounded(bound)
	}
	every bound in [true, null, "string", ["string"]] {
		mcp.decision == invalid("argument_bound_unknown") with input as call("echo", {"v": 1}) with data.arguments as bounded(bound)
	}
}

test_more_keywords if {
	accepted := [
		[{"type": ["string", "null"]}, null], [{"exclusiveMinimum": 1}, 1.5], [{"exclusiveMaximum": 2}, 1], [{"minLength": 2}, "ab"],
		[{"minItems": 1}, [1]], [{"uniqueItems": true}, [1, 2]], [{"const": {"a": 1}}, {"a": 1}], [{"format": "date"}, "2026-11-23"],
		[{"format": "date-time"}, "2026-11-23T10:00:00.5+01:00"], [{"format": "email"}, "a.b@c.example"], [{"additionalProperties": true}, {"a": 1}],
		[{"format": "uuid"}, "0f8fad5b-d9cb-469f-a165-70867728950e"], [{"default": 1, "examples": [], "$comment": "x"}, 5],
	]
	every case in accepted {
		mcp.decision == {"allow": true} with input as call("echo", {"v": case[1]}) with data.arguments as bounded(case[0])
	}
	{case |
		some case in [
			[{"type": ["string", "null"]}, 1], [{"type": []}, 1], [{"type": "any"}, 1], [{"exclusiveMinimum": 1}, 1], [{"exclusiveMinimum": 1}, "2"],
			[{"exclusiveMaximum": 2}, 2], [{"minLength": 2}, "a"], [{"minLength": 1}, ["a"]], [{"minItems": 1}, "a"], [{"maxItems": 1}, {"a": 1}],
			[{"uniqueItems": true}, [1, 1]], [{"uniqueItems": true}, "ab"], [{"uniqueItems": false}, [1]], [{"const": 1}, "1"], [{"const": null}, 1],
			[{"format": "date"}, "2026-13-01"], [{"format": "date"}, ["2026-11-23"]], [{"format": "email"}, "a@b"], [{"format": "any"}, "x"],
			[{"maximum": "9"}, 5], [{"minimum": null}, 5], [{"maxLength": "9"}, "a"], [{"minLength": null}, "a"], [{"maxItems": {}}, [1]],
			[{"enum": {"a": 1}}, 1], [{"required": [1]}, [1]],
		]
		mcp.decision.allow with input as call("echo", {"v": case[1]}) with data.arguments as bounded(case[0])
	} == set()
}
