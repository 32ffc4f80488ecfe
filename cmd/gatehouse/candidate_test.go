package main

import (
	"log/slog"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/config"
)

// The candidate is held to the same signature and revocations, gets the credentials of its own server alone,
// and stays out of what is kept of the policy in force.
func TestCandidateConfig(t *testing.T) {
	for candidate, shown := range map[string]bool{
		"https://bundles.example/next.tar.gz":      true,
		"https://bundles.example:8443/next.tar.gz": false,
		"http://bundles.example/next.tar.gz":       false,
		"https://other.example/next.tar.gz":        false,
		"oci://bundles.example/next:1":             false,
		"next.tar.gz":                              false,
	} {
		cfg := &config.Config{Policy: config.Policy{
			Bundle: "https://bundles.example/live.tar.gz", Credentials: config.Credentials{Bearer: "token"}, CA: "ca.pem",
			Verify: &config.BundleVerify{Key: "key.pem"}, Revoked: "revoked.txt", Persist: "kept", Monotonic: true,
		}}
		cfg.Policy.Candidate.Bundle = candidate
		c := candidateConfig(cfg, slog.New(slog.DiscardHandler))
		if (c.Credentials.Bearer != "") != shown || (c.CA != "") != shown {
			t.Errorf("%s: credentials %v, CA %q", candidate, c.Credentials.Bearer != "", c.CA)
		}
		if c.Bundle != candidate || c.Verify == nil || c.Revoked == "" || c.Persist != "" || c.Monotonic || !c.Trial {
			t.Errorf("%s: %+v", candidate, c)
		}
	}
}
