package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// loadWrap loads a file with that text, if it is not empty.
func loadWrap(t *testing.T, text string, env map[string]string, f WrapFlags) (*Config, error) {
	t.Helper()
	path := ""
	if text != "" {
		path = filepath.Join(t.TempDir(), "wrap.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if f.Server == "" {
		f.Server = DefaultServer
	}
	return LoadWrap(path, func(name string) (string, bool) {
		text, ok := env[name]
		return text, ok
	}, f)
}

func TestLoadWrap(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		env   map[string]string
		flags WrapFlags
		mode  Mode
		audit string
		poll  time.Duration
	}{
		"nothing":     {"", nil, WrapFlags{}, ModePermissive, "", watchTime},
		"empty file":  {"# nothing\n", nil, WrapFlags{}, ModePermissive, "", watchTime},
		"file":        {"policy: {mode: enforce, bundle: b, pollSeconds: 7}\naudit: {path: a}", nil, WrapFlags{}, ModeEnforce, "a", 7 * time.Second},
		"flags":       {"policy: {mode: enforce}\naudit: {path: a}", nil, WrapFlags{PolicyMode: "off", Audit: "b"}, ModeOff, "b", watchTime},
		"environment": {"", map[string]string{"EXPERIMENTAL_POLICY_ENGINE": "true", "POLICY_POLL_SEC": "0"}, WrapFlags{}, ModeEnforce, "", 0},
		"remote":      {"", nil, WrapFlags{PolicyBundle: "oci://registry.example/policy:1"}, ModePermissive, "", 30 * time.Second},
		"URL":         {"", map[string]string{"POLICY_BUNDLE_URL": "https://bundles.example/b.tar.gz"}, WrapFlags{}, ModePermissive, "", 30 * time.Second},
		"folder":      {"", nil, WrapFlags{PolicyBundle: "/policies"}, ModePermissive, "", watchTime},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := loadWrap(t, c.text, c.env, c.flags)
			if err != nil {
				t.Fatal(err)
			}
			if got.Policy.Mode != c.mode || got.Audit.Path != c.audit || got.Policy.Poll != c.poll {
				t.Errorf("mode %s, audit %q, poll %v", got.Policy.Mode, got.Audit.Path, got.Policy.Poll)
			}
		})
	}
}

func TestLoadWrapRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"listen: 127.0.0.1:1":                        ":1: listen: unknown key (allowed: policy, deny, audit, limits)",
		"mcpServers: {a: {url: 'http://a/'}}":        "mcpServers: unknown key",
		"identity: {anonymous: {}}":                  "identity: unknown key",
		"audit: {path: '-'}":                         `:1: audit.path: "-" is for the messages of the server alone (use a file)`,
		"policy: {longPollSeconds: 5}\ndeny: {}\n- ": "did not find expected",
		"[]":                        "the file is not a mapping",
		"policy: {credentials: {}}": "policy.credentials: is empty",
	} {
		if _, err := loadWrap(t, text, nil, WrapFlags{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	for want, f := range map[string]WrapFlags{
		`--audit: "-" is for`:               {Audit: "-"},
		`--server: "A b" is not a server's`: {Server: "A b"},
		"--policy-mode: ":                   {PolicyMode: "some"},
	} {
		if _, err := loadWrap(t, "", nil, f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := LoadWrap("/no/such/file", os.LookupEnv, WrapFlags{Server: "a"}); err == nil {
		t.Error("a file that is not there loads")
	}
}
