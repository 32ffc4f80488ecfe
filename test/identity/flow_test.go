package identity

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"
)

var quoted = regexp.MustCompile(`(\w+)="([^"]*)"`)

// token goes the whole way from a refused call to an access token, as the
// specification has it, and back with what the token got.
func (b *bench) token(t *testing.T, client, user, server string) string {
	t.Helper()
	status, challenge, _ := b.call(t, server, "")
	params := map[string]string{}
	for _, m := range quoted.FindAllStringSubmatch(challenge, -1) {
		params[m[1]] = m[2]
	}
	if status != http.StatusUnauthorized || params["resource_metadata"] == "" || params["error"] != "" {
		t.Fatalf("%d %s", status, challenge)
	}
	resource := get(t, params["resource_metadata"])
	if resource["resource"] != b.base+"/servers/"+server+"/mcp" {
		t.Fatalf("the resource is %v", resource["resource"])
	}
	issuer := resource["authorization_servers"].([]any)[0].(string)
	metadata := get(t, issuer+"/.well-known/openid-configuration")
	config := oauth2.Config{
		ClientID: client, RedirectURL: redirect, Scopes: append(strings.Fields(params["scope"]), "openid"),
		Endpoint: oauth2.Endpoint{
			AuthURL: metadata["authorization_endpoint"].(string), TokenURL: metadata["token_endpoint"].(string), AuthStyle: oauth2.AuthStyleInParams,
		},
	}
	verifier := oauth2.GenerateVerifier()
	back, err := browse(t.Context(), user, config.AuthCodeURL("state-1", oauth2.S256ChallengeOption(verifier)))
	if err != nil || back.Get("state") != "state-1" {
		t.Fatalf("back with %v, %v", back, err)
	}
	token, err := config.Exchange(t.Context(), back.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	return token.AccessToken
}

const (
	first  = "test-user@127.0.0.1" // id1, role dev
	second = "test-user2"          // id2, role intern
)

func TestAuthorizationCodeFlow(t *testing.T) {
	b := start(t)
	for _, tc := range []struct{ client, user, server, denied string }{
		{"jwt", first, "a", ""},
		{"jwt", first, "b", ""},
		{"jwt", second, "a", "id2 jwt intern"},
		{"opaque", first, "a", ""},
		{"opaque", first, "b", ""},
		{"opaque", second, "b", "id2 introspection intern"},
	} {
		t.Run(tc.client+" "+tc.user+" "+tc.server, func(t *testing.T) {
			token := b.token(t, tc.client, tc.user, tc.server)
			if (strings.Count(token, ".") == 2) != (tc.client == "jwt") {
				t.Fatalf("client %s got another kind of token", tc.client)
			}
			status, challenge, body := b.call(t, tc.server, token)
			switch {
			case tc.denied == "" && (status != http.StatusOK || !strings.Contains(body, "done")):
				t.Errorf("%d %s", status, body)
			case tc.denied != "" && (status != http.StatusForbidden || challenge != "" || !strings.Contains(body, tc.denied)):
				t.Errorf("%d %s %s", status, challenge, body)
			}
			b.nowhere(t, token)
		})
	}
	// A token that was got for a has not the scopes of b, and says so.
	status, challenge, body := b.call(t, "b", b.token(t, "jwt", first, "a"))
	if status != http.StatusForbidden || !strings.Contains(challenge, `scope="mcp:read mcp:write", error="insufficient_scope"`) || !strings.Contains(body, `"id":7`) {
		t.Errorf("%d %s %s", status, challenge, body)
	}
	// What the provider issues beside access tokens is none: this one is for the client.
	if status, _, _ := b.call(t, "a", "opaque-but-unknown"); status != http.StatusUnauthorized {
		t.Errorf("an unknown token: %d", status)
	}
}

// nowhere checks that the token has reached no server, record, log or metric.
func (b *bench) nowhere(t *testing.T, token string) {
	t.Helper()
	resp, err := http.Get(b.Admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	records, err := os.ReadFile(b.Audit)
	if err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.seen {
		if h.Get("Authorization") != "" {
			t.Errorf("the server was sent %v", h)
		}
		for _, values := range h {
			if strings.Contains(strings.Join(values, " "), token) {
				t.Error("the token reached the server")
			}
		}
	}
	pieces := append(strings.Split(token, "."), token)
	for place, text := range map[string]string{"records": string(records), "metrics": string(metrics), "log": b.Output()} {
		for _, piece := range pieces[1:] {
			if strings.Contains(text, piece) {
				t.Errorf("the token is in the %s", place)
			}
		}
	}
	if !strings.Contains(string(metrics), `gatehouse_callers_total{auth="`) || !strings.Contains(string(records), `"user":"id`) {
		t.Error("nothing tells who called")
	}
}

// sdk connects the official SDK's client with its own OAuth handler.
func (b *bench) sdk(t *testing.T, server string, scopes func([]string) []string) (*mcp.ClientSession, *atomic.Int64) {
	t.Helper()
	var asked atomic.Int64
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		PreregisteredClient: &oauthex.ClientCredentials{ClientID: "jwt"}, RedirectURL: redirect, ScopeFilter: scopes,
		AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			asked.Add(1)
			back, err := browse(ctx, first, args.URL)
			return &auth.AuthorizationResult{Code: url.Values(back).Get("code"), State: url.Values(back).Get("state")}, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "go", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: b.base + "/servers/" + server + "/mcp", OAuthHandler: handler, DisableStandaloneSSE: true,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session, &asked
}

func TestOfficialSDK(t *testing.T) {
	b := start(t)
	openid := func(scopes []string) []string { return append(slices.Clone(scopes), "openid") }
	for _, server := range []string{"a", "b"} {
		session, asked := b.sdk(t, server, openid)
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "who"})
		if err != nil || result.IsError || asked.Load() != 1 {
			t.Errorf("%s: %+v, %v, after %d logins", server, result, err, asked.Load())
		}
	}
	// Too few scopes at first: the client steps up once, and gets in.
	times := 0
	session, asked := b.sdk(t, "b", func(scopes []string) []string {
		if times++; times == 1 {
			return []string{"openid", "mcp:read"}
		}
		return openid(scopes)
	})
	if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "who"}); err != nil || asked.Load() != 2 {
		t.Errorf("%v, after %d logins", err, asked.Load())
	}
}

// The provider replaces its key again and again while clients call: no good token is refused.
func TestProviderRotatesUnderLoad(t *testing.T) {
	b := start(t)
	var current atomic.Pointer[string]
	token := b.token(t, "jwt", first, "a")
	current.Store(&token)
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	var calls atomic.Int64
	for range 4 {
		group.Go(func() {
			for ctx.Err() == nil {
				if status, challenge, _ := b.call(t, "a", *current.Load()); status != http.StatusOK {
					t.Errorf("%d %s", status, challenge)
					return
				}
				calls.Add(1)
			}
		})
	}
	for range 5 {
		resp, err := http.Post(b.issuer+"/rotate", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		token := b.token(t, "jwt", first, "a")
		current.Store(&token)
		if status, challenge, _ := b.call(t, "a", token); status != http.StatusOK {
			t.Errorf("%d %s", status, challenge)
		}
	}
	stop()
	group.Wait()
	t.Logf("%d calls, five new keys", calls.Load())
}
