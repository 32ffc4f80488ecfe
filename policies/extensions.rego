# Extensions: what client and server may agree on beside the protocol itself. With a list in
# the data, a message of the client's whose `_meta` or capabilities name anything else is
# refused, and what a server offers or attaches beyond the list is left out. Without one
# nothing of this is looked at. Methods that nobody knows are refused anyway.
#
#   "extensions": {"io.modelcontextprotocol/tasks": true, "com.example/trace": true}
package mcp

deny contains {"reason": "extension_not_allowed"} if {
	input.phase == "request"
	data.extensions
	names_others
}

names_others if {
	some name, _ in input.params._meta
	not meta_of_the_protocol[name]
	not data.extensions[name] == true
}

names_others if {
	some names in offered
	some name, _ in names
	not data.extensions[name] == true
}

# What is no object holds nothing that could be looked up.
names_others if {
	some names in array.concat(offered, [meta | meta := input.params._meta])
	not is_object(names)
}

# What the client offers: before 2026-07-28 once, since then in each request.
offered := [names |
	some capabilities in array.concat(
		[capabilities |
			input.kind == "initialize"
			capabilities := input.params.capabilities
		],
		[capabilities | capabilities := input.params._meta["io.modelcontextprotocol/clientCapabilities"]],
	)
	some member in extension_members
	names := capabilities[member]
]

patches contains {"op": "remove", "path": pointer(["_meta", name])} if {
	known := data.extensions
	input.phase == "response"
	some name, _ in input.response._meta
	not meta_of_the_protocol[name]
	not known[name] == true
}

patches contains {"op": "remove", "path": pointer(["capabilities", member, name])} if {
	known := data.extensions
	input.phase == "response"
	input.kind in {"initialize", "server/discover"}
	some member in extension_members
	some name, _ in input.response.capabilities[member]
	not known[name] == true
}

extension_members := ["experimental", "extensions"]

meta_of_the_protocol := {
	"baggage",
	"io.modelcontextprotocol/clientCapabilities",
	"io.modelcontextprotocol/clientInfo",
	"io.modelcontextprotocol/logLevel",
	"io.modelcontextprotocol/protocolVersion",
	"io.modelcontextprotocol/related-task",
	"io.modelcontextprotocol/serverInfo",
	"io.modelcontextprotocol/subscriptionId",
	"progressToken",
	"traceparent",
	"tracestate",
}
