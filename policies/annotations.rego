# Roles that may only read: a role with `read_only` may call each tool of a server whose
# annotations say that it changes nothing. Annotations are the server's own word, so they
# count only for a server that data.servers trusts by its name, and only as plain booleans.
# A tool without them, or one that the role excepts with `false`, needs a grant by name.
package mcp

reads_only if {
	data.servers[input.server].trust_annotations == true
	input.tool.annotations.readOnlyHint == true
	not may_destroy
	is_string(input.tool.name)
	some grant in grants
	some server in [input.server, "*"]
	grant.read_only[server] == true
	not excepts(grant)
}

may_destroy if {
	hint := input.tool.annotations.destructiveHint
	hint != false
}

excepts(grant) if {
	some server in [input.server, "*"]
	grant.tools[server][input.tool.name] == false
}
