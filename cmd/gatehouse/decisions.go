package main

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gatehouse-mcp/gatehouse/internal/audit"
	"github.com/gatehouse-mcp/gatehouse/internal/config"
	"github.com/gatehouse-mcp/gatehouse/internal/login"
)

// decisionLogs is where decisions go in OPA's format, or nil.
func (a *core) decisionLogs(metrics prometheus.Registerer) (*audit.DecisionConfig, error) {
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
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	l := login.New(loginOf(c), &http.Client{Transport: transport.Clone(), Timeout: serviceTime, CheckRedirect: noRedirect})
	if certificate := l.ClientCertificate(); certificate != nil {
		if _, err := certificate(nil); err != nil {
			return nil, err
		}
		transport.TLSClientConfig.GetClientCertificate = certificate
	}
	return &http.Client{Transport: &authorized{transport, l}, Timeout: serviceTime, CheckRedirect: noRedirect}, nil
}

// authorized shows credentials with each request.
type authorized struct {
	http.RoundTripper
	login *login.Login
}

// RoundTrip implements http.RoundTripper.
func (a *authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	return a.login.Send(r, a.RoundTripper)
}
