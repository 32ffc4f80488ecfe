package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
	"github.com/gatehouse-mcp/gatehouse/internal/config"
)

// decisionLogs is where decisions go in OPA's format, or nil.
func (a *app) decisionLogs(metrics prometheus.Registerer) (*audit.DecisionConfig, error) {
	c := &a.cfg.Audit.DecisionLogs
	if c.URL == nil && !c.Console {
		return nil, nil
	}
	client, err := serviceClient(&c.Credentials, c.CA)
	if err != nil {
		return nil, fmt.Errorf("audit.decisionLogs: %w", err)
	}
	return &audit.DecisionConfig{
		URL: c.URL, Client: client, Console: c.Console, Buffer: c.BufferBytes, Min: c.Delay.Min, Max: c.Delay.Max,
		Path:   a.cfg.Policy.Decision,
		Labels: map[string]string{"app": "gatehouse", "id": rand.Text(), "version": version},
		Policy: a.engine.Pin, Log: a.log, Metrics: metrics,
	}, nil
}

// serviceTime bounds one request to a service.
const serviceTime = 30 * time.Second

// serviceClient is a client that shows the credentials to a service. It
// follows no redirect, so that they go nowhere else.
func serviceClient(c *config.Credentials, ca string) (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		text, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("read ca: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read ca: %s has no certificate", ca)
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	if cert := c.Certificate; cert != nil {
		load := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { // anew, since it will be renewed
			pair, err := tls.LoadX509KeyPair(cert.Certificate, cert.Key)
			return &pair, err
		}
		if _, err := load(nil); err != nil {
			return nil, fmt.Errorf("read client certificate: %w", err)
		}
		transport.TLSClientConfig.GetClientCertificate = load
	}
	client := &http.Client{
		Transport:     &authorized{transport, c},
		Timeout:       serviceTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if o := c.OAuth2; o != nil {
		grant := clientcredentials.Config{ClientID: o.ClientID, ClientSecret: string(o.ClientSecret), TokenURL: o.TokenURL.String(), Scopes: o.Scopes}
		base := &http.Client{Transport: transport, Timeout: serviceTime, CheckRedirect: client.CheckRedirect}
		client.Transport = grant.Client(context.WithValue(context.Background(), oauth2.HTTPClient, base)).Transport
	}
	return client, nil
}

// authorized adds a bearer token, or a name and a password.
type authorized struct {
	http.RoundTripper
	*config.Credentials
}

// RoundTrip implements http.RoundTripper.
func (a *authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	token := string(a.Bearer)
	if a.BearerFile != "" {
		text, err := os.ReadFile(a.BearerFile) // anew, since it will be renewed
		if err != nil {
			return nil, fmt.Errorf("read token: %w", err)
		}
		token = strings.TrimSpace(string(text))
	}
	switch {
	case token != "":
		r.Header.Set("Authorization", "Bearer "+token)
	case a.Basic != nil:
		r.SetBasicAuth(a.Basic.Username, string(a.Basic.Password))
	}
	return a.RoundTripper.RoundTrip(r)
}
