package mcp

# Built-ins that fail like to quote what they were given.
decision := {"allow": to_number(json.marshal(input.params)) > time.parse_rfc3339_ns(input.method)}
