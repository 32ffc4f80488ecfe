package config_test

import "strings"

// As fileErrors, for what concerns addresses, callers, headers, URLs and bundles.
var networkErrors = []struct{ name, file, want string }{
	{
		"no port", `listen: localhost`,
		`g.yaml:1: listen: "localhost" is not an address of the form host:port`,
	},
	{
		"port name", `admin: "localhost:http"`,
		`g.yaml:1: admin: "localhost:http" is not an address of the form host:port`,
	},
	{
		"port too large", `admin: "localhost:65536"`,
		`g.yaml:1: admin: "localhost:65536" is not an address of the form host:port`,
	},
	{
		"one address for two", "listen: 127.0.0.1:1\nadmin: 127.0.0.1:1\n",
		`g.yaml:2: admin: "127.0.0.1:1" is the address of listen too (use another port)`,
	},
	{
		"open to all", `listen: ":8080"`,
		`g.yaml:1: listen: ":8080" is not a loopback address, and no identity is configured: whoever reaches it could ` +
			`call every tool (set identity.jwt, introspection, apiKeys, apiKeysFile, certificates, trustedProxies.cidrs or anonymous, or listen on 127.0.0.1)`,
	},
	{
		"nobody can call", `identity: {}`,
		`g.yaml:1: identity: lets nobody in (set identity.jwt, introspection, apiKeys, apiKeysFile, certificates, trustedProxies.cidrs or anonymous, ` +
			`or leave identity out to let every local caller in)`,
	},

	{
		"server name", `mcpServers: {My_Server: {url: "http://a"}}`,
		`g.yaml:1: mcpServers.My_Server: "My_Server" is not a server's name (1 to 63 of a-z, 0-9 and -)`,
	},
	{
		"server name with a path", `mcpServers: {"../a": {url: "http://a"}}`,
		`g.yaml:1: mcpServers."../a": "../a" is not a server's name (1 to 63 of a-z, 0-9 and -)`,
	},
	{
		"credentials in url", `mcpServers: {a: {url: "http://u:s3cr3t@a/mcp"}}`,
		`g.yaml:1: mcpServers.a.url: "http://…@a/mcp" is not an absolute http or https URL without credentials and fragment`,
	},
	{
		"secret in query", `mcpServers: {a: {url: "ftp://a/mcp?key=s3cr3t"}}`,
		`g.yaml:1: mcpServers.a.url: "ftp://a/mcp?…" is not an absolute http or https URL without credentials and fragment`,
	},
	{
		"relative url", `mcpServers: {a: {url: /mcp}}`,
		`g.yaml:1: mcpServers.a.url: "/mcp" is not an absolute http or https URL without credentials and fragment`,
	},
	{
		"no host", `mcpServers: {a: {url: "http://:80/"}}`,
		`g.yaml:1: mcpServers.a.url: "http://:80/" is not an absolute http or https URL without credentials and fragment`,
	},
	{
		"empty fragment", `mcpServers: {a: {url: "http://a#"}}`,
		`g.yaml:1: mcpServers.a.url: "http://a#…" is not an absolute http or https URL without credentials and fragment`,
	},
	{
		"port of url", `mcpServers: {a: {url: "http://a:99999"}}`,
		`g.yaml:1: mcpServers.a.url: "http://a:99999" is not an absolute http or https URL without credentials and fragment`,
	},

	{
		"header name", `mcpServers: {a: {url: "http://a", headers: {"a b": s3cr3t}}}`,
		`g.yaml:1: mcpServers.a.headers."a b": "a b" is not the name of a header`,
	},
	{
		"hop-by-hop header", `mcpServers: {a: {url: "http://a", headers: {transfer-encoding: chunked}}}`,
		`g.yaml:1: mcpServers.a.headers.transfer-encoding: "transfer-encoding" is a header that the gateway sets or drops itself`,
	},
	{
		"protocol header", `mcpServers: {a: {url: "http://a", headers: {mcp-session-id: s3cr3t}}}`,
		`g.yaml:1: mcpServers.a.headers.mcp-session-id: "mcp-session-id" is a header that the gateway sets or drops itself`,
	},
	{
		"header value", `mcpServers: {a: {url: "http://a", headers: {X-A: "s3cr3t\r\nX-B: 1"}}}`,
		`g.yaml:1: mcpServers.a.headers.X-A: the value (not shown) is not the value of a header (not empty, no line ` +
			`break at its end, no other control character, no space around it)`,
	},
	{
		"header number", `mcpServers: {a: {url: "http://a", headers: {X-A: 12345}}}`,
		`g.yaml:1: mcpServers.a.headers.X-A: the value (not shown) is not a string (put it in quotes)`,
	},
	{
		"broken reference in a header", `mcpServers: {a: {url: "http://a", headers: {X-A: "${s3cr3t"}}}`,
		`g.yaml:1: mcpServers.a.headers.X-A: ${ is not followed by a variable's name and } (write $${ for a literal ${)`,
	},

	{
		"key in the clear", `identity: {apiKeys: [{id: a, sha256: s3cr3t}]}`,
		`g.yaml:1: identity.apiKeys[0].sha256: the value (not shown) is not 64 hex digits (the SHA-256 of a key that is not empty)`,
	},
	{
		"empty key", `identity: {apiKeys: [{id: a, sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855}]}`,
		`g.yaml:1: identity.apiKeys[0].sha256: the value (not shown) is not 64 hex digits (the SHA-256 of a key that is not empty)`,
	},
	{
		"key without all", "identity:\n  apiKeys:\n    - roles: []\n",
		"g.yaml:3: identity.apiKeys[0].id: is missing\ng.yaml:3: identity.apiKeys[0].sha256: is missing",
	},
	{
		"key without owner", `identity: {apiKeys: [{id: "", sha256: ` + upperHex + `}]}`,
		`g.yaml:1: identity.apiKeys[0].id: "" is not a name (not empty, no control characters)`,
	},
	{
		"one key for two", "identity:\n  apiKeys:\n    - {id: a, sha256: " + upperHex + "}\n    - {id: b, sha256: " +
			strings.ToLower(upperHex) + "}\n",
		`g.yaml:4: identity.apiKeys[1].sha256: is that of identity.apiKeys[0] too (a key has one owner)`,
	},
	{
		"empty role", `identity: {anonymous: {roles: [""]}}`,
		`g.yaml:1: identity.anonymous.roles[0]: "" is not a name (not empty, no control characters)`,
	},

	{
		"address for prefix", `identity: {trustedProxies: {cidrs: [10.0.0.1]}}`,
		`g.yaml:1: identity.trustedProxies.cidrs[0]: "10.0.0.1" is not a CIDR prefix such as 10.0.0.0/8 or fd00::/8`,
	},
	{
		"bits beyond the prefix", `identity: {trustedProxies: {cidrs: [10.0.0.1/8]}}`,
		`g.yaml:1: identity.trustedProxies.cidrs[0]: "10.0.0.1/8" is not a CIDR prefix such as 10.0.0.0/8 or fd00::/8`,
	},
	{
		"proxy header", `identity: {trustedProxies: {userHeader: Host}}`,
		`g.yaml:1: identity.trustedProxies.userHeader: "Host" is a header that the gateway sets or drops itself`,
	},
	{
		"one header for two", "identity:\n  anonymous: {}\n  trustedProxies: {userHeader: x-forwarded-groups}\n",
		`g.yaml:3: identity.trustedProxies: userHeader and rolesHeader are both "X-Forwarded-Groups" (use two headers)`,
	},

	{
		"origin with a path", `origins: ["https://a.example/"]`,
		`g.yaml:1: origins[0]: "https://a.example/" is not an origin of the form scheme://host or scheme://host:port, in lower case and without a path`,
	},
	{
		"null origin", `origins: ["https://a.example", "null"]`,
		`g.yaml:1: origins[1]: "null" is not an origin of the form scheme://host or scheme://host:port, in lower case and without a path`,
	},
	{
		"any origin", `origins: ["https://*.example"]`,
		`g.yaml:1: origins[0]: "https://*.example" is not an origin of the form scheme://host or scheme://host:port, in lower case and without a path`,
	},

	{
		"oci bundle without a tag", `policy: {bundle: "oci://r.example/b"}`,
		`g.yaml:1: policy.bundle: "oci://r.example/b" is not a .tar.gz file, a directory, an http or https URL without credentials and fragment, or oci://registry/repository:tag or @sha256:digest`,
	},
	{
		"other bundle", `policy: {bundle: "s3://b/k"}`,
		`g.yaml:1: policy.bundle: "s3://b/k" is not a .tar.gz file, a directory, an http or https URL without credentials and fragment, or oci://registry/repository:tag or @sha256:digest`,
	},
	{
		"short digest", `policy: {sha256: abc}`,
		`g.yaml:1: policy.sha256: "abc" is not 64 hex digits, or a path or http(s) URL that ends in .sha256`,
	},
	{
		"digest elsewhere", `policy: {sha256: "oci://a/b.sha256"}`,
		`g.yaml:1: policy.sha256: "oci://a/b.sha256" is not 64 hex digits, or a path or http(s) URL that ends in .sha256`,
	},
}
