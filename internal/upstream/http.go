// Package upstream is the server's end of an exchange.
package upstream

import (
	"context"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// HTTP is a server that speaks Streamable HTTP. Its connections are pooled
// and kept alive. Many goroutines may use it at once.
type HTTP struct {
	URL    *url.URL
	Header http.Header // of every request: the gateway's own credentials
	Limit  int         // bytes of one message from the server
	Client *http.Client
}

// NewClient returns the client that upstreams share. It follows no redirects,
// asks for no compression, and waits that long for the head of an answer.
func NewClient(wait time.Duration) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: wait,
			MaxIdleConnsPerHost:   256,
			IdleConnTimeout:       90 * time.Second,
			DisableCompression:    true,
			ForceAttemptHTTP2:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Send implements gateway.Upstream.
func (u *HTTP) Send(ctx context.Context, out *mcp.Outgoing) (*mcp.Answer, *mcp.Error) {
	ctx, cancel := context.WithCancel(ctx)
	resp, err := u.Client.Do(u.request(ctx, out))
	if err != nil {
		cancel()
		return nil, failure(err)
	}
	a, bad := u.answer(resp, cancel)
	if bad != nil || a.Events == nil {
		_ = resp.Body.Close()
		cancel()
	}
	return a, bad
}

func (u *HTTP) request(ctx context.Context, out *mcp.Outgoing) *http.Request {
	h := out.Header.Clone()
	for name, values := range u.Header {
		h[name] = values
	}
	h.Set("Accept-Encoding", "identity")
	if h.Get("User-Agent") == "" {
		h.Set("User-Agent", "gatehouse")
	}
	r := (&http.Request{Method: out.Verb, URL: u.URL, Host: u.URL.Host, Header: h}).WithContext(ctx)
	if out.Verb == http.MethodPost {
		h.Set("Content-Type", "application/json")
		if h.Get("Accept") == "" {
			h.Set("Accept", "application/json, text/event-stream")
		}
		r.ContentLength = int64(len(out.Text))
		r.Body = io.NopCloser(strings.NewReader(out.Text))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(out.Text)), nil }
	}
	return r
}

// failure is what the client is told when no answer came.
func failure(err error) *mcp.Error {
	var netErr net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout() {
		return mcp.Refuse(http.StatusGatewayTimeout, "the server is late", err.Error())
	}
	return mcp.Refuse(http.StatusBadGateway, "the server is down", err.Error())
}

func (u *HTTP) answer(resp *http.Response, cancel context.CancelFunc) (*mcp.Answer, *mcp.Error) {
	a := &mcp.Answer{
		Status: resp.StatusCode, Session: resp.Header.Get(mcp.HeaderSession), Retry: resp.Header.Get("Retry-After"),
	}
	if resp.Header.Get("Content-Encoding") != "" {
		return nil, mcp.Refuse(http.StatusBadGateway, "the server's answer is malformed", "it is encoded")
	}
	media, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	charset := strings.ToLower(params["charset"])
	readable := err == nil && (charset == "" || charset == "utf-8") && len(resp.Header.Values("Content-Type")) == 1
	switch {
	case readable && media == "text/event-stream" && resp.StatusCode == http.StatusOK:
		a.Events = &events{mcp.NewEventReader(resp.Body, u.Limit), resp.Body, cancel}
	case readable && media == "application/json":
		return u.read(a, resp.Body)
	case resp.StatusCode == http.StatusOK && resp.ContentLength != 0 && resp.Request.Method == http.MethodPost:
		return nil, mcp.Refuse(http.StatusBadGateway, "the server's answer is malformed", "its content type is neither JSON nor events")
	default: // no message; the body says nothing that the status does not
		_, _ = io.CopyN(io.Discard, resp.Body, 4096)
	}
	return a, nil
}

func (u *HTTP) read(a *mcp.Answer, body io.Reader) (*mcp.Answer, *mcp.Error) {
	raw, err := io.ReadAll(io.LimitReader(body, int64(u.Limit)+1))
	switch {
	case err != nil && os.IsTimeout(err):
		return nil, mcp.Refuse(http.StatusGatewayTimeout, "the server is late", err.Error())
	case err != nil:
		return nil, mcp.Refuse(http.StatusBadGateway, "the server's answer broke off", err.Error())
	case len(raw) > u.Limit:
		return nil, mcp.Refuse(http.StatusBadGateway, "the server's answer is too long", "")
	}
	a.Text = string(raw)
	return a, nil
}

// events are a stream over HTTP.
type events struct {
	r      *mcp.EventReader
	body   io.Closer
	cancel context.CancelFunc
}

func (e *events) Next() (mcp.Event, error) { return e.r.Next() }

// Close aborts the request, so that the connection does not wait for the rest.
func (e *events) Close() error {
	e.cancel()
	return e.body.Close()
}
