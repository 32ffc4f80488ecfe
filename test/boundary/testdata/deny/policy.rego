package mcp

# All is denied.
decision := {"allow": false, "reason": "no"}
