package mcp

# Everything is allowed, so nothing may differ from the server itself.
decision := {"allow": true}
