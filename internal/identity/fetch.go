package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// maxDocument is the largest answer of an issuer that is read, in bytes.
const maxDocument = 1 << 20

// newClient returns a client for issuers. It follows no redirects.
func newClient() *http.Client {
	return &http.Client{
		Timeout: patience,
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: patience}).DialContext,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    maxCalls,
			IdleConnTimeout:        time.Minute,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ask sends a request and returns the body of its answer. An error quotes
// nothing of either.
func ask(client *http.Client, r *http.Request) ([]byte, error) {
	r.Header.Set("Accept", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", r.URL.Host, errors.Unwrap(err))
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("ask %s: status %d at %s", r.URL.Host, resp.StatusCode, r.URL.Path)
	case err != nil:
		return nil, fmt.Errorf("ask %s: the answer broke off", r.URL.Host)
	case len(text) > maxDocument:
		return nil, fmt.Errorf("ask %s: the answer is too long", r.URL.Host)
	}
	return text, nil
}

// A source is where the keys of an issuer come from.
type source struct {
	client *http.Client
	issuer string
	url    string // of the key set, if it is configured
	found  string // of the key set, once the issuer's metadata told
}

// fetch fetches the keys. One goroutine at a time may use it.
func (s *source) fetch(ctx context.Context) ([]key, error) {
	at := s.url
	if at == "" {
		if err := s.discover(ctx); err != nil {
			return nil, err
		}
		at = s.found
	}
	text, err := s.get(ctx, at)
	if err != nil {
		s.found = "" // it may have moved
		return nil, err
	}
	return parseKeys(text)
}

func (s *source) get(ctx context.Context, at string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	return ask(s.client, r)
}

// discover finds the key set by the issuer's metadata: of RFC 8414, or of OpenID
// Connect in its two places.
func (s *source) discover(ctx context.Context) error {
	if s.found != "" {
		return nil
	}
	var failed error
	for _, at := range wellKnown(s.issuer) {
		text, err := s.get(ctx, at)
		if err != nil {
			failed = err
			continue
		}
		metadata, err := object(text)
		if err != nil {
			failed = fmt.Errorf("metadata of the issuer: %w", err)
			continue
		}
		uri, _ := metadata["jwks_uri"].(string)
		switch {
		case metadata["issuer"] != s.issuer: // whoever could answer for it could be it
			return errors.New("metadata of the issuer: they are of another")
		case !Secure(uri):
			return errors.New("metadata of the issuer: jwks_uri is not an https URL")
		}
		s.found = uri
		return nil
	}
	return failed
}

// wellKnown are the places of an issuer's metadata, in order.
func wellKnown(issuer string) []string {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	host := u.Scheme + "://" + u.Host
	all := []string{
		host + "/.well-known/oauth-authorization-server" + path,
		host + "/.well-known/openid-configuration" + path,
	}
	if path != "" {
		all = append(all, host+path+"/.well-known/openid-configuration")
	}
	return all
}

// Secure reports whether what a URL answers can be believed: it is https, or
// http to this machine.
func Secure(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || err == nil && addr.IsLoopback())
}
