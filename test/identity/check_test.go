package identity

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// gatehouse check --as-token says of a real token what the gateway makes of it.
func TestCheckAsToken(t *testing.T) {
	b := start(t)
	token := b.token(t, "jwt", second, "a")
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(harness.Build(t, "github.com/gatehouse-mcp/gatehouse/cmd/gatehouse"),
		"check", "--config", b.File, "--as-token", file, "--tools", "who")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), token) {
		t.Error("the token is shown")
	}
	var views []map[string]any
	for line := range strings.Lines(string(out)) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		if user, ok := v["user"].(map[string]any); ok {
			if claims, _ := user["claims"].(map[string]any); claims["iss"] != b.issuer {
				t.Errorf("claims %v", claims)
			}
			delete(user, "claims")
		}
		views = append(views, v)
	}
	user := map[string]any{"id": "id2", "roles": []any{"intern"}, "auth": "jwt"}
	if d := cmp.Diff([]map[string]any{
		{"server": "a", "user": user, "issuer": b.issuer, "scopes": []any{"openid"}, "tools": map[string]any{"who": "allow"}},
		{"server": "b", "user": user, "issuer": b.issuer, "scopes": []any{"openid"}, "refused": "insufficient_scope: mcp:read mcp:write"},
	}, views); d != "" {
		t.Error(d)
	}
}

// An issuer that is out of reach keeps no gateway from starting: it says so, and
// lets in who does not need that issuer.
func TestIssuerOutOfReach(t *testing.T) {
	b := start(t)
	token := b.token(t, "jwt", first, "a")
	const nowhere = "http://127.0.0.1:1"
	gw := harness.StartGateway(t, harness.Options{Upstream: nowhere, Policy: "testdata/policy", Change: func(config map[string]any) {
		config["identity"] = map[string]any{
			"jwt":     []any{map[string]any{"issuer": b.issuer, "audience": audience, "jwksUrl": nowhere + "/keys"}},
			"apiKeys": []any{map[string]any{"id": "k", "sha256": "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"}}, // of "key"
		}
	}})
	gw.Await(t, "the word of the issuer", func() bool {
		issuers, _ := get(t, gw.Admin+"/readyz")["issuers"].([]any)
		if len(issuers) != 1 {
			return false
		}
		failure, _ := issuers[0].(map[string]any)["error"].(string) // none before the first try has ended
		return strings.Contains(failure, "connection refused")
	})
	if !strings.Contains(gw.Output(), "no new keys of the issuer") {
		t.Error("the log does not say what is missing")
	}
	b.base = strings.TrimSuffix(gw.URL, "/mcp")
	for token, want := range map[string]int{token: http.StatusServiceUnavailable, "key": http.StatusForbidden, "other": http.StatusUnauthorized} {
		if status, _, body := b.call(t, "default", token); status != want {
			t.Errorf("%d %s, want %d", status, body, want)
		}
	}
}
