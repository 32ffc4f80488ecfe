// Package upstream is the server's end of an exchange.
package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// HTTP is a server that speaks Streamable HTTP. Its connections are pooled
// and kept alive. Many goroutines may use it at once.
type HTTP struct {
	URL    *url.URL
	Header http.Header              // of every request: the gateway's own credentials
	Files  map[string]func() string // more of them, by canonical name, with values that change
	Tokens *Tokens                  // Authorization; nil: none
	Limit  int                      // bytes of one message from the server
	// Transport carries the requests: no redirect is followed.
	Transport http.RoundTripper
}

// NewClient returns a client that follows no redirects.
func NewClient(t http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// NewTransport returns the transport that upstreams share. It asks for no
// compression, and waits that long for the head of an answer.
func NewTransport(wait time.Duration) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  wait,
		MaxResponseHeaderBytes: maxHeaders,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        90 * time.Second,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
}

const (
	maxHeaders = 64 << 10              // bytes of the head of an answer
	bodyTime   = 5 * time.Minute       // for the rest of an answer that is no stream
	drainTime  = time.Second           // for the rest of an answer that nobody reads
	idleTime   = 15 * time.Minute      // for the next event of a stream, or a sign of life
	lingerTime = 50 * time.Millisecond // for a stream to end after its response
)

// Send implements gateway.Upstream.
func (u *HTTP) Send(ctx context.Context, out *mcp.Outgoing) (*mcp.Answer, *mcp.Error) {
	resp, bad := u.do(ctx, u.URL, out)
	if bad != nil {
		return nil, bad
	}
	a, bad := u.answer(resp)
	if bad != nil || a.Events == nil {
		_ = resp.Body.Close()
	}
	return a, bad
}

// do sends a message to a URL of the server's, and once more with a new token if the server does not take
// one that was kept: it may have been revoked.
func (u *HTTP) do(ctx context.Context, to *url.URL, out *mcp.Outgoing) (*http.Response, *mcp.Error) {
	for again := false; ; again = true {
		r := u.request(ctx, to, out)
		var t *token
		if u.Tokens != nil {
			var bad *mcp.Error
			if t, bad = u.Tokens.get(ctx, out); bad != nil {
				return nil, bad
			}
			r.Header.Set("Authorization", "Bearer "+t.value)
		}
		resp, err := u.Transport.RoundTrip(r)
		switch {
		case err != nil:
			return nil, failure("the server is down", err)
		case resp.StatusCode != http.StatusUnauthorized || t == nil || again || !u.Tokens.renew(out, t):
			return resp, nil
		}
		_ = resp.Body.Close()
	}
}

func (u *HTTP) request(ctx context.Context, to *url.URL, out *mcp.Outgoing) *http.Request {
	h := make(http.Header, len(out.Header)+len(u.Header)+len(u.Files)+3)
	maps.Copy(h, out.Header)
	maps.Copy(h, u.Header)
	for name, value := range u.Files {
		h.Set(name, value())
	}
	h["Accept-Encoding"] = identity
	if h.Get("User-Agent") == "" {
		h.Set("User-Agent", "gatehouse")
	}
	r := (&http.Request{Method: out.Verb, URL: to, Host: to.Host, Header: h}).WithContext(ctx)
	if out.Verb == http.MethodPost {
		h["Content-Type"] = justJSON
		if h.Get("Accept") == "" {
			h.Set("Accept", "application/json, text/event-stream")
		}
		r.ContentLength = int64(len(out.Text))
		r.Body = io.NopCloser(strings.NewReader(out.Text))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(out.Text)), nil }
	}
	return r
}

var identity, justJSON = []string{"identity"}, []string{"application/json"}

// failure is what the client is told when no answer came, or not the whole.
func failure(message string, err error) *mcp.Error {
	var netErr net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout() {
		return mcp.Refuse(http.StatusGatewayTimeout, "the server is late", cause(err))
	}
	return mcp.Refuse(http.StatusBadGateway, message, cause(err))
}

// cause tells of an error what may be logged: not the URL, which may hold a
// secret, and nothing that the server sent.
func cause(err error) string {
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &op):
		return op.Error()
	case errors.As(err, &certificate):
		return certificate.Error()
	}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, io.ErrUnexpectedEOF, io.EOF} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "no valid HTTP"
}

func (u *HTTP) answer(resp *http.Response) (*mcp.Answer, *mcp.Error) {
	a := &mcp.Answer{Status: resp.StatusCode, Session: resp.Header.Get(mcp.HeaderSession)}
	if seconds := resp.Header.Get("Retry-After"); isSeconds(seconds) {
		a.Retry = seconds
	}
	media, bad := content(resp)
	switch {
	case bad != nil:
		return nil, bad
	case len(resp.Header.Values(mcp.HeaderSession)) > 1:
		return nil, malformed("it opens two sessions")
	case media == eventStream && resp.StatusCode == http.StatusOK:
		a.Events = newEvents(resp.Body, u.Limit)
	case media == "application/json":
		return u.read(a, resp)
	case resp.StatusCode == http.StatusOK && resp.ContentLength != 0 && resp.Request.Method == http.MethodPost:
		return nil, malformed("its content type is neither JSON nor events")
	default: // no message
		drain(resp)
	}
	return a, nil
}

const eventStream = "text/event-stream"

// content is the media type of an answer that can be read as it is, or empty.
func content(resp *http.Response) (string, *mcp.Error) {
	switch {
	case resp.StatusCode < http.StatusOK:
		return "", malformed("its status is not final")
	case isEncoded(resp.Header):
		return "", malformed("it is encoded")
	}
	media, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	charset := strings.ToLower(params["charset"])
	if err != nil || charset != "" && charset != "utf-8" || len(resp.Header.Values("Content-Type")) != 1 {
		return "", nil
	}
	return media, nil
}

// drain reads the rest of a short answer, so that its connection can be used
// again: a body that says nothing which the status does not.
func drain(resp *http.Response) {
	defer closeAfter(drainTime, resp.Body).Stop()
	_, _ = io.CopyN(io.Discard, resp.Body, 4096)
}

// closeAfter closes a body, and so ends whoever reads from it, unless it is stopped before.
func closeAfter(t time.Duration, body io.Closer) *time.Timer {
	return time.AfterFunc(t, func() { _ = body.Close() })
}

func malformed(cause string) *mcp.Error {
	return mcp.Refuse(http.StatusBadGateway, "the server's answer is malformed", cause)
}

// isEncoded reports whether a body needs decoding before it can be read.
func isEncoded(h http.Header) bool {
	return slices.ContainsFunc(h.Values("Content-Encoding"), func(coding string) bool {
		return coding != "" && !strings.EqualFold(coding, "identity")
	})
}

// isSeconds reports whether a Retry-After is a number of seconds. Its other form,
// a date, is not passed on, and nor is any text.
func isSeconds(s string) bool {
	_, err := strconv.ParseUint(s, 10, 31)
	return err == nil
}

func (u *HTTP) read(a *mcp.Answer, resp *http.Response) (*mcp.Answer, *mcp.Error) {
	tooLong := mcp.Refuse(http.StatusBadGateway, "the server's answer is too long", "")
	if resp.ContentLength > int64(u.Limit) {
		return nil, tooLong
	}
	late := closeAfter(bodyTime, resp.Body)
	text, err := mcp.ReadText(io.LimitReader(resp.Body, int64(u.Limit)+1), resp.ContentLength)
	switch ended := late.Stop(); {
	case err != nil && !ended:
		return nil, failure("the server's answer broke off", context.DeadlineExceeded)
	case err != nil:
		return nil, failure("the server's answer broke off", err)
	case len(text) > u.Limit:
		return nil, tooLong
	}
	a.Text = text
	return a, nil
}

// events are a stream over HTTP.
type events struct {
	r    *mcp.EventReader
	body io.ReadCloser
	idle *time.Timer // closes the body
}

func newEvents(body io.ReadCloser, limit int) *events {
	return &events{mcp.NewEventReader(body, limit), body, closeAfter(idleTime, body)}
}

// Next implements mcp.Events. A stream without even a sign of life ends with
// context.DeadlineExceeded.
func (e *events) Next() (mcp.Event, error) {
	e.idle.Reset(idleTime)
	ev, err := e.r.Next()
	if !e.idle.Stop() && err != nil {
		err = context.DeadlineExceeded
	}
	return ev, err
}

// Close ends the stream. One that is about to end by itself, as most are after
// their response, leaves its connection for the next request.
func (e *events) Close() error {
	e.idle.Stop()
	defer closeAfter(lingerTime, e.body).Stop()
	_, _ = io.CopyN(io.Discard, e.body, 4096)
	return e.body.Close()
}
