package bridge

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// initialize opens a legacy client's session: at the server, or at the bridge if the server is modern.
func (b *Bridge) initialize(ctx context.Context, out *mcp.Outgoing, m *mcp.Message) (*mcp.Answer, *mcp.Error) {
	var refusal *mcp.Answer
	if b.refuses.Load() != legacy {
		a, bad := b.inner.Send(ctx, out)
		if bad != nil {
			return nil, bad
		}
		if !refusesInitialize(a) {
			if strings.HasPrefix(a.Session, tokenPrefix) {
				a.Close()
				return nil, mcp.Refuse(http.StatusBadGateway, "the server's answer is malformed", "it gives a session id of the bridge's")
			}
			return a, nil
		}
		refusal = a
	}
	info := m.Params.Get("clientInfo").Text()
	if info == "" {
		info = unknownClient
	}
	result, err := b.discover(ctx, out, info, featuresOf(m.Params.Get("capabilities")))
	switch {
	case err == nil:
		if refusal != nil {
			refusal.Close()
		}
		if !b.knowsInitialize(ctx, out) {
			b.refuses.Store(legacy)
		}
		return open(m, result), nil
	case refusal != nil:
		return refusal, nil
	}
	b.refuses.Store(none) // it changed, or is down
	return b.inner.Send(ctx, out)
}

// knowsInitialize asks a server that refused a client's initialize with one of the bridge's own: the client's
// may have been refused for what it is, and others' will not be.
func (b *Bridge) knowsInitialize(ctx context.Context, out *mcp.Outgoing) bool {
	if b.refuses.Load() == legacy {
		return false
	}
	k := newSession(b, "", out)
	k.connect(ctx, out, "{}", unknownClient)
	return !k.refused
}

// A notDiscovered is why server/discover told nothing, and what that says of the server, if anything.
type notDiscovered struct{ modern, legacy bool }

// discover asks a server what it is.
func (b *Bridge) discover(ctx context.Context, out *mcp.Outgoing, info, features string) (mcp.Value, *notDiscovered) {
	const id = `"gatehouse-discover"`
	ctx, cancel := context.WithTimeout(ctx, b.limits.open)
	defer cancel()
	meta := with(mcp.Value{}, metaVersion, quote(mcp.Modern), metaClient, info, metaCapabilities, features)
	a, bad := b.inner.Send(ctx, modernOut(out, "server/discover", "", requestText(id, "server/discover", `{"_meta":`+meta+`}`)))
	if bad != nil {
		return mcp.Value{}, &notDiscovered{}
	}
	if refusesModern("server/discover", a) {
		a.Close()
		return mcp.Value{}, &notDiscovered{legacy: true}
	}
	m, _ := response(a, id)
	switch {
	case m == nil:
		return mcp.Value{}, &notDiscovered{}
	case m.Error.Exists():
		code := codeOf(m)
		return mcp.Value{}, &notDiscovered{modern: code <= codeFirstReserved && code >= codeLastReserved}
	case !hasModern(m.Result.Get("supportedVersions")):
		return mcp.Value{}, &notDiscovered{}
	}
	return m.Result, nil
}

// modernOut is what is sent to a modern server on behalf of a client's message.
func modernOut(out *mcp.Outgoing, method, target, text string) *mcp.Outgoing {
	h := http.Header{}
	for name, values := range out.Header {
		params := strings.HasPrefix(name, mcp.HeaderParam) && method != "tools/call"
		if name != mcp.HeaderSession && name != mcp.HeaderName && !params {
			h[name] = values
		}
	}
	h.Set("Accept", "application/json, text/event-stream")
	h.Set(mcp.HeaderVersion, mcp.Modern)
	h.Set(mcp.HeaderMethod, method)
	if target != "" {
		h.Set(mcp.HeaderName, mcp.EncodeHeader(target))
	}
	return &mcp.Outgoing{Verb: http.MethodPost, Header: h, Text: text, Principal: out.Principal, Token: out.Token}
}

// open answers initialize with what a modern server told of itself.
func open(m *mcp.Message, discovered mcp.Value) *mcp.Answer {
	version := m.Params.Get("protocolVersion").String()
	if !slices.Contains(legacyVersions, version) {
		version = newestLegacy
	}
	info := discovered.Get("_meta").Get(metaServer)
	server := `{"name":"unknown","version":"0"}`
	if info.Get("name").IsString() && info.Get("version").IsString() {
		server = info.Text()
	}
	capabilities := "{}"
	if c := discovered.Get("capabilities"); c.IsObject() {
		capabilities = with(c, "extensions", "")
	}
	result := with(mcp.Value{}, "protocolVersion", quote(version), "capabilities", capabilities,
		"serverInfo", server, "instructions", discovered.Get("instructions").Text())
	a := answered(resultText(m.ID.Text(), result))
	a.Session = newToken(version, m.Params)
	return a
}

var legacyVersions = mcp.Versions[1:]

// toModern has a modern server serve what a legacy client sends in a session of the bridge's own.
func (b *Bridge) toModern(ctx context.Context, out *mcp.Outgoing, token string) (*mcp.Answer, *mcp.Error) {
	c := b.clients.find(token, out.Principal)
	if c == nil {
		return &mcp.Answer{Status: http.StatusNotFound}, nil
	}
	switch out.Verb {
	case http.MethodGet:
		return b.stream(ctx, out, c)
	case http.MethodDelete:
		b.clients.forget(c)
		return &mcp.Answer{Status: http.StatusOK}, nil
	}
	m, bad := mcp.ParseClient(out.Text)
	switch {
	case bad != nil:
		return nil, bad
	case m.IsResponse():
		return c.answer(m), nil
	case m.IsNotification():
		if m.Method == "notifications/cancelled" {
			c.cancelCall(m.Params.Get("requestId"))
		}
		return &mcp.Answer{Status: http.StatusAccepted}, nil
	}
	id := m.ID.Text()
	switch m.Method {
	case "initialize":
		return b.initialize(ctx, out, m)
	case "ping":
		return answered(resultText(id, "{}")), nil
	case "logging/setLevel":
		return c.setLevel(m), nil
	case "resources/subscribe", "resources/unsubscribe":
		return c.subscribe(m), nil
	case "server/discover", "subscriptions/listen":
		return legacyError(id), nil
	}
	if strings.HasPrefix(m.Method, "tasks/") {
		return legacyError(id), nil
	}
	return b.forward(ctx, out, c, m)
}

// legacyError says that there is no such method. To a client with a session, 404 would say that it is over.
func legacyError(id string) *mcp.Answer {
	return failed(http.StatusOK, id, mcp.CodeNoMethod, "method not found")
}
