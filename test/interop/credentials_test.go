package interop

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/testcert"
	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

// TestTLS has clients reach the gateway, and the gateway a server that asks for its certificate, over TLS with
// certificates of one authority of the test's own. Then the gateway's certificate is replaced.
func TestTLS(t *testing.T) {
	ca := testcert.NewCA(t, "test CA")
	t.Setenv("NODE_EXTRA_CA_CERTS", ca.File)
	server := httptest.NewUnstartedServer(newHandler(legacy))
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{ca.Issue("server.internal").Pair(t)}, ClientCAs: ca.Pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	front, back := ca.Issue("first.example"), ca.Issue("gatehouse")
	over := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool}}}
	t.Cleanup(over.CloseIdleConnections)

	gw := harness.StartGateway(t, harness.Options{Policy: "testdata/policy", Unready: true, Change: func(config map[string]any) {
		pair := map[string]any{"certificate": front.Certificate, "key": front.Key}
		config["tls"], config["adminTls"] = pair, pair
		config["mcpServers"] = map[string]any{"default": map[string]any{
			"url": server.URL + "/mcp",
			"tls": map[string]any{"ca": ca.File, "certificate": back.Certificate, "key": back.Key, "serverName": "server.internal"},
		}}
	}})
	url := func(plain string) string { return strings.Replace(plain, "http:", "https:", 1) }
	gw.Await(t, "/readyz", func() bool { return servedBy(t, over, url(gw.Admin)+"/readyz") == "first.example" })
	steps := slices.DeleteFunc(story(legacy), func(s step) bool { return s.Do == "changed" }) // the next client would see it
	for _, c := range []client{{"go", goClientOver(legacy, over)}, {"ts1", nodeClient("ts1.mjs")}, {"ts2", nodeClient("ts2.mjs", "legacy")}} {
		for i, o := range c.play(t, url(gw.URL), steps) {
			if err := steps[i].want.check(o); err != nil {
				t.Errorf("%s: step %d: %v", c.name, i, err)
			}
		}
	}

	ca.IssueTo(front, "second.example")
	over.CloseIdleConnections()
	if got := servedBy(t, over, url(gw.Admin)+"/healthz"); got != "second.example" {
		t.Errorf("served by %s", got)
	}
	if got := servedBy(t, over, url(gw.URL)); got != "second.example" {
		t.Errorf("served by %s", got)
	}
	if text := get(t, gw.URL); !strings.Contains(text, "HTTPS server") {
		t.Errorf("in plain text: %q", text)
	}
}

// servedBy is the name in the certificate of who answers.
func servedBy(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		return err.Error()
	}
	_ = resp.Body.Close()
	return resp.TLS.PeerCertificates[0].Subject.CommonName
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text := make([]byte, 200)
	n, _ := resp.Body.Read(text) // as much as has come will do
	return string(text[:n])
}

// TestClientCredentials has the gateway get tokens for a server that takes no other credentials, and new ones
// when that forgets them.
func TestClientCredentials(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	issued, valid := 0, map[string]bool{}
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if id, secret, _ := r.BasicAuth(); id != "gatehouse" || secret != "canary-secret" || r.FormValue("scope") != "tools" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		issued++
		token := fmt.Sprintf("canary-token-%d", issued)
		valid = map[string]bool{"Bearer " + token: true}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":1}`, token) // for a client
	}))
	t.Cleanup(issuer.Close)
	handler := newHandler(modern)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		known := valid[r.Header.Get("Authorization")]
		mu.Unlock()
		if !known {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	gw := harness.StartGateway(t, harness.Options{Policy: "testdata/policy", Change: func(config map[string]any) {
		config["mcpServers"] = map[string]any{"default": map[string]any{"url": server.URL + "/mcp", "oauth2": map[string]any{
			"tokenUrl": issuer.URL, "clientId": "gatehouse", "clientSecret": "canary-secret", "scopes": []string{"tools"},
		}}}
	}})
	steps := story(modern)
	for i, o := range goClient(modern)(t, gw.URL, steps) {
		if err := steps[i].want.check(o); err != nil {
			t.Errorf("step %d: %v", i, err)
		}
	}
	issuer.Close()
	gw.Await(t, "the end of the last token", func() bool {
		return goStatus(t, gw.URL) == http.StatusBadGateway
	})
	gw.Stop()
	records, err := os.ReadFile(gw.Audit)
	if err != nil {
		t.Fatal(err)
	}
	if said := gw.Err().Error() + string(records); strings.Contains(said, "canary") || !strings.Contains(said, "the authorization server: ") {
		t.Errorf("recorded and logged:\n%s", said)
	}
}

// goStatus is the status of a call of the newer revision.
func goStatus(t *testing.T, url string) int {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"x"},`+
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"Mcp-Protocol-Version": modern, "Mcp-Method": "tools/call", "Mcp-Name": "echo",
	} {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
