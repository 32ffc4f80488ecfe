package mcp

decision := {"allow": true}
