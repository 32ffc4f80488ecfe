package config_test

// As fileErrors, for what concerns TLS and the credentials of the gateway.
var credentialErrors = []struct{ name, file, want string }{
	{
		"certificate without a key", `tls: {certificate: a.pem}`,
		`g.yaml:1: tls.key: is missing`,
	},
	{
		"no TLS value", `tls:`,
		`g.yaml:1: tls: has no value (leave the key out for the default)`,
	},
	{
		"old TLS", `tls: {certificate: a.pem, key: a.key, minVersion: 1.1}`,
		`g.yaml:1: tls.minVersion: "1.1" is not 1.2 or 1.3`,
	},
	{
		"quoted TLS", `tls: {certificate: a.pem, key: a.key, minVersion: "1.3"}`,
		`g.yaml:1: tls.minVersion: "1.3" is a string, not 1.2 or 1.3 (leave the quotes out)`,
	},
	{
		"client certificates for admin", `adminTls: {certificate: a.pem, key: a.key, clientCA: ca.pem}`,
		`g.yaml:1: adminTls.clientCA: unknown key (allowed: certificate, key, minVersion)`,
	},
	{
		"a key in place of its path", "handles: {keyFile: \"a\\nb\"}",
		`g.yaml:1: handles.keyFile: "a\nb" is not the path of a file`,
	},
	{
		"TLS without https", `mcpServers: {a: {url: "http://a", tls: {ca: ca.pem}}}`,
		`g.yaml:1: mcpServers.a.tls: has no use with an http URL (use https)`,
	},
	{
		"half a pair", `mcpServers: {a: {url: "https://a", tls: {key: k.pem}}}`,
		`g.yaml:1: mcpServers.a.tls: has certificate or key alone (give both or none)`,
	},
	{
		"server name with a port", `mcpServers: {a: {url: "https://a", tls: {serverName: "a:1"}}}`,
		`g.yaml:1: mcpServers.a.tls.serverName: "a:1" is not the name of a host`,
	},
	{
		"a header twice", `mcpServers: {a: {url: "http://a", headers: {x-a: "1"}, headerFiles: {X-A: f}}}`,
		`g.yaml:1: mcpServers.a.headerFiles: X-A is in headers too (use one of them)`,
	},
	{
		"header file of the connection", `mcpServers: {a: {url: "http://a", headerFiles: {host: f}}}`,
		`g.yaml:1: mcpServers.a.headerFiles.host: "host" is a header that the gateway sets or drops itself`,
	},
	{
		"two ways to a token", "mcpServers:\n  a:\n    url: http://a\n    oauth2: {" + aClient + "}\n    tokenExchange: {" + aClient + "}\n",
		`g.yaml:4: mcpServers.a.oauth2: cannot be given together with tokenExchange (use one of them)`,
	},
	{
		"a token and a header", `mcpServers: {a: {url: "http://a", headerFiles: {authorization: f}, oauth2: {` + aClient + `}}}`,
		`g.yaml:1: mcpServers.a: Authorization is set twice: by oauth2 or tokenExchange, and by a header of that name`,
	},
	{
		"an exchange and a header", `mcpServers: {a: {url: "http://a", headers: {authorization: s3cr3t}, tokenExchange: {` + aClient + `}}}`,
		`g.yaml:1: mcpServers.a: Authorization is set twice: by oauth2 or tokenExchange, and by a header of that name`,
	},
	{
		"half a client", `mcpServers: {a: {url: "http://a", oauth2: {clientId: a}}}`,
		"g.yaml:1: mcpServers.a.oauth2.tokenUrl: is missing\ng.yaml:1: mcpServers.a.oauth2.clientSecret: is missing",
	},
	{
		"tokens in the clear", `mcpServers: {a: {url: "http://a", oauth2: {tokenUrl: "http://idp.example/t?s3cr3t", clientId: a, clientSecret: b}}}`,
		`g.yaml:1: mcpServers.a.oauth2.tokenUrl: would take the secret across the network in clear (use an https URL)`,
	},
	{
		"secret", `mcpServers: {a: {url: "http://a", oauth2: {tokenUrl: "https://i/t", clientId: a, clientSecret: "s3cr3t\n"}}}`,
		`g.yaml:1: mcpServers.a.oauth2.clientSecret: the value (not shown) is not a secret (not empty, no control characters)`,
	},
	{
		"resource", `mcpServers: {a: {url: "http://a", tokenExchange: {` + aClient + `, resource: weather}}}`,
		`g.yaml:1: mcpServers.a.tokenExchange.resource: "weather" is not an absolute http or https URL without credentials and fragment`,
	},
}

const aClient = `tokenUrl: "https://idp.example/token", clientId: a, clientSecret: b`
