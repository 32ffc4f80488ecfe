package policy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/login"
)

const (
	headTime  = 30 * time.Second // for a server to begin its answer
	fetchTime = 2 * time.Minute  // for the whole answer

	// bundleType is the content type by which a server says that it can hold
	// its answer back until there is something new.
	bundleType = "application/vnd.openpolicyagent.bundles"
)

// A web fetches over HTTP: from the bundle's own server with its credentials
// and authorities, from others without. It follows no redirect.
type web struct {
	client *http.Client
	origin string // of the bundle's server
	ca     string // file
	login  *login.Login
	wait   time.Duration // the longest that the server may hold an answer back
	waits  bool          // that it does

	pem        []byte // of ca, as in use
	own, other *http.Transport
}

func newWeb(cfg *Config) *web {
	w := &web{origin: originOf(cfg.Bundle), ca: cfg.CA, wait: cfg.LongPoll}
	w.client = &http.Client{Transport: w, Timeout: fetchTime + cfg.LongPoll, CheckRedirect: noRedirect}
	w.login = login.New(cfg.Credentials, &http.Client{
		Transport: stranger{w}, Timeout: headTime, CheckRedirect: noRedirect,
	})
	return w
}

func noRedirect(*http.Request, []*http.Request) error {
	return errors.New("redirects are not followed")
}

// A request is what is special about one GET.
type request struct {
	etag  string        // of what is known
	wait  time.Duration // how long the answer may be held back while that is the newest
	limit int64         // of the answer, in bytes

	bundle bool // it is for the bundle, whose server may hold answers back
}

// get fetches a URL, unless it still has the etag. It returns the new one.
func (w *web) get(ctx context.Context, place string, r request) ([]byte, string, error) {
	if err := w.refresh(); err != nil {
		return nil, "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, place, nil)
	if err != nil {
		return nil, "", login.Cause(err)
	}
	if r.etag != "" {
		req.Header.Set("If-None-Match", r.etag)
		if r.wait > 0 && w.waits {
			req.Header.Set("Prefer", "modes=snapshot;wait="+strconv.Itoa(int(r.wait/time.Second)))
		}
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, "", fmt.Errorf("GET %s: %w", redact(req), login.Cause(err))
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK:
		if r.bundle {
			w.waits = w.wait > 0 && resp.Header.Get("Content-Type") == bundleType
		}
		raw, err := readAll(resp.Body, r.limit)
		return raw, resp.Header.Get("ETag"), err
	case http.StatusNotModified:
		if r.etag != "" {
			return nil, "", errUnchanged
		}
	}
	return nil, "", fmt.Errorf("GET %s: %s", redact(req), resp.Status)
}

// RoundTrip implements http.RoundTripper. Whatever is asked of it, credentials
// go to the bundle's own server only.
func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	if originOf(r.URL.String()) != w.origin {
		return w.other.RoundTrip(r)
	}
	return w.login.Send(r, w.own)
}

// A stranger sends without credentials to any server.
type stranger struct{ w *web }

// RoundTrip implements http.RoundTripper.
func (s stranger) RoundTrip(r *http.Request) (*http.Response, error) { return s.w.other.RoundTrip(r) }

// refresh reads the authorities anew. The bundle's server is believed for them
// alone, others for them or the system's.
func (w *web) refresh() error {
	var pem []byte
	if w.ca != "" {
		var err error
		if pem, err = readFile(w.ca, 1<<20); err != nil {
			return fmt.Errorf("read ca: %w", err)
		}
	}
	if w.own != nil && bytes.Equal(pem, w.pem) {
		return nil
	}
	own, other := &tls.Config{MinVersion: tls.VersionTLS12}, &tls.Config{MinVersion: tls.VersionTLS12}
	if w.ca != "" {
		own.RootCAs = x509.NewCertPool()
		if !own.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("read ca: %s holds no certificate in PEM", w.ca)
		}
		if all, err := x509.SystemCertPool(); err == nil {
			all.AppendCertsFromPEM(pem)
			other.RootCAs = all
		}
	}
	own.GetClientCertificate = w.login.ClientCertificate()
	w.close()
	w.pem, w.own, w.other = pem, w.transport(own), w.transport(other)
	return nil
}

func (w *web) transport(c *tls.Config) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = c
	t.ResponseHeaderTimeout = headTime + w.wait
	t.DisableCompression = true // the digest is of the bytes as they are
	return t
}

func (w *web) close() {
	if w.own != nil {
		w.own.CloseIdleConnections()
		w.other.CloseIdleConnections()
	}
}

// originOf is the scheme, host and port that a URL is sent to. The origin of an
// OCI reference is that of its registry.
func originOf(place string) string {
	place = strings.Replace(place, ociScheme, "https://", 1)
	u, err := url.Parse(place)
	if err != nil || u.Host == "" {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

func redact(req *http.Request) string { return req.URL.Scheme + "://" + req.URL.Host + req.URL.Path }
