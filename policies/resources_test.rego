package mcp_test

import data.mcp

read(resource) := object.union(base, {"kind": "resources/read", "resource": resource})

file(path) := {
	"uri": concat("", ["file://", path]),
	"scheme": "file",
	"host": "",
	"path": path,
	"path_segments": split(trim_prefix(path, "/"), "/"),
}

demo(host) := {"uri": concat("", ["demo://", host]), "scheme": "demo", "host": host, "path": ""}

uri_not_allowed := {"allow": false, "reason": "uri_not_allowed", "code": "policy_deny"}

test_reading_below_a_prefix if {
	every path in ["/srv/public", "/srv/public/", "/srv/public/a.txt", "/srv/public/b/c"] {
		mcp.decision == {"allow": true} with input as read(file(path))
		mcp.decision == {"allow": true} with input as object.union(read(file(path)), {"phase": "list"})
	}
}

test_no_host_is_an_empty_host if {
	mcp.decision == {"allow": true} with input as read(object.remove(file("/srv/public/a"), ["host"]))
}

test_reading_elsewhere if {
	every path in ["", "/", "/srv", "/srv/publicity", "/etc/passwd", "srv/public/a", "/SRV/public/a"] {
		mcp.decision == uri_not_allowed with input as read(file(path))
		mcp.decision == uri_not_allowed with input as object.union(read(file(path)), {"phase": "list"})
	}
}

test_paths_with_a_second_reading if {
	every path in [
		"/srv/public/../secret", "/srv/public/..", "/srv/public/./a", "/srv/public//a",
		"/srv/public/%2e%2e/secret", `/srv/public/..\secret`, "/srv/public/a\u0000.txt",
		"/srv/public/a\u009b.txt",
	] {
		mcp.decision == uri_not_allowed with input as read(file(path))
	}
}

test_origins if {
	mcp.decision == {"allow": true} with input as read(demo("any"))
	every change in [{"scheme": "http"}, {"host": "srv"}, {"port": 80}, {"port": "80"}] {
		mcp.decision == uri_not_allowed with input as read(object.union(file("/srv/public/a"), change))
	}
}

test_ports if {
	grants := {"*": {"https://docs.example:8443": ["/"], "https://docs.example": ["/open"]}}
	docs := {"uri": "u", "scheme": "https", "host": "docs.example", "path": "/a"}
	every port in [8443, "8443"] {
		mcp.decision.allow with input as read(object.union(docs, {"port": port})) with data.roles.dev.resources as grants
	}
	every port in ["", 0, null] {
		opened := object.union(docs, {"path": "/open", "port": port})
		mcp.decision.allow with input as read(opened) with data.roles.dev.resources as grants
		not mcp.decision.allow with input as read(object.union(docs, {"port": port})) with data.roles.dev.resources as grants
	}
	not mcp.decision.allow with input as read(object.union(docs, {"port": 443})) with data.roles.dev.resources as grants
}

test_unparsed_uri if {
	mcp.decision == uri_not_allowed with input as read({"uri": "file:///srv/public/a", "valid": false})
	mcp.decision == uri_not_allowed with input as read(object.union(file("/srv/public/a"), {"valid": false}))
	mcp.decision == uri_not_allowed with input as read({"uri": "file:///srv/public/a"})
}

test_resources_of_another_type if {
	every resource in [
		null, "file:///srv/public/a", [], {}, {"uri": null},
		{"uri": "u", "scheme": "file", "host": "", "path": ["/srv/public/a"]},
		{"uri": "u", "scheme": ["file"], "host": "", "path": "/srv/public/a"},
	] {
		mcp.decision == uri_not_allowed with input as read(resource)
	}
}

test_templates if {
	mcp.decision.allow with input as object.union(read(file("/srv/public/{name}")), {"phase": "list"})
	not mcp.decision.allow with input as object.union(read(file("/{path}")), {"phase": "list"})
}

test_subscribing_is_reading if {
	every kind in ["resources/subscribe", "resources/unsubscribe"] {
		mcp.decision == {"allow": true} with input as object.union(read(file("/srv/public/a")), {"kind": kind})
		mcp.decision == uri_not_allowed with input as object.union(read(file("/etc/passwd")), {"kind": kind})
	}
}

listen(notifications) := object.union(base, {
	"kind": "subscriptions/listen",
	"params": {"notifications": notifications},
})

test_listening_without_resources if {
	mcp.decision == {"allow": true} with input as listen({"toolsListChanged": true})
	mcp.decision == {"allow": true} with input as listen({"resourceSubscriptions": []})
}

test_listening_to_allowed_resources if {
	mcp.decision == {"allow": true} with input as listen({"resourceSubscriptions": [
		"file:///srv/public/a.txt",
		"demo://any/thing",
		"demo://any",
	]})
}

# One URI that is not allowed, or not in its normal form, refuses them all.
test_listening_to_others if {
	every uri in [
		"file:///etc/passwd", "file:///srv/public/../../etc/passwd", "file:///srv/public/%2e%2e/x",
		"FILE:///srv/public/a", "file://host/srv/public/a", "file:/srv/public/a", "demo://user@host/",
		"demo://a/?q", "demo://a/#f", "", "demo", null, 1, ["demo://any"], {"uri": "demo://any"},
	] {
		mcp.decision == uri_not_allowed with input as listen({"resourceSubscriptions": ["demo://any", uri]})
	}
}

test_subscriptions_of_another_type if {
	every uris in [null, "demo://any", {"a": "demo://any"}, 1, true, false] {
		mcp.decision == uri_not_allowed with input as listen({"resourceSubscriptions": uris})
	}
}

test_completion_of_a_resource if {
	ok := complete({"type": "ref/resource", "uri": "file:///srv/public/{name}"})
	mcp.decision == {"allow": true} with input as ok
	mcp.decision.reason == "reference_not_allowed" with input as as_role("dba", ok)
	every uri in ["file:///{path}", "file:///etc/{name}", null, ["demo://any"]] {
		mcp.decision.reason == "reference_not_allowed" with input as complete({"type": "ref/resource", "uri": uri})
	}
}

updated(uri) := object.union(base, {
	"phase": "response",
	"kind": "notifications/resources/updated",
	"response": {"uri": uri},
})

test_updates_of_resources if {
	mcp.decision == {"allow": true} with input as updated("file:///srv/public/a")
	mcp.decision == uri_not_allowed with input as updated("file:///etc/passwd")
	mcp.decision == uri_not_allowed with input as updated(null)
}
