package config_test

import (
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/config"
)

// As fileErrors, for servers and processes.
var serverErrors = []struct{ name, file, want string }{
	{
		"no server", `mcpServers: {a: {}}`,
		`g.yaml:1: mcpServers.a: has neither url nor command (give one of them)`,
	},
	{
		"two servers in one", `mcpServers: {a: {url: "http://a", command: npx}}`,
		`g.yaml:1: mcpServers.a: has url and command (use one of them)`,
	},
	{
		"headers for a command", "mcpServers:\n  a:\n    command: npx\n    headers: {X-A: s3cr3t}\n    tls: {}\n",
		"g.yaml:4: mcpServers.a.headers: is not for a server with command (allowed: command, args, env, cwd, type, requiredScopes)\n" +
			"g.yaml:5: mcpServers.a.tls: is not for a server with command (allowed: command, args, env, cwd, type, requiredScopes)",
	},
	{
		"arguments for a url", `mcpServers: {a: {url: "http://a", args: [s3cr3t]}}`,
		`g.yaml:1: mcpServers.a.args: is not for a server with url (allowed: url, headers, headerFiles, oauth2, tokenExchange, tls, type, requiredScopes)`,
	},
	{
		"command over HTTP", `mcpServers: {a: {command: npx, type: http}}`,
		`g.yaml:1: mcpServers.a.type: "http" does not fit (a server with command is stdio)`,
	},
	{
		"url over stdio", `mcpServers: {a: {type: stdio, url: "http://a"}}`,
		`g.yaml:1: mcpServers.a.type: "stdio" does not fit (a server with url is http, streamable-http or sse)`,
	},
	{
		"unknown type", `mcpServers: {a: {type: ws, url: "http://a"}}`,
		`g.yaml:1: mcpServers.a.type: "ws" is not one of http, streamable-http, sse, stdio`,
	},
	{
		"no program", `mcpServers: {a: {command: ""}}`,
		`g.yaml:1: mcpServers.a.command: "" is not a program (not empty, no control characters)`,
	},
	{
		"command with arguments", `mcpServers: {a: {command: [npx, s3cr3t]}}`,
		`g.yaml:1: mcpServers.a.command: a list is not a program (not empty, no control characters)`,
	},
	{
		"arguments in one", `mcpServers: {a: {command: npx, args: -y s3cr3t}}`,
		`g.yaml:1: mcpServers.a.args: a single value is not a list`,
	},
	{
		"number as an argument", `mcpServers: {a: {command: npx, args: [--port, 8080]}}`,
		`g.yaml:1: mcpServers.a.args[1]: the value (not shown) is not a string (put it in quotes)`,
	},
	{
		"argument with NUL", `mcpServers: {a: {command: npx, args: ["s3cr3t\0"]}}`,
		`g.yaml:1: mcpServers.a.args[0]: the value (not shown) is not a text without NUL`,
	},
	{
		"variable with NUL", `mcpServers: {a: {command: npx, env: {A: "s3cr3t\0"}}}`,
		`g.yaml:1: mcpServers.a.env.A: the value (not shown) is not a text without NUL`,
	},
	{
		"variable name", `mcpServers: {a: {command: npx, env: {"A=B": s3cr3t}}}`,
		`g.yaml:1: mcpServers.a.env."A=B": "A=B" is not the name of a variable (not empty, no =, no control characters)`,
	},
	{
		"variable without a value", `mcpServers: {a: {command: npx, env: {A: }}}`,
		`g.yaml:1: mcpServers.a.env.A: has no value (leave the key out for the default)`,
	},
	{
		"only clients have files of variables", `mcpServers: {a: {command: npx, envFile: .env}}`,
		`g.yaml:1: mcpServers.a.envFile: unknown key (allowed: command, args, env, cwd, url, headers, headerFiles, oauth2, tokenExchange, tls, type, requiredScopes)`,
	},
	{
		"only clients have defaults", `mcpServers: {a: {command: npx, args: ["${A:-s3cr3t}"]}}`,
		`g.yaml:1: mcpServers.a.args[0]: ${ is not followed by a variable's name and } (write $${ for a literal ${)`,
	},
	{
		"only clients say servers", `servers: {a: {url: "http://a"}}`,
		`g.yaml:1: servers: unknown key (allowed: listen, admin, tls, adminTls, mcpServers, processes, identity, policy, deny, audit, origins, handles, limits, drainSeconds)`,
	},
	{
		"no processes", `processes: {max: 0}`,
		`g.yaml:1: processes.max: "0" is not a whole number (1 to 1000000)`,
	},
	{
		"no idle time", `processes: {idleSeconds: 0}`,
		`g.yaml:1: processes.idleSeconds: "0" is not a whole number of seconds (1 or more)`,
	},
	{
		"too much memory", `processes: {maxMemoryMiB: 1048577}`,
		`g.yaml:1: processes.maxMemoryMiB: "1048577" is not a whole number of MiB (0 to 1048576)`,
	},
}

// What a client's file cannot have.
var clientErrors = []struct{ name, file, want string }{
	{
		"a key of the gateway's makes it the gateway's", `{"mcpServers": {"a": {"command": "npx", "autoApprove": []}}, "policy": {}, "theme": 1}`,
		`c.json:1: mcpServers.a.autoApprove: unknown key (allowed: command, args, env, cwd, url, headers, headerFiles, oauth2, tokenExchange, tls, type, requiredScopes)` + "\n" +
			`c.json:1: theme: unknown key (allowed: listen, admin, tls, adminTls, mcpServers, processes, identity, policy, deny, audit, origins, handles, limits, drainSeconds)`,
	},
	{
		"in whatever case", `{"mcpServers": {}, "Policy": {}}`,
		`c.json:1: Policy: unknown key (allowed: listen, admin, tls, adminTls, mcpServers, processes, identity, policy, deny, audit, origins, handles, limits, drainSeconds)`,
	},
	{
		"no servers", `{"theme": 1}`,
		`c.json:1: theme: unknown key (allowed: listen, admin, tls, adminTls, mcpServers, processes, identity, policy, deny, audit, origins, handles, limits, drainSeconds)`,
	},
	{"not JSON", "{\n  s3cr3t: {}}", `c.json: line 2, column 3: it is not JSON`},
	{"not UTF-8", "{\"mcpServers\": \"\xff\"}", `c.json: it is not UTF-8`},
	{"two values", `{"mcpServers": {}} {}`, `c.json: line 1, column 20: it is not JSON`},
	{"no object", `[]`, `c.json: the file is not a mapping of keys to values`},
	{
		"duplicate server", "{\"mcpServers\": {\n\"a\": {\"command\": \"x\"},\n\"a\": {\"command\": \"y\"}}}",
		`c.json:3: mcpServers.a: duplicate key`,
	},
	{
		"the same name", "{\"mcpServers\": {\"My Server\": {\"command\": \"x\"},\n\"my-server\": {\"command\": \"y\"}}}",
		`c.json:2: mcpServers.my-server: would be named "my-server", and so is mcpServers."My Server" (rename one of them)`,
	},
	{
		"the same name in both", `{"mcpServers": {"a": {"command": "x"}}, "servers": {"a": {"command": "y"}}}`,
		`c.json:1: servers.a: would be named "a", and so is mcpServers.a (rename one of them)`,
	},
	{
		"no name", `{"mcpServers": {"服务": {"command": "x"}}}`,
		`c.json:1: mcpServers."服务": "服务" holds nothing that the name of a server may (a-z, 0-9 and -)`,
	},
	{"no entry", `{"mcpServers": {"a": []}}`, `c.json:1: mcpServers.a: a list is not a mapping`},
	{"nothing to reach", `{"servers": {"A": {}}}`, `c.json:1: servers.A: has neither url nor command (give one of them)`},
	{
		"undecided", `{"servers": {"a": {"command": "npx", "url": "http://a"}}}`,
		`c.json:1: servers.a: has url and command (use one of them)`,
	},
	{
		"another transport", `{"mcpServers": {"a": {"type": "ws", "url": "http://a"}}}`,
		`c.json:1: mcpServers.a.type: "ws" is not one of http, streamable-http, sse, stdio`,
	},
	{
		"odd truth", `{"mcpServers": {"a": {"command": "npx", "disabled": "yes"}}}`,
		`c.json:1: mcpServers.a.disabled: "yes" is not true or false`,
	},
	{
		"a person is asked", `{"servers": {"a": {"command": "npx", "env": {"KEY": "${input:s3cr3t}"}}}, "inputs": []}`,
		`c.json:1: servers.a.env.KEY: ${input:…} asks a person, and here is none (set an environment variable, and write ${env:NAME})`,
	},
	{
		"no variable", `{"servers": {"a": {"command": "npx", "args": ["${env:NONE}"]}}}`,
		`c.json:1: servers.a.args[0]: environment variable NONE is not set or empty (write $${ for a literal ${)`,
	},
	{
		"no workspace", `{"servers": {"a": {"command": "${workspaceFolder}/x"}}}`,
		`c.json:1: servers.a.command: ${workspaceFolder} cannot be told: the file is not in .vscode or .cursor, nor named .mcp.json (write the path out)`,
	},
	{
		"unknown reference", `{"servers": {"a": {"command": "npx", "args": ["${command:s3cr3t}"]}}}`,
		`c.json:1: servers.a.args[0]: ${ is not followed by NAME, NAME:-default, env:NAME, userHome, workspaceFolder, workspaceFolderBasename or pathSeparator and } (write $${ for a literal ${)`,
	},
	{
		"no file of variables", `{"servers": {"a": {"command": "npx", "envFile": "/${SECRET}/.env"}}}`,
		`c.json:1: servers.a.envFile: cannot be used: no such file or directory`,
	},
	{
		"a directory of variables", `{"servers": {"a": {"command": "npx", "envFile": "/"}}}`,
		`c.json:1: servers.a.envFile: cannot be used: is not a file`,
	},
}

func TestClientErrors(t *testing.T) {
	for _, tt := range clientErrors {
		t.Run(tt.name, func(t *testing.T) {
			checkError(t, "c.json", tt.file, vars{"SECRET": "s3cr3t"}, config.Flags{}, tt.want)
		})
	}
	checkError(t, "c.json", `{"servers": {"a": {"url": "http://a"}}}`, nil, config.Flags{Upstream: "http://b"},
		`--upstream: cannot be given together with mcpServers in c.json (use one of them)`)
}
