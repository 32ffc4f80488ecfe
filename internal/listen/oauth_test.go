package listen

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/gatehouse-mcp/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// tokens proves callers by made-up tokens: the text is the scopes.
type tokens struct{}

func (tokens) Identify(_ context.Context, r *identity.Request) (*identity.Caller, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case !ok:
		return nil, nil
	case token == "bad":
		return nil, identity.ErrBadCredentials
	case token == "later":
		return nil, identity.ErrUnavailable
	case token == "key":
		return &identity.Caller{ID: "k", Auth: identity.AuthAPIKey}, nil
	}
	return &identity.Caller{ID: "t", Auth: identity.AuthJWT, Scopes: strings.Split(token, "+")}, nil
}

// resource is a gateway that takes tokens; server a needs two scopes, b none.
func resource(anonymous bool) func(*HTTP) {
	return func(h *HTTP) {
		if !anonymous {
			h.Identity.Anonymous = nil
		}
		h.Identity.Methods = []identity.Method{tokens{}}
		h.OAuth = &OAuth{Issuers: []string{"https://idp.example", "https://b.example"}, Scopes: map[string][]string{"a": {"read", "write"}}}
	}
}

// scopeGuard answers as the gateway does: it carries nothing of a refused exchange.
func scopeGuard() *recorder {
	r := &recorder{}
	r.serve = func(_ context.Context, x *gateway.Exchange, reply gateway.Reply) {
		status, text := http.StatusOK, "{}"
		if x.Refused != nil {
			status, text = x.Refused.Status, x.Refused.Body("1")
		}
		_ = reply.Answer(&mcp.Answer{Status: status, Text: text})
	}
	return r
}

func TestChallenges(t *testing.T) {
	t.Parallel()
	const metadata = `Bearer resource_metadata="http://HOST/.well-known/oauth-protected-resource`
	for _, c := range []struct {
		name, path, token string
		anonymous         bool
		status            int
		challenge         string
	}{
		{"no token", "/mcp", "", false, 401, metadata + `/mcp", scope="read write"`},
		{"no token, by name", "/servers/a/mcp", "", false, 401, metadata + `/servers/a/mcp", scope="read write"`},
		{"no token, no scopes", "/servers/b/mcp", "", false, 401, metadata + `/servers/b/mcp"`},
		{"no token, unknown server", "/servers/x/mcp", "", false, 401, metadata + `/servers/x/mcp"`},
		{"no token, unknown path", "/x", "", false, 401, metadata + `"`},
		{"no token, path with a quote", `/servers/%22/mcp`, "", false, 401, metadata + `"`},
		{"bad token", "/servers/b/mcp", "bad", false, 401, metadata + `/servers/b/mcp", error="invalid_token"`},
		{"bad token, scopes", "/mcp", "bad", true, 401, metadata + `/mcp", scope="read write", error="invalid_token"`},
		{"issuer out of reach", "/mcp", "later", false, 503, ""},
		{"one scope of two", "/servers/a/mcp", "read", false, 403, metadata + `/servers/a/mcp", scope="read write", error="insufficient_scope"`},
		{"other scopes", "/mcp", "reads+writes", false, 403, metadata + `/mcp", scope="read write", error="insufficient_scope"`},
		{"all scopes and more", "/mcp", "x+write+read", false, 200, ""},
		{"no scopes needed", "/servers/b/mcp", "read", false, 200, ""},
		{"a key has no scopes", "/servers/a/mcp", "key", false, 200, ""},
		{"anonymous where scopes are needed", "/servers/a/mcp", "", true, 401, metadata + `/servers/a/mcp", scope="read write"`},
		{"anonymous elsewhere", "/servers/b/mcp", "", true, 200, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, scopeGuard(), resource(c.anonymous))
			var lines []string
			if c.token != "" {
				lines = []string{"Authorization: Bearer " + c.token}
			}
			resp, body := raw(t, s, post(c.path, lines...))
			want := strings.ReplaceAll(c.challenge, "HOST", s.Listener.Addr().String())
			if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != c.status || got != want {
				t.Errorf("%s %s\nwant %d %s", resp.Status, got, c.status, want)
			}
			if c.status == 403 && body != `{"jsonrpc":"2.0","id":1,"error":{"code":403,"message":"insufficient_scope","data":{"reason":"read write","decision_id":""}}}` {
				t.Errorf("body %s", body)
			}
			if _, err := oauthex.ParseWWWAuthenticate(resp.Header.Values("WWW-Authenticate")); err != nil {
				t.Errorf("the SDK cannot read it: %v", err)
			}
		})
	}
}

// A denial by policy is not for want of scope, and must not look so.
func TestPolicyDenialIsNoChallenge(t *testing.T) {
	t.Parallel()
	r := &recorder{serve: func(_ context.Context, _ *gateway.Exchange, reply gateway.Reply) {
		_ = reply.Answer(&mcp.Answer{Status: http.StatusForbidden, Text: "{}"})
	}}
	resp, _ := raw(t, start(t, r, resource(false)), post("/mcp", "Authorization: Bearer read+write"))
	if resp.StatusCode != 403 || resp.Header.Values("WWW-Authenticate") != nil {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
}

func TestResourceMetadata(t *testing.T) {
	t.Parallel()
	const known = `,"authorization_servers":["https://idp.example","https://b.example"]`
	const scopes, end = `,"scopes_supported":["read","write"]`, `,"bearer_methods_supported":["header"]}`
	get := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: HOST\r\n\r\n" }
	public := func(h *HTTP) {
		resource(false)(h)
		h.OAuth.PublicURL = "https://gw.example"
	}
	several := func(h *HTTP) {
		resource(false)(h)
		h.Only = ""
	}
	for _, c := range []struct {
		name, request string
		change        func(*HTTP)
		status        int
		body          string
	}{
		{"root, one server", get(metadataPath), resource(false), 200, `{"resource":"http://HOST/mcp"` + known + scopes + end},
		{"root, several", get(metadataPath), several, 200, `{"resource":"http://HOST"` + known + end},
		{"mcp", get(metadataPath + "/mcp"), resource(false), 200, `{"resource":"http://HOST/mcp"` + known + scopes + end},
		{"server", get(metadataPath + "/servers/a/mcp"), resource(false), 200, `{"resource":"http://HOST/servers/a/mcp"` + known + scopes + end},
		{"unknown server", get(metadataPath + "/servers/x/mcp"), resource(false), 200, `{"resource":"http://HOST/servers/x/mcp"` + known + end},
		{"public URL", get(metadataPath + "/servers/a/mcp"), public, 200, `{"resource":"https://gw.example/servers/a/mcp"` + known + scopes + end},
		{"no such path", get(metadataPath + "/x"), resource(false), 401, ""},
		{"not cleaned", get(metadataPath + "//mcp"), resource(false), 401, ""},
		{"longer name", get(metadataPath + "x"), resource(false), 401, ""},
		{"POST", strings.Replace(get(metadataPath), "GET", "POST", 1), resource(false), 405, ""},
		{"no tokens taken", get(metadataPath), func(h *HTTP) { h.Identity.Anonymous = nil }, 401, ""},
		{"foreign origin", strings.Replace(get(metadataPath), "\r\n\r\n", "\r\nOrigin: https://evil.example\r\n\r\n", 1), resource(false), 403, ""},
		{"rebinding", strings.Replace(get(metadataPath), "Host: HOST", "Host: evil.example", 1), resource(false), 403, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, &recorder{}, c.change)
			resp, body := raw(t, s, c.request)
			want := strings.ReplaceAll(c.body, "HOST", s.Listener.Addr().String())
			if resp.StatusCode != c.status || c.body != "" && (body != want || resp.Header.Get("Content-Type") != "application/json") {
				t.Errorf("%s %v\n%s\nwant %d\n%s", resp.Status, resp.Header, body, c.status, want)
			}
		})
	}
	s := start(t, &recorder{}, resource(false))
	at := s.URL + "/servers/a/mcp"
	m, err := oauthex.GetProtectedResourceMetadata(t.Context(), s.URL+metadataPath+"/servers/a/mcp", at, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}})
	if err != nil || m.Resource != at || len(m.AuthorizationServers) != 2 || len(m.ScopesSupported) != 2 {
		t.Errorf("the SDK reads %+v, %v", m, err)
	}
}

// Only a certificate whose chain was verified says who calls.
func TestCertificateOfTheConnection(t *testing.T) {
	t.Parallel()
	own, leaf := clientCertificate(t)
	for mode, want := range map[tls.ClientAuthType]int{
		tls.RequireAndVerifyClientCert: http.StatusOK, tls.VerifyClientCertIfGiven: http.StatusOK,
		tls.RequireAnyClientCert: http.StatusUnauthorized, tls.RequestClientCert: http.StatusUnauthorized,
	} {
		r := &recorder{}
		h := &HTTP{Gateway: r, Origins: &Origins{}, Limit: limit, Only: "a"}
		s := httptest.NewUnstartedServer(h)
		s.TLS = &tls.Config{ClientAuth: mode, ClientCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
		s.StartTLS()
		s.TLS.ClientCAs.AddCert(leaf)
		h.Identity = &identity.Identifier{
			Proxies: &identity.Proxies{},
			Methods: []identity.Method{identity.Certificates{{Subject: leaf.Subject.String(), ID: "mesh"}}},
		}
		client := s.Client()
		client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{own}
		resp, err := client.Post(s.URL+"/mcp", "application/json", strings.NewReader(ping))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want || want == http.StatusOK && (len(r.served) != 1 || r.served[0].Caller.ID != "mesh") {
			t.Errorf("%v: %s", mode, resp.Status)
		}
		client.CloseIdleConnections()
		s.Close()
	}
}

// clientCertificate is a certificate for clients that is its own CA.
func clientCertificate(t *testing.T) (tls.Certificate, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mesh"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, leaf
}
