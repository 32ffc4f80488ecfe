// Package listen is the client's end of an exchange.
package listen

import (
	"context"
	"errors"
	"maps"
	"mime"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// A Gateway carries the messages that arrive.
type Gateway interface {
	Serve(ctx context.Context, x *gateway.Exchange, reply gateway.Reply)
	Reject(x *gateway.Exchange, bad *mcp.Error, reply gateway.Reply)
}

// HTTP serves MCP over Streamable HTTP.
type HTTP struct {
	Gateway  Gateway
	Identity *identity.Identifier
	OAuth    *OAuth // nil: no tokens are accepted
	Origins  *Origins
	Limit    int64  // bytes of one message
	Only     string // the server at /mcp, if there is only one
}

// ServeHTTP receives one request, as far as it can be told without its message
// who asks what of which server.
func (h *HTTP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if len(r.TransferEncoding) > 0 {
		// There may have been a Content-Length as well, which net/http hides. What
		// a proxy took for the rest of that body must not become a request.
		w.Header().Set("Connection", "close")
	}
	bad := h.Origins.check(r)
	if bad == nil && h.Origins.allow(w.Header(), r) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if bad == nil && h.OAuth.serveMetadata(w, r, h.Only) {
		return
	}
	reply := &httpReply{w: w, c: http.NewResponseController(w)}
	x := &gateway.Exchange{Transport: "http", Verb: r.Method, Header: r.Header, RequestIP: r.RemoteAddr}
	if bad == nil {
		bad = h.receive(x, r, reply)
	}
	if bad != nil {
		if bad.Status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", "POST, GET, DELETE")
		}
		if r.ContentLength != 0 && x.Text == "" {
			w.Header().Set("Connection", "close") // rather than read a body that nobody wants
		}
		h.Gateway.Reject(x, bad, reply)
		return
	}
	// The whole request is here. The limit on its time would else end the answer.
	_ = reply.c.SetReadDeadline(time.Time{})
	h.Gateway.Serve(r.Context(), x, reply)
}

func (h *HTTP) receive(x *gateway.Exchange, r *http.Request, reply *httpReply) *mcp.Error {
	if bad := h.dropConnectionNamed(r.Header); bad != nil {
		return bad
	}
	r.Header.Set("Host", r.Host)
	server, known := h.server(r)
	if bad := h.identify(x, r, server, reply); bad != nil {
		return bad
	}
	if x.Server = server; !known {
		return mcp.Refuse(http.StatusNotFound, "not found", "no such path")
	}
	if scopes := h.OAuth.missing(x.Caller, server); scopes != nil {
		reply.challenge = h.OAuth.challenge(r, server, "insufficient_scope")
		x.Refused = mcp.Refuse(http.StatusForbidden, "insufficient_scope", "the token lacks a scope that the server needs")
		x.Refused.Reason = strings.Join(scopes, " ")
	}
	switch r.Method {
	case http.MethodPost:
		return h.readMessage(x, r)
	case http.MethodGet, http.MethodDelete:
		if r.ContentLength != 0 {
			return mcp.Refuse(http.StatusBadRequest, "invalid request", "a body with "+r.Method)
		}
		return nil
	}
	return mcp.Refuse(http.StatusMethodNotAllowed, "method not allowed", "")
}

// identify finds out who calls, and prepares the challenge for who does not say.
func (h *HTTP) identify(x *gateway.Exchange, r *http.Request, server string, reply *httpReply) *mcp.Error {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return mcp.Refuse(http.StatusBadRequest, "invalid request", "no peer address")
	}
	asked := &identity.Request{Header: r.Header, Peer: peer.Addr(), Server: server}
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		asked.Certificate = r.TLS.VerifiedChains[0][0]
	}
	caller, from, err := h.Identity.Identify(r.Context(), asked)
	x.RequestIP = from.String()
	if err == nil && caller.Auth == identity.AuthAnonymous && h.OAuth.scoped(server) {
		err = identity.ErrNoCredentials // a token may be what is missing
	}
	switch {
	case errors.Is(err, identity.ErrUnavailable):
		return mcp.Refuse(http.StatusServiceUnavailable, "unavailable", err.Error())
	case errors.Is(err, identity.ErrNoCredentials):
		reply.challenge = h.OAuth.challenge(r, server, "")
		return mcp.Refuse(http.StatusUnauthorized, "unauthorized", err.Error())
	case err != nil:
		reply.challenge = h.OAuth.challenge(r, server, "invalid_token")
		return mcp.Refuse(http.StatusUnauthorized, "unauthorized", err.Error())
	}
	x.Caller = caller
	return nil
}

// nameCharacters are those of server names.
const nameCharacters = "abcdefghijklmnopqrstuvwxyz0123456789-"

// server is the server that a path names. Paths are compared as they were
// sent: one that would have to be cleaned or decoded first names none, and nor
// does a URL of another host.
func (h *HTTP) server(r *http.Request) (string, bool) {
	if r.URL.Host != "" {
		return "", false
	}
	path := r.URL.EscapedPath()
	if path == "/mcp" {
		return h.Only, h.Only != ""
	}
	return serverOf(path)
}

// serverOf is the name in /servers/{name}/mcp.
func serverOf(path string) (string, bool) {
	name, ok := strings.CutPrefix(path, "/servers/")
	if !ok {
		return "", false
	}
	name, ok = strings.CutSuffix(name, "/mcp")
	if !ok || name == "" || strings.Trim(name, nameCharacters) != "" {
		return "", false
	}
	return name, true
}

func (h *HTTP) readMessage(x *gateway.Exchange, r *http.Request) *mcp.Error {
	if types := r.Header["Content-Type"]; len(types) != 1 || !isJSON(types[0]) {
		return mcp.Refuse(http.StatusUnsupportedMediaType, "unsupported media type", "not plain application/json")
	}
	if len(r.Header.Values("Content-Encoding")) > 0 {
		return mcp.Refuse(http.StatusUnsupportedMediaType, "unsupported media type", "the body is encoded")
	}
	if r.ContentLength > h.Limit {
		return mcp.Refuse(http.StatusRequestEntityTooLarge, "message too large", "")
	}
	text, err := mcp.ReadText(http.MaxBytesReader(nil, r.Body, h.Limit), r.ContentLength)
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return mcp.Refuse(http.StatusRequestEntityTooLarge, "message too large", "")
	case err != nil:
		return mcp.Refuse(http.StatusBadRequest, "invalid request", "the body broke off")
	case len(r.Trailer) > 0:
		return mcp.Refuse(http.StatusBadRequest, "invalid request", "trailers")
	}
	x.Text = text
	return nil
}

// isJSON reports whether a media type is that of JSON, in UTF-8 if it says so.
func isJSON(text string) bool {
	const plain = "application/json"
	if text == plain {
		return true
	}
	media, params, err := mime.ParseMediaType(text)
	charset, stated := params["charset"]
	return err == nil && media == plain && (len(params) == 0 || len(params) == 1 && stated && strings.EqualFold(charset, "utf-8"))
}

// dropConnectionNamed deletes the headers that Connection names: they are for
// this hop alone. One that the gateway goes by never is. Behind a proxy that
// hands on Connection a client could else take away what the proxy says of it.
func (h *HTTP) dropConnectionNamed(header http.Header) *mcp.Error {
	for _, names := range header.Values("Connection") {
		for name := range strings.SplitSeq(names, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if strings.HasPrefix(name, "Mcp") || strings.HasPrefix(name, "X-Forwarded-") || endToEnd[name] || h.Identity.Reads(name) {
				return mcp.Refuse(http.StatusBadRequest, "invalid request", "Connection names a header of more than one hop")
			}
			header.Del(name)
		}
	}
	return nil
}

// endToEnd are headers that the gateway goes by, beside those of the protocol
// and those that tell who calls.
var endToEnd = map[string]bool{
	"Content-Encoding": true, "Content-Length": true, "Content-Type": true, "Host": true, "Origin": true,
}

// httpReply answers one HTTP request.
type httpReply struct {
	w http.ResponseWriter
	c *http.ResponseController
	// challenge says how to get in: with 401, and with the 403 that more scope would cure.
	challenge string
}

// writeTime is how long a client may leave what it is sent unread.
const writeTime = 30 * time.Second

func (r *httpReply) head(a *mcp.Answer, contentType string) {
	h := r.w.Header()
	if contentType != "" {
		h.Set("Content-Type", contentType)
	}
	if a.Session != "" {
		h.Set(mcp.HeaderSession, a.Session)
	}
	if a.Retry != "" {
		h.Set("Retry-After", a.Retry)
	}
	if r.challenge != "" && (a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden) {
		h.Set("WWW-Authenticate", r.challenge)
	}
	maps.Copy(h, always)
	r.allowTime()
	r.w.WriteHeader(a.Status)
}

// always are headers of each answer.
var always = http.Header{"Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}}

// allowTime gives the client some time to read what is written next.
func (r *httpReply) allowTime() { _ = r.c.SetWriteDeadline(time.Now().Add(writeTime)) }

// Answer implements gateway.Reply.
func (r *httpReply) Answer(a *mcp.Answer) error {
	if a.Text == "" {
		r.head(a, "")
		return nil
	}
	r.w.Header().Set("Content-Length", strconv.Itoa(len(a.Text)))
	r.head(a, "application/json")
	return r.write(a.Text)
}

// write writes a text without a copy of it, which net/http makes of a string.
func (r *httpReply) write(text string) error {
	_, err := r.w.Write(mcp.Bytes(text))
	return err
}

// Event implements gateway.Reply: a fresh event of one line of data, whatever
// the event that it came in looked like.
func (r *httpReply) Event(a *mcp.Answer, ev mcp.Event) error {
	if r.w.Header().Get("Content-Type") == "" {
		r.w.Header().Set("X-Accel-Buffering", "no")
		r.head(&mcp.Answer{Status: http.StatusOK, Session: a.Session}, "text/event-stream")
	} else {
		r.allowTime()
	}
	parts := [...]string{":", " ", "\n\n"}
	switch {
	case ev.Data != "":
		parts = [...]string{"event: message\ndata: ", mcp.OneLine(ev.Data), "\n\n"}
	case ev.Retry != "":
		parts = [...]string{"retry: ", ev.Retry, "\n\n"}
	}
	for _, text := range parts {
		if err := r.write(text); err != nil {
			return err
		}
	}
	return r.c.Flush()
}
