package mcp

# All is allowed: what stops a message in these tests is not the policy.
decision := {"allow": true}
