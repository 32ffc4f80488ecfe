# Which resources a caller may read, by role: an origin (scheme and host) and below it
# path prefixes. The rules look at the normalised parts, never at the raw URI, so no
# spelling of "/srv/public/../../etc" gets past them.
package mcp

allow if {
	input.kind == "resources/read"
	input.phase in {"request", "list"}
	readable(input.resource.uri)
}

allow if {
	input.kind == "resources/subscribe"
	input.phase == "request"
	readable(input.resource.uri)
}

allow if {
	input.kind == "resources/unsubscribe"
	input.phase == "request"
	readable(input.resource.uri)
}

# A listener names resources too. No names is an empty list.
allow if {
	input.kind == "subscriptions/listen"
	input.phase == "request"
	not names_resources
}

allow if {
	input.kind == "subscriptions/listen"
	input.phase == "request"
	is_array(input.params.notifications.resourceSubscriptions)
	every uri in input.params.notifications.resourceSubscriptions {
		readable(uri)
	}
}

names_resources if _ = input.params.notifications.resourceSubscriptions

# Completing a template's variables lists what lies behind them.
allow if {
	input.kind == "completion/complete"
	input.phase == "request"
	input.params.ref.type == "ref/resource"
	readable(input.params.ref.uri)
}

# A server may report a resource below the one that was subscribed to.
allow if {
	input.phase == "response"
	input.kind == "notifications/resources/updated"
	readable(input.response.uri)
}

readable(uri) if {
	parts := uri_parts(uri)
	plain_path(parts.path)
	some grant in grants
	some server in [input.server, "*"]
	some origin in parts.origins
	below(parts.path, grant.resources[server][origin])
}

# The gateway's parts, if they are those of this URI.
uri_parts(uri) := {"path": uri_path, "origins": [uri_origin, any_host]} if {
	input.resource.uri == uri
	object.get(input.resource, "valid", true) == true
	is_string(input.resource.path)
	is_string(input.resource.scheme)
	uri_path := input.resource.path
	uri_origin := concat("", [input.resource.scheme, "://", uri_host, uri_port])
	any_host := concat("", [input.resource.scheme, "://*"])
} else := {"path": groups[0][3], "origins": [uri_origin, any_host]} if {
	# A URI among several has no parts, so only one that needs no normalising counts: no
	# escapes, no query, no fragment. The path is checked like any other.
	not input.resource.uri == uri
	is_string(uri)
	groups := regex.find_all_string_submatch_n(plain_uri, uri, 1)
	uri_origin := concat("", [groups[0][1], "://", groups[0][2]])
	any_host := concat("", [groups[0][1], "://*"])
}

plain_uri := `^([a-z][a-z0-9+.-]*)://([a-z0-9.-]*(?::[0-9]+)?)((?:/[^%\\?#]*)?)$`

default uri_host := ""

uri_host := input.resource.host if is_string(input.resource.host)

default uri_port := ""

uri_port := sprintf(":%v", [port]) if {
	port := input.resource.port
	not port in {"", 0, null}
}

# A path that a server could read in only one way. What is still escaped after decoding,
# or still has dot segments, is somebody's attempt at a second reading.
plain_path(path) if not regex.match(`[%\\\x00-\x1f\x7f-\x{9f}]|//|/\.\.?(?:/|$)`, path)

refusal["resources/read"] := "uri_not_allowed"

refusal["resources/subscribe"] := "uri_not_allowed"

refusal["resources/unsubscribe"] := "uri_not_allowed"

refusal["subscriptions/listen"] := "uri_not_allowed"

refusal["notifications/resources/updated"] := "uri_not_allowed"
