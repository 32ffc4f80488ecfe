package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/config"
)

// written is a file of a folder of the test's own.
func written(t *testing.T, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// certificate makes a certificate, and returns the paths of it and its key.
func certificate(t *testing.T, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return written(t, "cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		written(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

// TestServiceClient shows each kind of credentials to a TLS server, which says what it saw.
func TestServiceClient(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/whoami", func(w http.ResponseWriter, r *http.Request) {
		who := r.Header.Get("Authorization")
		if len(r.TLS.PeerCertificates) > 0 {
			who = r.TLS.PeerCertificates[0].DNSNames[0]
		}
		_, _ = io.WriteString(w, who)
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if id != "client" || secret != "secret" || r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "logs" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"granted","token_type":"Bearer","expires_in":60}`)
	})
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/whoami", http.StatusTemporaryRedirect)
	})
	server := httptest.NewUnstartedServer(mux)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	tokenURL, err := url.Parse(server.URL + "/token")
	if err != nil {
		t.Fatal(err)
	}
	ca := written(t, "ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	cert, key := certificate(t, "gateway")
	for name, c := range map[string]struct {
		credentials config.Credentials
		path, want  string
	}{
		"nobody":             {config.Credentials{}, "/whoami", ""},
		"bearer":             {config.Credentials{Bearer: "t"}, "/whoami", "Bearer t"},
		"bearer from a file": {config.Credentials{BearerFile: written(t, "token", []byte("f\n"))}, "/whoami", "Bearer f"},
		"basic":              {config.Credentials{Basic: &config.Basic{Username: "u", Password: "p"}}, "/whoami", "Basic dTpw"},
		"certificate":        {config.Credentials{Certificate: &config.Certificate{Certificate: cert, Key: key}}, "/whoami", "gateway"},
		"oauth2": {config.Credentials{OAuth2: &config.OAuth2{
			TokenURL: tokenURL, ClientID: "client", ClientSecret: "secret", Scopes: []string{"logs"},
		}}, "/whoami", "Bearer granted"},
		"redirect": {config.Credentials{Bearer: "t"}, "/away", ""},
	} {
		client, err := serviceClient(&c.credentials, ca)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		resp, err := client.Post(server.URL+c.path, "text/plain", nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(body) != c.want {
			t.Errorf("%s: %v, the service saw %q", name, err, body)
		}
		client.CloseIdleConnections()
	}
	client, err := serviceClient(&config.Credentials{}, "")
	if err == nil {
		var resp *http.Response
		if resp, err = client.Get(server.URL + "/whoami"); err == nil {
			_ = resp.Body.Close()
			t.Error("a server of an unknown authority was trusted")
		}
	}
	for name, ca := range map[string]string{"no file": "nothing", "no certificate": written(t, "empty.pem", nil)} {
		if _, err := serviceClient(&config.Credentials{}, ca); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := serviceClient(&config.Credentials{Certificate: &config.Certificate{Certificate: cert, Key: ca}}, ""); err == nil {
		t.Error("a certificate without its key")
	}
}
