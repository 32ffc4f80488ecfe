package config_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/config"
)

// The texts are what a user reads: each names the place, the key, the value and what is allowed.
var fileErrors = []struct{ name, file, want string }{
	{
		"bad number", `policy: {pollSeconds: abc}`,
		`g.yaml:1: policy.pollSeconds: "abc" is not a whole number of seconds (0 or more)`,
	},
	{
		"negative number", `policy: {pollSeconds: -1}`,
		`g.yaml:1: policy.pollSeconds: "-1" is not a whole number of seconds (0 or more)`,
	},
	{
		"fraction", `policy: {pollSeconds: 1.5}`,
		`g.yaml:1: policy.pollSeconds: "1.5" is not a whole number of seconds (0 or more)`,
	},
	{
		"octal", `policy: {pollSeconds: 010}`,
		`g.yaml:1: policy.pollSeconds: "010" is not a whole number of seconds (0 or more)`,
	},
	{
		"overflow", `policy: {pollSeconds: 9223372037}`,
		`g.yaml:1: policy.pollSeconds: "9223372037" is not a whole number of seconds (0 or more)`,
	},
	{
		"quoted number", `policy: {pollSeconds: "30"}`,
		`g.yaml:1: policy.pollSeconds: "30" is a string, not a whole number of seconds (0 or more) (leave the quotes out)`,
	},
	{
		"zero timeout", `policy: {timeoutMs: 0}`,
		`g.yaml:1: policy.timeoutMs: "0" is not a whole number of milliseconds (1 or more)`,
	},
	{
		"too large", `limits: {maxMessageBytes: 1073741825}`,
		`g.yaml:1: limits.maxMessageBytes: "1073741825" is not a whole number of bytes (1 to 1073741824)`,
	},
	{
		"bad boolean", `deny: {showReason: yes}`,
		`g.yaml:1: deny.showReason: "yes" is not true or false`,
	},
	{
		"bad mode", "policy:\n  mode: strict\n",
		`g.yaml:2: policy.mode: "strict" is not one of off, permissive, enforce`,
	},
	{
		"bad style", `deny: {style: http403}`,
		`g.yaml:1: deny.style: "http403" is not one of auto, http, jsonrpc, toolResult`,
	},
	{
		"bad audit input", `audit: {input: full}`,
		`g.yaml:1: audit.input: "full" is not one of none, masked`,
	},
	{
		"bad audit path", `audit: {path: ""}`,
		`g.yaml:1: audit.path: "" is not the path of a file, or "-" for standard output`,
	},
	{
		"negative size", `audit: {rotate: {maxBytes: -1}}`,
		`g.yaml:1: audit.rotate.maxBytes: "-1" is not a whole number of bytes (0 or more)`,
	},
	{
		"small buffer", `audit: {decisionLogs: {console: true, bufferBytes: 1}}`,
		`g.yaml:1: audit.decisionLogs.bufferBytes: "1" is not a whole number of bytes (65536 to 1073741824)`,
	},
	{
		"no destination", `audit: {decisionLogs: {console: false}}`,
		`g.yaml:1: audit.decisionLogs: has neither a url nor console: true (set one, or leave decisionLogs out)`,
	},
	{
		"min above max", `audit: {decisionLogs: {console: true, uploadSeconds: {min: 2, max: 1}}}`,
		`g.yaml:1: audit.decisionLogs.uploadSeconds: min is 2s and max 1s (max must be 1 or more, and not less than min)`,
	},
	{
		"two credentials", `audit: {decisionLogs: {url: "http://a", credentials: {bearer: s3cr3t, basic: {username: u, password: s3cr3t}}}}`,
		`g.yaml:1: audit.decisionLogs.credentials: has bearer and basic (use one of them)`,
	},
	{
		"half a certificate", `audit: {decisionLogs: {url: "http://a", credentials: {clientCertificate: {certificate: f}}}}`,
		`g.yaml:1: audit.decisionLogs.credentials.clientCertificate.key: is missing`,
	},
	{
		"bad onError", `policy: {onError: ignore}`,
		`g.yaml:1: policy.onError: "ignore" is not one of allow, deny`,
	},
	{
		"bad decision", `policy: {decision: data.mcp.decision}`,
		`g.yaml:1: policy.decision: "data.mcp.decision" is not the path of a rule below data, such as mcp/decision`,
	},

	{
		"unknown key", "policy:\n  bundle: b\n  modee: off\n",
		`g.yaml:3: policy.modee: unknown key (allowed: mode, bundle, pollSeconds, longPollSeconds, sha256, ca, credentials, verify, persist, monotonic, revoked, decision, timeoutMs, onMissing, onError, candidate)`,
	},
	{
		"unknown top key", `polic: {}`,
		`g.yaml:1: polic: unknown key (allowed: listen, admin, tls, adminTls, mcpServers, processes, identity, policy, deny, audit, origins, handles, limits, drainSeconds)`,
	},
	{
		"key of other case", `Listen: ":1"`,
		`g.yaml:1: Listen: unknown key (allowed: listen, admin, tls, adminTls, mcpServers, processes, identity, policy, deny, audit, origins, handles, limits, drainSeconds)`,
	},
	{
		"unknown key of a server", `mcpServers: {files: {command: npx, autoApprove: []}}`,
		`g.yaml:1: mcpServers.files.autoApprove: unknown key (allowed: command, args, env, cwd, url, headers, headerFiles, oauth2, tokenExchange, tls, type, requiredScopes)`,
	},
	{
		"unknown way to call", `identity: {saml: []}`,
		`g.yaml:1: identity.saml: unknown key (allowed: anonymous, publicUrl, apiKeys, apiKeysFile, jwt, introspection, certificates, trustedProxies)`,
	},
	{
		"odd key", "\"a\\nb%d\": 1",
		`g.yaml:1: "a\nb%d": unknown key (allowed: listen, admin, tls, adminTls, mcpServers, processes, identity, policy, deny, audit, origins, handles, limits, drainSeconds)`,
	},
	{
		"duplicate key", "policy:\n  mode: off\n  mode: enforce\n",
		`g.yaml:3: policy.mode: duplicate key`,
	},
	{
		"duplicate server", "mcpServers:\n  a: {url: http://a}\n  a: {url: http://b}\n",
		`g.yaml:3: mcpServers.a: duplicate key`,
	},
	{
		"duplicate header", `mcpServers: {a: {url: "http://a", headers: {x-a: s3cr3t, X-A: s3cr3t}}}`,
		`g.yaml:1: mcpServers.a.headers.X-A: duplicate key`,
	},
	{
		"key is a list", "policy:\n  ? [mode]\n  : off\n",
		`g.yaml:1: policy: the key in line 2 is not a string`,
	},

	{
		"number for string", `identity: {anonymous: {id: 42}}`,
		`g.yaml:1: identity.anonymous.id: "42" is not a string (put it in quotes)`,
	},
	{
		"date for string", `identity: {anonymous: {roles: [dev, 2026-07-28]}}`,
		`g.yaml:1: identity.anonymous.roles[1]: "2026-07-28" is not a string (put it in quotes)`,
	},
	{
		"mapping for string", `listen: {host: a}`,
		`g.yaml:1: listen: a mapping is not an address of the form host:port`,
	},
	{
		"list for string", `listen: [a]`,
		`g.yaml:1: listen: a list is not an address of the form host:port`,
	},
	{
		"string for mapping", `audit: stdout`,
		`g.yaml:1: audit: a single value is not a mapping (allowed: path, input, chainKeyFile, rotate, decisionLogs)`,
	},
	{
		"string for list", `origins: https://a.example`,
		`g.yaml:1: origins: a single value is not a list`,
	},
	{
		"list for servers", `mcpServers: [a]`,
		`g.yaml:1: mcpServers: a list is not a mapping`,
	},
	{
		"no value", "policy:\n  mode:\n",
		`g.yaml:2: policy.mode: has no value (leave the key out for the default)`,
	},
	{
		"no section", "policy:\n",
		`g.yaml:1: policy: has no value (leave the key out for the default)`,
	},
	{
		"alias", "listen: &a 127.0.0.1:1\nadmin: *a\n",
		`g.yaml:2: admin: aliases are not supported (write the value out)`,
	},
	{"not a mapping", `[]`, `g.yaml: the file is not a mapping of keys to values`},
	{"two documents", "listen: :1\n---\nlisten: :2\n", `g.yaml: more than one YAML document`},
	{"not YAML", "listen: [\n", `g.yaml: line 1: did not find expected node content`},

	{
		"unset variable", `audit: {path: "/log/${DIR}"}`,
		`g.yaml:1: audit.path: environment variable DIR is not set or empty (write $${ for a literal ${)`,
	},
	{
		"empty variable", `audit: {path: "${EMPTY}"}`,
		`g.yaml:1: audit.path: environment variable EMPTY is not set or empty (write $${ for a literal ${)`,
	},
	{
		"bad reference", `audit: {path: "${A-B}"}`,
		`g.yaml:1: audit.path: ${ is not followed by a variable's name and } (write $${ for a literal ${)`,
	},
	{
		"the value of a variable is not shown", `deny: {style: "${SECRET}"}`,
		`g.yaml:1: deny.style: "${SECRET}" is not one of auto, http, jsonrpc, toolResult`,
	},

	{
		"all problems at once", "policy: {mode: x}\ndeny: {style: y}\n",
		"g.yaml:1: policy.mode: \"x\" is not one of off, permissive, enforce\n" +
			"g.yaml:2: deny.style: \"y\" is not one of auto, http, jsonrpc, toolResult",
	},
}

func TestFileErrors(t *testing.T) {
	env := vars{"SECRET": "s3cr3t", "EMPTY": ""}
	for _, tt := range slices.Concat(fileErrors, networkErrors, bundleErrors, credentialErrors, serverErrors) {
		t.Run(tt.name, func(t *testing.T) {
			wantError(t, tt.file, env, config.Flags{}, tt.want)
		})
	}
}

func TestOverrideErrors(t *testing.T) {
	tests := []struct {
		env   vars
		flags config.Flags
		want  string
	}{
		{env: vars{"POLICY_POLL_SEC": "x"}, want: `POLICY_POLL_SEC: "x" is not a whole number of seconds (0 or more)`},
		{env: vars{"EXPERIMENTAL_POLICY_ENGINE": "yes"}, want: `EXPERIMENTAL_POLICY_ENGINE: "yes" is not true or false`},
		{env: vars{"POLICY_ENABLED": "1"}, want: `POLICY_ENABLED: "1" is not true or false`},
		{env: vars{"POLICY_BUNDLE_PATH": "http://a/b"}, want: `POLICY_BUNDLE_PATH: "http://a/b" is not the path of a .tar.gz file or a directory`},
		{env: vars{"POLICY_BUNDLE_URL": "b.tar.gz"}, want: `POLICY_BUNDLE_URL: "b.tar.gz" is not an http or https URL without credentials and fragment, or oci://registry/repository:tag or @sha256:digest`},
		{env: vars{"POLICY_BUNDLE_SHA256": "abc"}, want: `POLICY_BUNDLE_SHA256: "abc" is not 64 hex digits, or a path or http(s) URL that ends in .sha256`},
		{flags: config.Flags{Listen: "8080"}, want: `--listen: "8080" is not an address of the form host:port`},
		{flags: config.Flags{Admin: "8080"}, want: `--admin: "8080" is not an address of the form host:port`},
		{flags: config.Flags{Admin: "127.0.0.1:8080"}, want: `--admin: "127.0.0.1:8080" is the address of listen too (use another port)`},
		{flags: config.Flags{PolicyMode: "on"}, want: `--policy-mode: "on" is not one of off, permissive, enforce`},
		{flags: config.Flags{PolicyBundle: "oci://a"}, want: `--policy-bundle: "oci://a" is not a .tar.gz file, a directory, an http or https URL without credentials and fragment, or oci://registry/repository:tag or @sha256:digest`},
		{flags: config.Flags{Upstream: "localhost:80"}, want: `--upstream: "localhost:80" is not an absolute http or https URL without credentials and fragment`},
		{
			flags: config.Flags{Listen: ":80"},
			want: `--listen: ":80" is not a loopback address, and no identity is configured: whoever reaches it could call every tool ` +
				`(set identity.jwt, introspection, apiKeys, apiKeysFile, certificates, trustedProxies.cidrs or anonymous, or listen on 127.0.0.1)`,
		},
		// A malformed variable is an error where a flag wins over it, too.
		{
			env: vars{"POLICY_ENABLED": "off"}, flags: config.Flags{PolicyMode: "enforce"},
			want: `POLICY_ENABLED: "off" is not true or false`,
		},
		{
			env:  vars{"POLICY_BUNDLE_URL": "x", "POLICY_BUNDLE_PATH": "y"},
			want: `POLICY_BUNDLE_URL: "x" is not an http or https URL without credentials and fragment, or oci://registry/repository:tag or @sha256:digest`,
		},
	}
	for _, tt := range tests {
		wantError(t, "", tt.env, tt.flags, tt.want)
	}
	wantError(t, `mcpServers: {a: {url: "http://a"}}`, nil, config.Flags{Upstream: "http://b"},
		`--upstream: cannot be given together with mcpServers in g.yaml (use one of them)`)
}

func TestNoFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.yaml")
	_, err := config.Load(path, vars{}.lookup, config.Flags{})
	if want := "read config: open " + path + ": no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func wantError(t *testing.T, file string, env vars, flags config.Flags, want string) {
	t.Helper()
	checkError(t, "g.yaml", file, env, flags, want)
}

// checkError is wantError for a file of that name.
func checkError(t *testing.T, name, file string, env vars, flags config.Flags, want string) {
	t.Helper()
	_, err := loadAs(t, name, file, env, flags)
	switch {
	case err == nil:
		t.Errorf("no error, want %s", want)
	case err.Error() != want:
		t.Errorf("got  %s\nwant %s", err, want)
	case strings.Contains(err.Error(), "s3cr3t"):
		t.Errorf("the error holds the secret: %s", err)
	}
}
