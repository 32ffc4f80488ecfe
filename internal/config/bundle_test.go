package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/internal/config"
)

const one = "(give one of bearer, bearerFile, basic, clientCertificate, oauth2"

var bundleErrors = []struct{ name, file, want string }{
	{
		"long poll alone", `policy: {pollSeconds: 0, longPollSeconds: 60}`,
		`g.yaml:1: policy.longPollSeconds: needs policy.pollSeconds (the time between two looks at a server that cannot wait)`,
	},
	{
		"long poll of a day", `policy: {longPollSeconds: 86400}`,
		`g.yaml:1: policy.longPollSeconds: "86400" is not a whole number of seconds (0 to 3600)`,
	},
	{
		"no credentials", `policy: {bundle: "https://b/", credentials: {}}`,
		`g.yaml:1: policy.credentials: is empty ` + one + `, or leave it out)`,
	},
	{
		"two kinds", `policy: {bundle: "https://b/", credentials: {bearer: "${SECRET}", basic: {username: u, password: "${SECRET}"}}}`,
		`g.yaml:1: policy.credentials: has 2 kinds ` + one + `)`,
	},
	{
		"credentials for a file", `policy: {bundle: b.tar.gz, credentials: {bearer: "${SECRET}"}}`,
		`g.yaml:1: policy.credentials: is for a bundle server, and policy.bundle is a path (leave it out)`,
	},
	{
		"credentials in clear", `policy: {bundle: "http://b.example/x", credentials: {bearer: "${SECRET}"}}`,
		`g.yaml:1: policy.credentials: would cross the network in clear (use an https URL for policy.bundle)`,
	},
	{
		"token endpoint in clear",
		`policy: {bundle: "https://b/", credentials: {oauth2: {tokenUrl: "http://i/t", clientId: c, clientSecret: "${SECRET}"}}}`,
		`g.yaml:1: policy.credentials.oauth2.tokenUrl: would take the secret across the network in clear (use an https URL)`,
	},
	{
		"token with a line break", `policy: {bundle: "https://b/", credentials: {bearer: "s3cr3t\n"}}`,
		`g.yaml:1: policy.credentials.bearer: the value (not shown) is not the value of a header (not empty, no line break ` +
			`at its end, no other control character, no space around it)`,
	},
	{
		"no password", `policy: {bundle: "https://b/", credentials: {basic: {username: "a:b", password: ""}}}`,
		`g.yaml:1: policy.credentials.basic.username: "a:b" is not a user's name (not empty, no colon, no control characters)` + "\n" +
			`g.yaml:1: policy.credentials.basic.password: the value (not shown) is not a secret (not empty, no control characters)`,
	},
	{
		"certificate without a key", `policy: {credentials: {clientCertificate: {certificate: c.pem}}}`,
		`g.yaml:1: policy.credentials.clientCertificate.key: is missing`,
	},
	{
		"weak algorithm", `policy: {verify: {key: k.pem, algorithm: none}}`,
		`g.yaml:1: policy.verify.algorithm: "none" is not one of RS256, ES256, HS256`,
	},
	{
		"algorithm that only signs", `policy: {verify: {key: k.pem, algorithm: EdDSA}}`,
		`g.yaml:1: policy.verify.algorithm: "EdDSA" is not one of RS256, ES256, HS256`,
	},
	{
		"key without algorithm", `policy: {verify: {key: ""}}`,
		`g.yaml:1: policy.verify.key: "" is not the path of a file` + "\n" + `g.yaml:1: policy.verify.algorithm: is missing`,
	},
	{
		"list in a registry", `policy: {revoked: "oci://r/b:1"}`,
		`g.yaml:1: policy.revoked: "oci://r/b:1" is not a file or an http or https URL without credentials and fragment`,
	},
}

func TestBundleSettings(t *testing.T) {
	const file = `policy:
  bundle: oci://registry.example:5000/team/policy@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
  longPollSeconds: 60
  ca: ca.pem
  verify: {key: key.pem, algorithm: ES256, keyId: k1, scope: write}
  persist: /var/lib/gatehouse
  monotonic: true
  revoked: https://bundles.example/revoked.txt
  credentials: `
	want := byDefault().Policy
	want.Bundle = "oci://registry.example:5000/team/policy@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	want.LongPoll = time.Minute
	want.CA, want.Persist, want.Monotonic = "ca.pem", "/var/lib/gatehouse", true
	want.Verify = &config.BundleVerify{Key: "key.pem", Algorithm: "ES256", KeyID: "k1", Scope: "write"}
	want.Revoked = "https://bundles.example/revoked.txt"
	for text, c := range map[string]config.Credentials{
		`{bearer: "${TOKEN}"}`:                              {Bearer: "t0ken"},
		`{bearerFile: /run/token}`:                          {BearerFile: "/run/token"},
		`{basic: {username: u, password: "${TOKEN}"}}`:      {Basic: &config.Basic{Username: "u", Password: "t0ken"}},
		`{clientCertificate: {certificate: c.pem, key: k}}`: {Certificate: &config.Certificate{Certificate: "c.pem", Key: "k"}},
		`{oauth2: {tokenUrl: "http://127.0.0.1:1/t", clientId: c, clientSecret: "${TOKEN}", scopes: [a, b]}}`: {
			OAuth2: &config.OAuth2{
				TokenURL: mustURL(t, "http://127.0.0.1:1/t"), ClientID: "c", ClientSecret: "t0ken", Scopes: []string{"a", "b"},
			},
		},
	} {
		want.Credentials = c
		got := mustLoad(t, file+text, vars{"TOKEN": "t0ken"}, config.Flags{}).Policy
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", text, d)
		}
	}
}
