package identity

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/testcert"
	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// TestTokenExchange has the gateway exchange the caller's token for one of the server's audience. The server
// gets that one, and nobody else gets either.
func TestTokenExchange(t *testing.T) {
	var subject atomic.Pointer[string]
	exchange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if id != "gatehouse" || secret != "secret" || r.FormValue("audience") != "c" ||
			r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		token := r.FormValue("subject_token")
		subject.Store(&token)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"exchanged-canary","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":300}`)
	}))
	t.Cleanup(exchange.Close)
	b := start(t, func(config map[string]any, upstream string) {
		config["mcpServers"].(map[string]any)["c"] = map[string]any{"url": upstream, "tokenExchange": map[string]any{
			"tokenUrl": exchange.URL, "clientId": "gatehouse", "clientSecret": "secret", "audience": "c",
		}}
	})
	token := b.token(t, "jwt", first, "c")
	if status, _, body := b.call(t, "c", token); status != http.StatusOK || !strings.Contains(body, "done") {
		t.Fatalf("%d %s", status, body)
	}
	if got := subject.Load(); got == nil || *got != token {
		t.Error("another token than the caller's was exchanged")
	}
	b.mu.Lock()
	sent := b.seen[len(b.seen)-1].Get("Authorization")
	b.mu.Unlock()
	if sent != "Bearer exchanged-canary" {
		t.Errorf("the server was sent %q", sent)
	}
	records, err := os.ReadFile(b.Audit)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range append(strings.Split(token, ".")[1:], "exchanged-canary") {
		if strings.Contains(string(records)+b.Output(), secret) {
			t.Error("a token is in the records or the log")
		}
	}
}

// TestCertificates has clients prove themselves by certificates, over TLS.
func TestCertificates(t *testing.T) {
	ca, others := testcert.NewCA(t, "clients"), testcert.NewCA(t, "others")
	front := ca.Issue("localhost")
	gw := harness.StartGateway(t, harness.Options{Upstream: "http://127.0.0.1:1", Policy: "testdata/policy", Unready: true, Change: func(config map[string]any) {
		config["tls"] = map[string]any{"certificate": front.Certificate, "key": front.Key, "clientCA": ca.File}
		config["identity"] = map[string]any{"certificates": []any{
			map[string]any{"spiffe": "spiffe://example.com/agents/*", "roles": []string{"intern"}},
			map[string]any{"subject": "CN=ci", "id": "ci@org", "roles": []string{"intern"}},
		}}
	}})
	gw.Await(t, "/readyz", func() bool {
		resp, err := http.Get(gw.Admin + "/readyz")
		return err == nil && resp.Body.Close() == nil
	})
	for name, tc := range map[string]struct {
		files testcert.Files
		want  string
	}{
		"by SPIFFE ID":      {ca.Issue("x", "spiffe://example.com/agents/one"), "403 spiffe://example.com/agents/one certificate intern"},
		"by subject":        {ca.Issue("ci"), "403 ci@org certificate intern"},
		"nobody's":          {ca.Issue("x", "spiffe://example.org/agents/one"), "401"},
		"without any":       {testcert.Files{}, "401"},
		"another authority": {others.Issue("ci"), "tls: "},
	} {
		c := &tls.Config{RootCAs: ca.Pool, ServerName: "localhost"}
		if tc.files.Certificate != "" {
			pair := tc.files.Pair(t)
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: c}}
		if got := whoami(client, strings.Replace(gw.URL, "http:", "https:", 1)); !strings.Contains(got, tc.want) {
			t.Errorf("%s: got %s, want %s", name, got, tc.want)
		}
		client.CloseIdleConnections()
	}
}

// whoami calls a tool that is denied with the caller as the reason, and returns the status and that.
func whoami(client *http.Client, url string) string {
	text := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"who"}}`
	resp, err := client.Post(url, "application/json", strings.NewReader(text))
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	_, reason, _ := strings.Cut(string(body), `"reason":"`)
	reason, _, _ = strings.Cut(reason, `"`)
	return fmt.Sprintf("%d %s", resp.StatusCode, reason)
}
