package config_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/internal/config"
)

func TestIdentityDefaults(t *testing.T) {
	got := mustLoad(t, `identity: {jwt: [{issuer: "https://a", audience: x, jwksUrl: ""}]}`, nil, config.Flags{}).Identity
	want := []config.Issuer{{
		Claims: config.Claims{Issuer: "https://a", Audience: "x", IDClaim: "sub", RolesClaim: "roles", ClockSkew: 30 * time.Second},
		Algorithms: []string{
			"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
		},
		Tokens: config.TokensAccess,
	}}
	if d := cmp.Diff(want, got.JWT); d != "" || got.Anonymous != nil {
		t.Errorf("anonymous %v, (-want +got):\n%s", got.Anonymous, d)
	}
}

func TestIdentityErrors(t *testing.T) {
	const issuer, introspection = `issuer: "https://a", audience: x`, `issuer: "https://a", audience: x, clientId: c, clientSecret: s`
	for _, tt := range []struct{ name, file, want string }{
		{"issuer by http", `identity: {jwt: [{issuer: "http://idp.example", audience: x}]}`, `jwt[0].issuer: "http://idp.example" is not an absolute https URL`},
		{"issuer with a query", `identity: {jwt: [{issuer: "https://a?x", audience: x}]}`, "jwt[0].issuer:"},
		{"issuer twice", `identity: {jwt: [{` + issuer + `}, {` + issuer + `}]}`, "jwt[1].issuer: is that of identity.jwt[0] too"},
		{"no audience", `identity: {jwt: [{issuer: "https://a"}]}`, "jwt[0].audience: is missing"},
		{"empty audience", `identity: {jwt: [{issuer: "https://a", audience: ""}]}`, `jwt[0].audience: "" is not`},
		{"symmetric algorithm", `identity: {jwt: [{` + issuer + `, algorithms: [HS256]}]}`, `algorithms[0]: "HS256" is not one of RS256,`},
		{"no algorithm at all", `identity: {jwt: [{` + issuer + `, algorithms: [none]}]}`, `algorithms[0]: "none" is not one of`},
		{"no algorithms", `identity: {jwt: [{` + issuer + `, algorithms: []}]}`, "algorithms: is empty"},
		{"long skew", `identity: {jwt: [{` + issuer + `, clockSkewSeconds: 301}]}`, "clockSkewSeconds:"},
		{"kind of tokens", `identity: {jwt: [{` + issuer + `, tokens: all}]}`, `"all" is not one of access, at+jwt, any`},
		{"keys by http", `identity: {jwt: [{` + issuer + `, jwksUrl: "http://b/keys"}]}`, "jwksUrl:"},
		{"introspection by http", `identity: {introspection: {` + introspection + `, url: "http://b"}}`, "introspection.url:"},
		{"introspection without url", `identity: {introspection: {` + introspection + `}}`, "introspection.url: is missing"},
		{"certificate that nobody asks for", `identity: {certificates: [{subject: CN=x}]}`, "identity.certificates: needs tls.clientCA"},
		{"certificate of nobody", `identity: {certificates: [{id: x}]}`, "certificates[0]: needs either subject or spiffe"},
		{"certificate of two", `identity: {certificates: [{subject: CN=x, spiffe: "spiffe://a/b"}]}`, "certificates[0]: needs either"},
		{"no SPIFFE ID", `identity: {certificates: [{spiffe: "https://a/b"}]}`, "spiffe:"},
		{"all trust domains", `identity: {certificates: [{spiffe: "spiffe://*"}]}`, "spiffe:"},
		{"public URL with a path", `identity: {publicUrl: "https://a/mcp", anonymous: {}}`, "publicUrl:"},
		{"public URL of no web", `identity: {publicUrl: "ftp://a", anonymous: {}}`, "publicUrl:"},
		{"scope with a quote", `mcpServers: {a: {url: "http://a", requiredScopes: ['a"b']}}`, "requiredScopes[0]:"},
		{"scope with a space", `mcpServers: {a: {url: "http://a", requiredScopes: ["a b"]}}`, "requiredScopes[0]:"},
		{"scopes without tokens", `mcpServers: {a: {url: "http://a", requiredScopes: [x]}}`, "only tokens have scopes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := load(t, tt.file, nil, config.Flags{}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestIntrospectionSecretIsNotShown(t *testing.T) {
	const file = `identity: {introspection: {issuer: "https://a", audience: x, url: "https://a/i", clientId: c, clientSecret: "${A}"}}`
	c := mustLoad(t, file, vars{"A": "canary-7f3a"}, config.Flags{})
	if s := fmt.Sprintf("%+v %#v", c.Identity.Introspection, c.Identity.Introspection); strings.Contains(s, "canary") {
		t.Errorf("shown: %s", s)
	}
	if string(c.Identity.Introspection.ClientSecret) != "canary-7f3a" {
		t.Error("the secret is lost")
	}
}

func TestLoadAPIKeys(t *testing.T) {
	known := []config.APIKey{{SHA256: sha256.Sum256([]byte("known"))}}
	hex := func(key string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(key))) }
	for _, tt := range []struct{ name, text, want string }{
		{"yaml", "- id: a\n  roles: [x]\n  sha256: '" + hex("a") + "'\n", ""},
		{"json", `[{"id": "a", "roles": ["x"], "sha256": "` + hex("a") + `"}]`, ""},
		{"none", "[]", ""},
		{"empty", "", "is empty"},
		{"broken", "[{id: hunter2", "not YAML"},
		{"mapping", "id: a", "a mapping is not a list"},
		{"two documents", "[]\n---\n[]", "more than one"},
		{"unknown key", `[{id: a, key: hunter2, sha256: "` + hex("a") + `"}]`, "[0].key"},
		{"a key and no digest", `[{id: a, sha256: hunter2}]`, "[0].sha256"},
		{"twice", `[{id: a, sha256: "` + hex("a") + `"}, {id: b, sha256: "` + hex("a") + `"}]`, "[1].sha256"},
		{"known", `[{id: a, sha256: "` + hex("known") + `"}]`, "[0].sha256"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			keys, err := config.LoadAPIKeys("keys.yaml", []byte(tt.text), os.LookupEnv, known)
			if tt.want == "" {
				if err != nil || len(keys) == 1 && (keys[0].ID != "a" || keys[0].SHA256 != sha256.Sum256([]byte("a"))) {
					t.Errorf("keys %v, error %v", keys, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "keys.yaml") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}
