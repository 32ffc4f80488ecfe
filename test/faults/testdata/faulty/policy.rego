# Allows everything but the calls that name one of the faults below: of these,
# each rule goes wrong in its own way.
package mcp

fault := object.get(input, ["tool", "args", "fault"], "")

text := object.get(input, ["tool", "args", "text"], "")

zero := count(fault) - count(fault)

many := numbers.range(1, 100000)

broken := {
	"division", "undefined", "type", "conflict", "array", "string allow", "number", "patch of a set", "patch",
	"result", "result patch", "endless", "stuck", "comprehension", "range", "doubling", "format",
}

decision := {"allow": true} if not fault in broken

decision := {"allow": (1 / zero) == 1} if fault == "division"

decision := {"allow": true} if {
	fault == "type"
	not startswith(input.tool.args, "/etc")
}

decision := {"allow": true} if fault == "conflict"

decision := {"allow": false} if fault == "conflict"

decision := [true] if fault == "array"

decision := {"allow": "true"} if fault == "string allow"

decision := to_number(fault) if fault == "number"

decision := {"allow": true, "patch": {1}} if fault == "patch of a set"

decision := {"allow": true, "patch": [{"op": "remove", "path": "/nothing"}]} if fault == "patch"

decision := {"allow": true} if {
	fault == "result"
	input.phase == "request"
}

decision := {"allow": (1 / zero) == 1} if {
	fault == "result"
	input.phase == "response"
}

decision := {"allow": true} if {
	fault == "result patch"
	input.phase == "request"
}

decision := {"allow": true, "patch": [{"op": "remove", "path": "/nothing"}]} if {
	fault == "result patch"
	input.phase == "response"
}

decision := {"allow": n > 0} if {
	fault == "endless"
	n := count([1 | some a in many; some b in many; a == b + 0.5])
}

# split does not look at the clock, so the evaluation runs on past the deadline.
decision := {"allow": n > 0} if {
	fault == "stuck"
	n := count([1 | some part in split(text, ""); endswith(part, "y")])
}

decision := {"allow": n > 0} if {
	fault == "comprehension"
	n := count({[a, b] | some a in many; some b in many})
}

decision := {"allow": n > 0} if {
	fault == "range"
	n := count(numbers.range(1, 1000000000))
}

decision := {"allow": n > 0} if {
	fault == "doubling"
	n := count(t4)
}

t1 := replace("xxxxxxxxxxxxxxxx", "x", "xxxxxxxxxxxxxxxx")

t2 := replace(t1, "x", t1)

t3 := replace(t2, "x", t2)

t4 := replace(t3, "x", t3)

decision := {"allow": n > 0} if {
	fault == "format"
	n := count([s | some a in many; s := sprintf("%999999d", [a])])
}
