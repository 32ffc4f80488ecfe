package upstream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

const (
	endpointTime = 30 * time.Second // for a server to say where messages go
	postTime     = 30 * time.Second // for it to take one
)

// OpenSSE opens a channel to a server that speaks HTTP+SSE, the transport of
// revision 2024-11-05, at the URL: a stream of the server's messages, whose first
// event is the URL that takes the client's. The error is a *mcp.Error.
func (u *HTTP) OpenSSE(ctx context.Context, out *mcp.Outgoing) (Channel, error) {
	// The channel outlives the exchange that opens it.
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, cancel)()
	late := time.AfterFunc(endpointTime, cancel)
	h := http.Header{}
	for _, name := range []string{"User-Agent", "Accept-Language"} { // the rest is about one message
		if values := out.Header.Values(name); len(values) > 0 {
			h[name] = values
		}
	}
	c := &sse{u: u, ctx: life, cancel: cancel, out: mcp.Outgoing{Header: h, Principal: out.Principal, Token: out.Token}}
	bad := c.open()
	if !late.Stop() {
		bad = failure("", context.DeadlineExceeded)
	}
	if bad != nil {
		_ = c.Close()
		return nil, bad
	}
	return c, nil
}

// An sse is a channel over HTTP+SSE.
type sse struct {
	u      *HTTP
	ctx    context.Context
	cancel context.CancelFunc
	out    mcp.Outgoing // what every request has
	body   io.ReadCloser
	events *mcp.EventReader
	to     *url.URL
}

func (c *sse) open() *mcp.Error {
	out := c.out
	out.Verb, out.Header = http.MethodGet, c.out.Header.Clone()
	out.Header.Set("Accept", eventStream)
	resp, bad := c.u.do(c.ctx, c.u.URL, &out)
	if bad != nil {
		return bad
	}
	if bad = c.read(resp); bad != nil {
		_ = resp.Body.Close()
	}
	return bad
}

// read reads the beginning of the stream.
func (c *sse) read(resp *http.Response) *mcp.Error {
	media, bad := content(resp)
	switch {
	case bad != nil:
		return bad
	case resp.StatusCode != http.StatusOK:
		return mcp.Refuse(http.StatusBadGateway, "the server is down", "it answered "+http.StatusText(resp.StatusCode))
	case media != eventStream:
		return malformed("it is no stream of events")
	}
	c.body, c.events = resp.Body, mcp.NewEventReader(resp.Body, c.u.Limit)
	return c.begin()
}

// begin waits for the first event.
func (c *sse) begin() *mcp.Error {
	for {
		ev, err := c.events.Next()
		switch {
		case err != nil:
			return failure("the server gave no endpoint", err)
		case ev.Data == "":
			continue
		case ev.Name != "endpoint":
			return malformed("its first event is no endpoint")
		}
		to, err := c.u.URL.Parse(ev.Data)
		if err != nil || !sameOrigin(to, c.u.URL) {
			return malformed("its endpoint is not of its own origin")
		}
		to.Fragment = ""
		c.to = to
		return nil
	}
}

// sameOrigin reports whether two URLs lead to the same server. Elsewhere the
// gateway's credentials, and the caller's messages, have nothing to seek.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b) && a.User == nil
}

func port(u *url.URL) string {
	if u.Port() != "" {
		return u.Port()
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

// Read implements Channel.
func (c *sse) Read() (string, error) {
	for {
		ev, err := c.events.Next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, mcp.ErrTooLong):
			return "", err
		case err != nil:
			return "", errors.New("the stream broke: " + cause(err))
		case ev.Name == "endpoint":
			return "", errors.New("it names a second endpoint")
		case ev.Data != "" && (ev.Name == "" || ev.Name == "message"):
			return ev.Data, nil
		}
	}
}

// Write implements Channel. The server takes a message by its status alone.
func (c *sse) Write(text string) error {
	ctx, cancel := context.WithTimeout(c.ctx, postTime)
	defer cancel()
	out := c.out
	out.Verb, out.Text = http.MethodPost, text
	resp, bad := c.u.do(ctx, c.to, &out)
	if bad != nil {
		return bad
	}
	defer func() { _ = resp.Body.Close() }()
	drain(resp)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return mcp.Refuse(http.StatusBadGateway, "the server did not take the message", "it answered "+http.StatusText(resp.StatusCode))
	}
	return nil
}

// Close implements Channel.
func (c *sse) Close() error {
	c.cancel()
	if c.body == nil {
		return nil
	}
	return c.body.Close()
}
