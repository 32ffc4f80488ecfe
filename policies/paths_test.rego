package mcp_test

import data.mcp

# Whether a value passes for a bound.
fits(bound, value) if mcp.decision.allow with input as call("echo", {"v": value}) with data.arguments as bounded(bound)

below_public := {"path": ["/srv/public", "/srv/docs/", "C:/data"]}

test_paths_below if {
	every path in ["/srv/public", "/srv/public/", "/srv/public/a b/ü.txt", "/srv/public/..a/.b", "/srv/docs/a", "C:/data/a.txt"] {
		fits(below_public, path)
	}
	fits({"path": ["/"]}, "/etc/passwd")
}

test_paths_elsewhere if {
	{path |
		some path in [
			"", "/", "/srv", "/srv/publicity", "/srv/Public/a", "/etc/passwd", "srv/public/a", "./srv/public", "~/a", "c:/data/a", "D:/data/a",
			"C:/database", "//srv/public/a", "file:///srv/public/a", " /srv/public/a", "\n/srv/public/a",
		]
		fits(below_public, path)
	} == set()
}

test_paths_with_two_readings if {
	{path |
		some path in [
			"/srv/public/../secret", "/srv/public/..", "/srv/public/./a", "/srv/public//a", "/srv/public/.../a", "/srv/public/.. /a",
			"/srv/public/ /a", "/srv/public/%2e%2e/a", "/srv/public/%252e/a", "/srv/public/a%00", "/srv/public/a\u0000.txt", `/srv/public\..\a`,
			"/srv/public/a\n", "/srv/public/a\u007f", "/srv/public/a\u009b", "/srv/public/\u202eb", "/srv/public/\u200b..", "/srv/public/．．/a",
			"/srv/public/‥/a", "/srv/public∕..∕a", "/srv/public／..", "/srv/public/a＼b", "/srv/public/\ufeffa", "/srv/public/a\u2028",
			"C:/data/a.txt:stream", "C:/data/PROGRA~1", "C:/data/a./b", "C:/data/a ", "C:/data/CON", "C:/data/nul.txt", `C:\data\a`, "C:data/a",
			"C:/data/a?", "C:/data/COM¹", "C:/data/../a",
		]
		fits(below_public, path)
	} == set()
	not fits(below_public, concat("", ["/srv/public/", sprintf("%04096d", [0])]))
}

test_paths_of_another_type if {
	every value in [null, 1, true, ["/srv/public/a"], {"path": "/srv/public/a"}, []] {
		mcp.decision == invalid("path_not_allowed") with input as call("echo", {"v": value}) with data.arguments as bounded(below_public)
	}
	every prefixes in [null, "/srv", {"a": "/srv"}, [], true] {
		not fits({"path": prefixes}, "/srv/public/a")
	}
}

to_hosts := {"url": {
	"https://docs.example": ["/"],
	"https://docs.example:8443": ["/open"],
	"https://*.example.org": ["/"],
	"http://10.0.0.5:8080": ["/"],
	"http://[fd00::1]": ["/"],
	"http://169.254.169.254": ["/"],
	"http://[fe80::1]": ["/"],
	"http://[::ffff:a9fe:a9fe]": ["/"],
	"http://[fd00:ec2::254]": ["/"],
	"file://": ["/srv/public"],
	"http://localhost": ["/api"],
	"https://xn--bcher-kva.example.org": ["/"],
}}

test_urls if {
	every url in [
		"https://docs.example", "https://docs.example/", "HTTPS://Docs.Example/a/b?q=1&r=%20x#top", "https://docs.example:443/a",
		"https://docs.example:8443/open/a", "https://a.example.org/", "https://a.b.example.org/x%20y/%C3%A9", "http://10.0.0.5:8080/",
		"http://[FD00::1]/a", "file:///srv/public/a", "http://localhost/api/x", "https://xn--bcher-kva.example.org/",
	] {
		fits(to_hosts, url)
	}
	fits({"url": {"https://*": ["/"]}}, "https://any.example/")
}

test_other_urls if {
	{url |
		some url in [
			"", "docs.example", "//docs.example/", "https:/docs.example/", "https:docs.example", "http://docs.example/", "https://docs.example:444/",
			"https://docs.example:8443/", "https://docs.example:8443/opened", "https://example.org/", "https://evilexample.org/",
			"https://docs.example.evil/", "https://docs.example./", "https://user@docs.example/", "https://docs.example@evil/",
			"https://evil\\@docs.example/", "https://docs.example\\.evil/", "https://docs.example:0443/", "https://docs.example:/",
			"https://docs.example%2eevil/", "https://docs.example\t/", " https://docs.example/", "https://docs.example/\n", "https://docs.example/a b",
			"https://docs.example#@evil/", "https://docs.example?@evil/%00", "ftp://docs.example/", "javascript:alert(1)", "data:,x",
			"https://bücher.example.org/", "https://xn--other.example.org/", "https://ｄocs.example/", "https://-a.example.org/", "https://.example.org/",
			"https:///a", "file://host/srv/public/a", "file:///etc/passwd", "http://localhost:80800000/api",
		]
		fits(to_hosts, url)
	} == set()
}

test_url_paths_with_two_readings if {
	{url |
		some url in [
			"https://docs.example:8443/open/../x", "https://docs.example:8443/open/..", "https://docs.example:8443/open/%2e%2e/x",
			"https://docs.example:8443/open/%2E%2e/x", "https://docs.example:8443/open%2f..", "https://docs.example:8443/open/..;/x",
			"https://docs.example:8443/open/.;a/x", "https://docs.example:8443//open", "https://docs.example:8443/open//x",
			"https://docs.example:8443/open/%252e%252e", "https://docs.example:8443/open/%5c..", "https://docs.example:8443/open/%00",
			"https://docs.example:8443/%6fpen/", "https://docs.example:8443/open/%zz", "https://docs.example/?a=%0d%0aHost:x",
		]
		fits(to_hosts, url)
	} == set()
}

test_addresses if {
	wide := {"url": object.union(to_hosts.url, {"http://*": ["/"], "http://*.internal": ["/"]})}
	{url |
		some url in [
			"http://169.254.169.254/", "http://169.254.169.254/latest/meta-data", "http://169.254.1.1/", "http://127.0.0.1/", "http://10.0.0.5/",
			"http://2852039166/", "http://0xa9fea9fe/", "http://0251.0376.0251.0376/", "http://0xa9.0xfe.0xa9.0xfe/", "http://169.254.43518/",
			"http://127.1/", "http://0/", "http://0x7f.1/", "http://010.0.0.5:8080/", "http://10.0.0.5.:8080/", "http://256.1.1.1/", "http://1.2.3.4.5/",
			"http://[::1]/", "http://[::ffff:169.254.169.254]/", "http://[::ffff:a9fe:a9fe]/", "http://[0:0:0:0:0:ffff:a9fe:a9fe]/", "http://[fe80::1]/",
			"http://[fe80::1%25eth0]/", "http://[fd00:ec2::254]/", "http://[fd00:0::1]/", "http://[64:ff9b::a9fe:a9fe]/", "http://[::a9fe:a9fe]/",
			"http://localhost/", "http://a.localhost/", "http://printer.local/", "http://metadata/", "http://a.lan/", "http://xn--a.example/",
		]
		fits(wide, url)
	} == set()
	fits(wide, "http://metadata.google.internal/")
	fits(wide, "http://any.example/")
	not fits({"url": {"http://*": ["/"]}}, "http://metadata.google.internal/")
}

test_urls_of_another_type if {
	every value in [null, 1, ["https://docs.example/"], {"url": "https://docs.example/"}, true] {
		mcp.decision == invalid("url_not_allowed") with input as call("echo", {"v": value}) with data.arguments as bounded(to_hosts)
	}
	every origins in [null, [], ["https://docs.example"], "https://docs.example", {"https://docs.example": "/"}, {"https://docs.example": true}] {
		not fits({"url": origins}, "https://docs.example/")
	}
	not fits(to_hosts, concat("", ["https://docs.example/", sprintf("%04096d", [0])]))
	not fits({"url": {"https://*": ["/"]}}, concat("", ["https://", sprintf("a%0250d", [0]), ".example/"]))
}
