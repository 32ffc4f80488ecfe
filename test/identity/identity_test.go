// Package identity drives the gateway with tokens of a real OpenID provider, got
// by the authorization code flow with PKCE.
package identity

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/gatehouse-mcp/gatehouse/test/internal/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Run(m)) }

const (
	audience = "https://gw.example/mcp"
	redirect = "http://127.0.0.1:1/callback"
	patience = time.Minute
)

// A bench is a provider, a gateway that takes its tokens, and a server behind it
// under two names: a, and b for which tokens need scopes.
type bench struct {
	*harness.Gateway
	issuer string
	base   string // of the gateway

	mu   sync.Mutex
	seen []http.Header // what the server was sent
}

// start starts all three, with more in the configuration if need be.
func start(t *testing.T, more ...func(config map[string]any, upstream string)) *bench {
	t.Helper()
	b := &bench{}
	provider := harness.Start(t, exec.Command(harness.BuildIn(t, "idp", "github.com/gatehouse-mcp/gatehouse/test/identity/idp"), "-audience", audience))
	provider.Await(t, "the issuer", func() bool {
		line, _, ok := strings.Cut(provider.Output(), "\n")
		b.issuer = line
		return ok
	})
	server := mcp.NewServer(&mcp.Implementation{Name: "server", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "who"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil, nil
	})
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.seen = append(b.seen, r.Header.Clone())
		b.mu.Unlock()
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		upstream.CloseClientConnections()
		upstream.Close()
	})
	b.Gateway = harness.StartGateway(t, harness.Options{Upstream: upstream.URL, Policy: "testdata/policy", Change: func(config map[string]any) {
		config["mcpServers"] = map[string]any{
			"a": map[string]any{"url": upstream.URL},
			"b": map[string]any{"url": upstream.URL, "requiredScopes": []string{"mcp:read", "mcp:write"}},
		}
		config["identity"] = map[string]any{
			"jwt": []any{map[string]any{"issuer": b.issuer, "audience": audience, "rolesClaim": "realm_access.roles"}},
			"introspection": map[string]any{
				"issuer": b.issuer, "audience": audience, "rolesClaim": "realm_access.roles", "url": b.issuer + "/oauth/introspect",
				"clientId": "gatehouse", "clientSecret": "secret",
			},
		}
		for _, change := range more {
			change(config, upstream.URL)
		}
	}})
	t.Cleanup(func() {
		if text, err := os.ReadFile(b.Audit); err == nil && t.Failed() {
			t.Logf("records:\n%s", text)
		}
	})
	b.base = strings.TrimSuffix(b.URL, "/mcp")
	return b
}

// browse follows an authorization request as a browser does, logs in, and
// returns what the client is sent back with.
func browse(ctx context.Context, user, at string) (url.Values, error) {
	client := &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	for {
		u, err := url.Parse(at)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(at, redirect) {
			return u.Query(), nil
		}
		var form url.Values
		method := http.MethodGet
		if u.Path == "/login/username" {
			method = http.MethodPost
			form = url.Values{"id": u.Query()["authRequestID"], "username": {user}, "password": {"verysecure"}}
		}
		r, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(form.Encode()))
		if err != nil {
			return nil, err
		}
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, err := client.Do(r)
		if err != nil {
			return nil, err
		}
		page, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		next, err := resp.Location()
		if err != nil {
			return nil, &unexpected{at, resp.Status, string(page)}
		}
		at = next.String()
	}
}

type unexpected struct{ at, status, page string }

func (u *unexpected) Error() string { return u.at + ": " + u.status + "\n" + u.page }

// get fetches a JSON document.
func get(t *testing.T, at string) map[string]any {
	t.Helper()
	resp, err := http.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var doc map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", at, resp.Status, err)
	}
	return doc
}

// call calls the tool and returns status, challenge and body.
func (b *bench) call(t *testing.T, server, token string) (status int, challenge, body string) {
	t.Helper()
	const message = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"who","arguments":{},"_meta":{` +
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},` +
		`"io.modelcontextprotocol/clientCapabilities":{}}}}`
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.base+"/servers/"+server+"/mcp", strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "who",
	} {
		r.Header.Set(name, value)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("WWW-Authenticate"), string(text)
}
