// Package login shows the gateway's own credentials to the services that it
// uses: those that bundles come from, and those that decisions are sent to.
package login

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Credentials are what a service wants to see. At most one kind is set:
// a token, a file that has it, a user, a client certificate, or a client of an
// OAuth 2.0 token endpoint.
type Credentials struct {
	Bearer             string
	BearerFile         string // read for each request
	Username, Password string
	Certificate, Key   string // PEM files, read for each connection
	OAuth2             *OAuth2
}

// OAuth2 is a client that gets its tokens by the client credentials grant.
type OAuth2 struct {
	TokenURL     string
	ClientID     string
	ClientSecret string
	Scopes       []string
}

// A Login puts credentials onto requests. Many goroutines may use it at once.
type Login struct {
	Credentials
	client *http.Client // for the token endpoint

	mu     sync.Mutex
	tokens oauth2.TokenSource // nil: none yet
}

// New returns the login for credentials. The client is for the token endpoint.
func New(c Credentials, client *http.Client) *Login {
	return &Login{Credentials: c, client: client}
}

// maxToken bounds a file that has a token, in bytes.
const maxToken = 64 << 10

// Send sends a request with credentials over a transport. A token that the
// server refuses is dropped, so that the next request gets a new one.
func (l *Login) Send(r *http.Request, over http.RoundTripper) (*http.Response, error) {
	r, err := l.onto(r)
	if err != nil {
		return nil, err
	}
	resp, err := over.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		l.forget()
	}
	return resp, err
}

// onto returns the request with credentials, unless it has some: a registry
// hands out tokens of its own.
func (l *Login) onto(r *http.Request) (*http.Request, error) {
	if r.Header.Get("Authorization") != "" {
		return r, nil
	}
	token := ""
	switch {
	case l.Username != "":
		r = r.Clone(r.Context())
		r.SetBasicAuth(l.Username, l.Password)
		return r, nil
	case l.Bearer != "":
		token = l.Bearer
	case l.BearerFile != "":
		var err error
		if token, err = readToken(l.BearerFile); err != nil {
			return nil, fmt.Errorf("read bearer token: %w", err)
		}
	case l.OAuth2 != nil:
		t, err := l.source().Token()
		if err != nil {
			return nil, fmt.Errorf("get token: %w", withoutAnswer(err))
		}
		token = t.AccessToken
	default:
		return r, nil
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return r, nil
}

func readToken(path string) (string, error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	token := strings.TrimSpace(string(raw))
	switch {
	case err != nil:
		return "", err
	case len(raw) > maxToken:
		return "", fmt.Errorf("%s has more than %d bytes", path, maxToken)
	case token == "":
		return "", fmt.Errorf("%s is empty", path)
	}
	return token, nil
}

func (l *Login) source() oauth2.TokenSource {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tokens == nil {
		o := clientcredentials.Config{
			ClientID: l.OAuth2.ClientID, ClientSecret: l.OAuth2.ClientSecret,
			TokenURL: l.OAuth2.TokenURL, Scopes: l.OAuth2.Scopes,
		}
		l.tokens = o.TokenSource(context.WithValue(context.Background(), oauth2.HTTPClient, l.client))
	}
	return l.tokens
}

func (l *Login) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens = nil
}

// withoutAnswer leaves out what the token endpoint said, which may quote what
// it was told.
func withoutAnswer(err error) error {
	var e *oauth2.RetrieveError
	if errors.As(err, &e) && e.Response != nil {
		return errors.New("the token endpoint answered " + e.Response.Status)
	}
	return Cause(err)
}

// Cause leaves out the URL of a failed request, in which there may be a secret.
func Cause(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// ClientCertificate is how TLS gets the client certificate; nil without one.
func (l *Login) ClientCertificate() func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if l.Certificate == "" {
		return nil
	}
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		c, err := tls.LoadX509KeyPair(l.Certificate, l.Key)
		if err != nil {
			return nil, fmt.Errorf("read client certificate: %w", err)
		}
		return &c, nil
	}
}
