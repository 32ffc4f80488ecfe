package config_test

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/internal/config"
)

// vars is an environment.
type vars map[string]string

func (v vars) lookup(name string) (string, bool) {
	value, ok := v[name]
	return value, ok
}

// load writes the file and loads it, with its directory taken out of the error. An empty text is no file.
func load(t testing.TB, file string, env vars, flags config.Flags) (*config.Config, error) {
	t.Helper()
	return loadAs(t, "g.yaml", file, env, flags)
}

// loadAs is load for a file of that name.
func loadAs(t testing.TB, name, file string, env vars, flags config.Flags) (*config.Config, error) {
	t.Helper()
	path, dir := "", t.TempDir()
	if file != "" {
		path = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Load(path, env.lookup, flags)
	if err != nil {
		err = fmt.Errorf("%s", strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), ""))
	}
	return c, err
}

// mustLoad loads what must be right.
func mustLoad(t testing.TB, file string, env vars, flags config.Flags) *config.Config {
	t.Helper()
	c, err := load(t, file, env, flags)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// diff compares configurations, with the types whose fields are hidden by their text.
func diff(want, got *config.Config) string {
	return cmp.Diff(want, got, cmp.Comparer(func(a, b *url.URL) bool { return a == b || a != nil && b != nil && a.String() == b.String() }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }))
}

func mustURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// byDefault is what the design says holds when nothing is given.
func byDefault() *config.Config {
	return &config.Config{
		Listen:  "127.0.0.1:8080",
		Admin:   "127.0.0.1:8081",
		Servers: map[string]config.Server{},
		Processes: config.Processes{
			Max: 256, MaxPerPrincipal: 16, Idle: 600 * time.Second, Lifetime: 86400 * time.Second, MaxMemory: 1024 << 20,
		},
		Identity: config.Identity{
			Anonymous: &config.Caller{ID: "anonymous", Roles: []string{}},
			TrustedProxies: config.TrustedProxies{
				UserHeader:  "X-Forwarded-User",
				RolesHeader: "X-Forwarded-Groups",
			},
		},
		Policy: config.Policy{
			Mode:           config.ModePermissive,
			Poll:           30 * time.Second,
			Decision:       "mcp/decision",
			Timeout:        50 * time.Millisecond,
			AllowOnMissing: true,
			AllowOnError:   false,
		},
		Deny: config.Deny{Style: config.DenyAuto, ShowReason: true},
		Audit: config.Audit{Path: "-", Input: config.AuditInputMasked, DecisionLogs: config.DecisionLogs{
			BufferBytes: 8388608, Delay: config.Range{Min: 5 * time.Second, Max: 30 * time.Second},
		}},
		Limits: config.Limits{MaxMessageBytes: 4194304},
	}
}

func TestDefaults(t *testing.T) {
	files := map[string]string{"no file": "", "a comment": "# nothing\n", "a marker": "---\n", "no keys": "{}\n"}
	for name, file := range files {
		t.Run(name, func(t *testing.T) {
			if d := diff(byDefault(), mustLoad(t, file, nil, config.Flags{})); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// The example has every key; the expectation has every field, each with the value that stands there.
func TestExample(t *testing.T) {
	want := byDefault()
	want.Servers = map[string]config.Server{
		"weather": {
			URL:     mustURL(t, "http://127.0.0.1:3101/mcp"),
			Headers: map[string]config.Secret{"Authorization": "Bearer s3cr3t"}, RequiredScopes: []string{"weather:read"},
		},
		"files": {
			URL:         mustURL(t, "https://files.example.internal/mcp"),
			HeaderFiles: map[string]string{"Authorization": "/run/secrets/files-token"},
			TLS: config.ServerTLS{
				CA:          "/etc/gatehouse/internal-ca.pem",
				Certificate: "/etc/gatehouse/client.crt",
				Key:         "/etc/gatehouse/client.key",
				ServerName:  "files.example",
			},
		},
		"calendar": {
			URL: mustURL(t, "https://calendar.example/mcp"),
			OAuth2: &config.TokenClient{
				OAuth2: config.OAuth2{
					TokenURL: mustURL(t, "https://idp.example/token"),
					ClientID: "gatehouse", ClientSecret: "c4lendar", Scopes: []string{"calendar.read"},
				},
				Resource: "https://calendar.example/mcp",
			},
		},
		"mail": {
			URL: mustURL(t, "https://mail.example/mcp"),
			TokenExchange: &config.TokenClient{
				OAuth2:   config.OAuth2{TokenURL: mustURL(t, "https://idp.example/token"), ClientID: "gatehouse", ClientSecret: "m4il"},
				Audience: "mail",
			},
		},
		"legacy": {URL: mustURL(t, "http://127.0.0.1:3102/sse"), Transport: config.TransportSSE},
		"memory": {
			Transport: config.TransportStdio, Command: "npx",
			Args: []string{"-y", "@modelcontextprotocol/server-memory@2026.8.31"},
			Env:  map[string]config.Secret{"MEMORY_FILE_PATH": "/var/lib/gatehouse/memory.json", "NPM_TOKEN": "npm"},
			Dir:  "/var/lib/gatehouse", RequiredScopes: []string{"memory"},
		},
	}
	want.TLS = &config.TLS{
		Certificate: "/etc/gatehouse/tls.crt", Key: "/etc/gatehouse/tls.key", ClientCA: "/etc/gatehouse/clients.pem", MinVersion: tls.VersionTLS12,
	}
	want.AdminTLS = &config.TLS{Certificate: "/etc/gatehouse/tls.crt", Key: "/etc/gatehouse/tls.key", MinVersion: tls.VersionTLS13}
	want.Handles.KeyFile = "/etc/gatehouse/handles.key"
	want.Identity.Anonymous = &config.Caller{ID: "guest", Roles: []string{"reader"}}
	want.Identity.APIKeys = []config.APIKey{{
		Caller: config.Caller{ID: "alice@org", Roles: []string{"dev"}},
		SHA256: sha256.Sum256([]byte("secret")),
	}}
	want.Identity.APIKeysFile = "keys.yaml"
	want.Identity.PublicURL = "https://gw.example.com"
	want.Identity.JWT = []config.Issuer{{
		Claims: config.Claims{
			Issuer: "https://idp.example.com/realms/main", Audience: "https://gw.example.com/servers/{server}/mcp",
			IDClaim: "email", RolesClaim: "realm_access.roles", ClockSkew: 10 * time.Second,
		},
		JWKSURL: "https://idp.example.com/keys", Algorithms: []string{"ES256"}, Tokens: config.TokensTyped,
	}}
	want.Identity.Introspection = &config.Introspection{
		Claims: config.Claims{
			Issuer: "https://login.example.com", Audience: "https://gw.example.com/mcp",
			IDClaim: "sub", RolesClaim: "roles", ClockSkew: 30 * time.Second,
		},
		URL: "https://login.example.com/introspect", ClientID: "gatehouse", ClientSecret: "1ntr0", Cache: 10 * time.Second,
	}
	want.Identity.Certificates = []config.Certificate{
		{Subject: "CN=ci,O=Example", ID: "ci@org", Roles: []string{"ci"}},
		{SPIFFE: "spiffe://example.com/agents/*", Roles: []string{"agent"}},
	}
	want.Identity.TrustedProxies.CIDRs = []netip.Prefix{
		netip.MustParsePrefix("10.20.0.0/16"), netip.MustParsePrefix("fd00::/8"),
	}
	want.Policy.Bundle = "bundle.tar.gz"
	want.Policy.SHA256 = "bundle.tar.gz.sha256"
	want.Policy.Candidate = config.Candidate{Bundle: "next.tar.gz", SHA256: "next.tar.gz.sha256"}
	want.Audit.ChainKeyFile = "/etc/gatehouse/chain.key"
	want.Audit.Rotate = config.Rotate{MaxBytes: 104857600, Keep: 10}
	want.Audit.DecisionLogs.URL = mustURL(t, "https://logs.example.com/v1")
	want.Audit.DecisionLogs.Credentials.Bearer = "s3cr3t"
	want.Audit.DecisionLogs.CA = "/etc/gatehouse/ca.pem"
	want.Origins = []string{"https://chat.example.com"}
	want.Drain = 5 * time.Second

	env := vars{
		"WEATHER_TOKEN": "s3cr3t", "LOGS_TOKEN": "s3cr3t", "INTROSPECTION_SECRET": "1ntr0",
		"CALENDAR_SECRET": "c4lendar", "MAIL_SECRET": "m4il", "NPM_TOKEN": "npm",
	}
	got, err := config.Load("../../examples/gatehouse.yaml", env.lookup, config.Flags{})
	if err != nil {
		t.Fatal(err)
	}
	if d := diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// No value of this file is a default.
const unusual = `
listen: localhost:9000
admin: "[::1]:9001"
policy:
  mode: off
  bundle: https://bundles.example/b.tar.gz?v=2
  pollSeconds: 0
  sha256: ` + upperHex + `
  decision: org/mcp_rules/main
  timeoutMs: 1500
  onMissing: deny
  onError: allow
deny: {style: toolResult, showReason: false}
audit:
  path: /var/log/gatehouse.jsonl
  input: none
  chainKeyFile: /etc/chain.key
  rotate: {maxBytes: 1, keep: 2}
  decisionLogs:
    url: https://logs.example/v1
    credentials: {bearerFile: token}
    ca: ca.pem
    console: true
    bufferBytes: 65536
    uploadSeconds: {min: 0, max: 1}
processes: {max: 1, maxPerPrincipal: 2, idleSeconds: 3, lifetimeSeconds: 0, maxMemoryMiB: 0}
origins: ["http://a.example:80", "https://a.example:8443", "vscode-webview://x"]
limits: {maxMessageBytes: 1}
drainSeconds: 300
`

const upperHex = "2BB80D537B1DA3E38BD30361AA855686BDE0EACD7162FEF6A25FE97BF527A25B"

func TestEveryScalarOfTheFile(t *testing.T) {
	want := byDefault()
	want.Listen, want.Admin = "localhost:9000", "[::1]:9001"
	want.Policy = config.Policy{
		Mode:         config.ModeOff,
		Bundle:       "https://bundles.example/b.tar.gz?v=2",
		SHA256:       strings.ToLower(upperHex),
		Decision:     "org/mcp_rules/main",
		Timeout:      1500 * time.Millisecond,
		AllowOnError: true,
	}
	want.Deny = config.Deny{Style: config.DenyToolResult}
	want.Audit = config.Audit{
		Path: "/var/log/gatehouse.jsonl", Input: config.AuditInputNone, ChainKeyFile: "/etc/chain.key",
		Rotate: config.Rotate{MaxBytes: 1, Keep: 2},
		DecisionLogs: config.DecisionLogs{
			URL: mustURL(t, "https://logs.example/v1"), Console: true, CA: "ca.pem", BufferBytes: 65536,
			Credentials: config.Credentials{BearerFile: "token"},
			Delay:       config.Range{Max: time.Second},
		},
	}
	want.Origins = []string{"http://a.example", "https://a.example:8443", "vscode-webview://x"}
	want.Limits.MaxMessageBytes = 1
	want.Processes = config.Processes{Max: 1, MaxPerPrincipal: 2, Idle: 3 * time.Second}
	want.Drain = 5 * time.Minute
	if d := diff(want, mustLoad(t, unusual, nil, config.Flags{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestExpansion(t *testing.T) {
	env := vars{"A": "a", "SECONDS": "7", "NESTED": "${A}", "YAML": "x: {y: 1}", "YES": "true"}
	tests := map[string]string{
		"plain":       "plain",
		"${A}":        "a",
		"-${A}-${A}-": "-a-a-",
		"$${A}":       "${A}",
		"$$${A}":      "$${A}",
		"$A $ $$ $":   "$A $ $$ $",
		"${NESTED}":   "${A}",
		"${YAML}":     "x: {y: 1}",
	}
	for written, want := range tests {
		file := fmt.Sprintf("identity: {anonymous: {id: '%s', roles: ['%s']}}", written, written)
		got := mustLoad(t, file, env, config.Flags{}).Identity.Anonymous
		if got.ID != want || got.Roles[0] != want {
			t.Errorf("%s is %q and %q, want %q", written, got.ID, got.Roles[0], want)
		}
	}
	// A number or a truth value may come from a variable too, with quotes or without.
	for _, file := range []string{
		"policy:\n  pollSeconds: ${SECONDS}\ndeny:\n  showReason: ${YES}\n",
		`{policy: {pollSeconds: "${SECONDS}"}, deny: {showReason: "${YES}"}}`,
	} {
		c := mustLoad(t, file, env, config.Flags{})
		if c.Policy.Poll != 7*time.Second || !c.Deny.ShowReason {
			t.Errorf("%s: poll %v, show reason %v", file, c.Policy.Poll, c.Deny.ShowReason)
		}
	}
}

func TestFlags(t *testing.T) {
	file := "{listen: 127.0.0.1:1, admin: 127.0.0.1:2, policy: {mode: off, bundle: file.tar.gz}}"
	got := mustLoad(t, file, nil, config.Flags{
		Listen: "127.0.0.1:3", Admin: "127.0.0.1:4", PolicyBundle: "flag", PolicyMode: "enforce",
		Upstream: "https://up.example/mcp?x=1",
	})
	want := byDefault()
	want.Listen, want.Admin = "127.0.0.1:3", "127.0.0.1:4"
	want.Policy.Bundle, want.Policy.Mode = "flag", config.ModeEnforce
	want.Servers = map[string]config.Server{"default": {URL: mustURL(t, "https://up.example/mcp?x=1")}}
	if d := diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestHeadersAreCanonical(t *testing.T) {
	c := mustLoad(t, `mcpServers: {a: {url: "http://a", headers: {x-api-key: k}}}`, nil, config.Flags{})
	if got := c.Servers["a"].Headers["X-Api-Key"]; got != "k" {
		t.Errorf("X-Api-Key is %q", string(got))
	}
}

func TestSecretIsNotShown(t *testing.T) {
	const canary = "canary-7f3a"
	server := config.Server{Headers: map[string]config.Secret{"Authorization": canary}}
	encoded, err := json.Marshal(server)
	if err != nil {
		t.Fatal(err)
	}
	shown := []string{string(encoded)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		shown = append(shown, fmt.Sprintf(verb, server), fmt.Sprintf(verb, server.Headers["Authorization"]))
	}
	for _, s := range shown {
		if strings.Contains(s, canary) || strings.Contains(s, fmt.Sprintf("%x", canary)) {
			t.Errorf("shown: %s", s)
		}
	}
}
