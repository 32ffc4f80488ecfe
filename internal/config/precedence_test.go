package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/config"
)

// modeWanted is the rule, written the other way round than the code: who has the last word is asked first.
func modeWanted(flag, enabled, experimental, file string) string {
	if flag != "" {
		return flag
	}
	if enabled == "false" {
		return "off"
	}
	if experimental == "true" {
		return "enforce"
	}
	if experimental == "false" {
		return "permissive"
	}
	if file != "" {
		return file
	}
	return "permissive"
}

func TestMode(t *testing.T) {
	truth := []string{"", "true", "false"}
	modes := []string{"", "off", "permissive", "enforce"}
	count := 0
	for _, flag := range modes {
		for _, enabled := range truth {
			for _, experimental := range truth {
				for _, mode := range modes {
					// A variable that is set and empty is one that is not set: both are tried.
					file, env := "", vars{"POLICY_ENABLED": enabled, "EXPERIMENTAL_POLICY_ENGINE": experimental}
					if count%2 == 0 {
						for name, value := range env {
							if value == "" {
								delete(env, name)
							}
						}
					}
					if mode != "" {
						file = "policy: {mode: " + mode + "}"
					}
					got := mustLoad(t, file, env, config.Flags{PolicyMode: flag}).Policy.Mode
					if want := modeWanted(flag, enabled, experimental, mode); string(got) != want {
						t.Errorf("flag %q, env %v, file %q: %s, want %s", flag, env, mode, got, want)
					}
					count++
				}
			}
		}
	}
	if count != 4*3*3*4 {
		t.Errorf("%d combinations", count)
	}
}

// Every combination of the places that name a bundle, and of those that pin it.
func TestBundleAndPin(t *testing.T) {
	pinFile, pinEnv := strings.Repeat("a", 64), strings.Repeat("b", 64)
	for bits := range 1 << 6 {
		given := func(i int, text string) string {
			if bits&(1<<i) == 0 {
				return ""
			}
			return text
		}
		file := fmt.Sprintf("policy: {bundle: %q, sha256: %q}", given(0, "in-file"), given(1, pinFile))
		env := vars{
			"POLICY_BUNDLE_URL":    given(2, "https://env.example/b.tar.gz"),
			"POLICY_BUNDLE_PATH":   given(3, "/in/env"),
			"POLICY_BUNDLE_SHA256": given(4, pinEnv),
		}
		flags := config.Flags{PolicyBundle: given(5, "in-flag")}
		got := mustLoad(t, file, env, flags).Policy

		if want := firstGiven(flags.PolicyBundle, env["POLICY_BUNDLE_PATH"], env["POLICY_BUNDLE_URL"], given(0, "in-file")); got.Bundle != want {
			t.Errorf("%s %v %v: bundle %q, want %q", file, env, flags, got.Bundle, want)
		}
		if want := firstGiven(env["POLICY_BUNDLE_SHA256"], given(1, pinFile)); got.SHA256 != want {
			t.Errorf("%s %v %v: sha256 %q, want %q", file, env, flags, got.SHA256, want)
		}
	}
}

func firstGiven(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

func TestPollSeconds(t *testing.T) {
	tests := []struct {
		file, env string
		want      time.Duration
	}{
		{"", "", 30 * time.Second},
		{"policy: {pollSeconds: 5}", "", 5 * time.Second},
		{"policy: {pollSeconds: 5}", "0", 0},
		{"policy: {pollSeconds: 0}", "", 0},
		{"", "86400", 24 * time.Hour},
	}
	for _, tt := range tests {
		got := mustLoad(t, tt.file, vars{"POLICY_POLL_SEC": tt.env}, config.Flags{}).Policy.Poll
		if got != tt.want {
			t.Errorf("file %q, env %q: %v, want %v", tt.file, tt.env, got, tt.want)
		}
	}
}

const (
	aKey      = "apiKeys: [{id: a, sha256: " + upperHex + "}]"
	aProxy    = "trustedProxies: {cidrs: [10.0.0.0/8]}"
	aGuest    = "anonymous: {}"
	noProxies = "trustedProxies: {cidrs: []}"
)

// Who may reach a listener without having been let in on purpose.
func TestIdentityOfListener(t *testing.T) {
	loopback := []string{"127.0.0.1:0", "127.8.8.8:80", "[::1]:80", "[::ffff:127.0.0.1]:80", "localhost:80"}
	others := []string{
		":8080", "0.0.0.0:8080", "[::]:8080", "10.0.0.1:80", "[fe80::1%eth0]:80", "gateway.example:80", "127.1:80",
		"localhost.example:80", "[::ffff:10.0.0.1]:80",
	}
	for _, listen := range append(loopback, others...) {
		for _, flag := range []bool{false, true} {
			for _, identity := range []string{"", noProxies, "anonymous: {id: x}", aKey, aProxy, aKey + ", " + aProxy} {
				file, flags := "{}\n", config.Flags{}
				if identity != "" {
					file = "identity: {" + identity + "}\n"
				}
				if flag {
					flags.Listen = listen
				} else {
					file += fmt.Sprintf("listen: %q\n", listen)
				}
				if file[0] == '{' {
					file = strings.TrimPrefix(file, "{}\n")
				}
				isLoopback := strings.Contains(strings.Join(loopback, " ")+" ", listen+" ")
				c, err := load(t, file, nil, flags)
				wantOK := identity != "" && identity != noProxies || isLoopback && identity == ""
				if (err == nil) != wantOK {
					t.Errorf("listen %s, flag %v, identity {%s}: %v", listen, flag, identity, err)
					continue
				}
				if err == nil && (c.Identity.Anonymous != nil) != (identity == "" || identity == "anonymous: {id: x}") {
					t.Errorf("listen %s, identity {%s}: anonymous is %+v", listen, identity, c.Identity.Anonymous)
				}
			}
		}
	}
}

func TestAnonymousHasDefaults(t *testing.T) {
	c := mustLoad(t, "{listen: ':80', identity: {"+aGuest+"}}", nil, config.Flags{})
	if a := c.Identity.Anonymous; a == nil || a.ID != "anonymous" || a.Roles == nil || len(a.Roles) != 0 {
		t.Errorf("anonymous is %+v", a)
	}
	keys := mustLoad(t, "identity: {"+aKey+"}", nil, config.Flags{}).Identity
	if keys.Anonymous != nil || keys.APIKeys[0].Roles == nil {
		t.Errorf("identity is %+v", keys)
	}
}
