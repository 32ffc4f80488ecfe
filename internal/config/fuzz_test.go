package config_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/config"
)

// FuzzLoad checks for any file that Load returns, and returns either a configuration that keeps its
// promises or an error that keeps a header's value to itself.
func FuzzLoad(f *testing.F) {
	example, err := os.ReadFile("../../examples/gatehouse.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example))
	f.Add(unusual)
	for _, tt := range slices.Concat(fileErrors, networkErrors, bundleErrors, credentialErrors, serverErrors) {
		f.Add(tt.file)
	}
	const canary = "canary-7f3a"
	f.Fuzz(func(t *testing.T, file string) {
		c, err := load(t, file, vars{"WEATHER_TOKEN": canary, "INTROSPECTION_SECRET": canary, "NPM_TOKEN": canary, "A": canary}, config.Flags{})
		if err != nil {
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the error shows a variable: %v", err)
			}
			return
		}
		if c.Policy.Timeout <= 0 || c.Policy.Poll < 0 || c.Limits.MaxMessageBytes <= 0 {
			t.Errorf("%+v %+v", c.Policy, c.Limits)
		}
		switch c.Policy.Mode {
		case config.ModeOff, config.ModePermissive, config.ModeEnforce:
		default:
			t.Errorf("mode %q", c.Policy.Mode)
		}
		for name, server := range c.Servers {
			checkServer(t, name, server)
		}
		for _, k := range c.Identity.APIKeys {
			if k.ID == "" || k.Roles == nil || k.SHA256 == [32]byte{} {
				t.Errorf("key %+v", k)
			}
		}
	})
}

// checkServer checks that a server can be reached in one way.
func checkServer(t *testing.T, name string, s config.Server) {
	t.Helper()
	stdio := s.Transport == config.TransportStdio
	if !regexp.MustCompile(`^[a-z0-9-]{1,63}$`).MatchString(name) || stdio == (s.Command == "") || stdio != (s.URL == nil) ||
		s.URL != nil && s.URL.Host == "" {
		t.Errorf("server %q: %+v", name, s)
	}
}

// FuzzLoadClients does the same for the files of clients.
func FuzzLoadClients(f *testing.F) {
	for _, tt := range clientFiles {
		f.Add(tt.file)
	}
	for _, tt := range clientErrors {
		f.Add(tt.file)
	}
	const canary = "canary-7f3a"
	f.Fuzz(func(t *testing.T, file string) {
		c, err := loadAs(t, ".mcp.json", file, vars{"SECRET": canary, "HOME": "/home/" + canary}, config.Flags{})
		if err != nil {
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the error shows a variable: %v", err)
			}
			return
		}
		for name, server := range c.Servers {
			checkServer(t, name, server)
		}
		if said := strings.Join(c.Warnings, "\n"); strings.Contains(said, canary) || strings.Count(said, "\n") >= max(1, len(c.Warnings)) {
			t.Errorf("warnings: %q", c.Warnings)
		}
	})
}
