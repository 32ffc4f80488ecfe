package policy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Credentials are what a bundle server wants to see. At most one kind is set:
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

// A login puts credentials onto requests.
type login struct {
	Credentials
	client *http.Client // for the token endpoint

	mu     sync.Mutex
	tokens oauth2.TokenSource // nil: none yet
}

func newLogin(c Credentials, client *http.Client) *login {
	return &login{Credentials: c, client: client}
}

// onto returns the request with credentials, unless it has some: a registry
// hands out tokens of its own.
func (l *login) onto(r *http.Request) (*http.Request, error) {
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
		raw, err := readFile(l.BearerFile, 64<<10)
		if err != nil {
			return nil, fmt.Errorf("read bearer token: %w", err)
		}
		if token = strings.TrimSpace(string(raw)); token == "" {
			return nil, fmt.Errorf("read bearer token: %s is empty", l.BearerFile)
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

func (l *login) source() oauth2.TokenSource {
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

// forget drops a token that the server refuses.
func (l *login) forget() {
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
	return cause(err)
}

// certificate is how TLS gets the client certificate; nil without one.
func (l *login) certificate() func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
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
