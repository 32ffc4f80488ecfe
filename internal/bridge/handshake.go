package bridge

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// connect opens the session, and is then no more a use of it.
func (k *session) connect(ctx context.Context, out *mcp.Outgoing, capabilities, name string) {
	defer func() {
		if k.bad != nil || k.refused {
			k.b.kept.lost(k, false)
		}
		close(k.open)
		k.b.kept.release(k)
	}()
	ctx, cancel := context.WithTimeout(ctx, k.b.limits.open)
	defer cancel()
	defer context.AfterFunc(k.b.closing, cancel)()
	id := k.newID()
	params := `{"protocolVersion":"` + newestLegacy + `","capabilities":` + capabilities + `,"clientInfo":` + name + `}`
	a, bad := k.b.inner.Send(ctx, k.outgoing(out, http.MethodPost, requestText(id, "initialize", params)))
	if bad != nil {
		k.bad = bad
		return
	}
	k.id = a.Session
	if k.refused = refusesInitialize(a); k.refused {
		a.Close()
		return
	}
	if k.bad = opened(a); k.bad != nil {
		a.Close()
		return
	}
	m, bad := response(a, id)
	if bad == nil && !isInitialized(m.Result) {
		bad = mcp.Refuse(http.StatusBadGateway, "the server's answer is malformed", "to initialize")
	}
	if k.bad = bad; bad != nil {
		return
	}
	k.version, k.result = m.Result.Get("protocolVersion").String(), m.Result
	k.tell(http.MethodPost, notificationText("notifications/initialized", "{}"))
}

// opened is why an answer to initialize is none.
func opened(a *mcp.Answer) *mcp.Error {
	switch a.Status {
	case http.StatusOK, statusNone:
		return nil
	case http.StatusForbidden, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return mcp.Refuse(a.Status, "the server gave no answer", "to initialize")
	}
	return mcp.Refuse(http.StatusBadGateway, "the server gave no answer", "it answered initialize with "+strconv.Itoa(a.Status))
}

func isInitialized(result mcp.Value) bool {
	version := result.Get("protocolVersion").String()
	return version != "" && version < mcp.Modern && result.Get("capabilities").IsObject()
}

func (k *session) newID() string { return strconv.FormatInt(k.ids.Add(1), 10) }

// outgoing is what is sent in the session on behalf of its principal.
func (k *session) outgoing(out *mcp.Outgoing, verb, text string) *mcp.Outgoing {
	h := http.Header{}
	for _, name := range []string{"User-Agent", "Accept-Language", "Traceparent", "Tracestate", "Baggage"} {
		if v, ok := out.Header[name]; ok {
			h[name] = v
		}
	}
	h.Set("Accept", "application/json, text/event-stream")
	if verb == http.MethodGet {
		h.Set("Accept", "text/event-stream")
	}
	if k.version != "" {
		h.Set(mcp.HeaderVersion, k.version)
	}
	if k.id != "" {
		h.Set(mcp.HeaderSession, k.id)
	}
	return &mcp.Outgoing{Verb: verb, Header: h, Text: text, Principal: out.Principal, Token: out.Token}
}

// own is outgoing for what no message of the client's caused at once.
func (k *session) own(verb, text string) *mcp.Outgoing {
	k.b.kept.mu.Lock()
	defer k.b.kept.mu.Unlock()
	return k.outgoing(&mcp.Outgoing{Principal: k.principal, Token: k.token}, verb, text)
}

// tell sends what nobody waits for, and reports whether the server took it.
func (k *session) tell(verb, text string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), k.b.limits.control)
	defer cancel()
	a, bad := k.b.inner.Send(ctx, k.own(verb, text))
	if bad != nil {
		return false
	}
	a.Close()
	return a.Status < 300
}

// ask sends a request of the bridge's own and returns the response, or nil.
func (k *session) ask(method, params string) *mcp.Message {
	ctx, cancel := context.WithTimeout(context.Background(), k.b.limits.control)
	defer cancel()
	id := k.newID()
	a, bad := k.b.inner.Send(ctx, k.own(http.MethodPost, requestText(id, method, params)))
	if bad != nil {
		return nil
	}
	m, _ := response(a, id)
	return m
}

// has reports whether the server has a capability.
func (k *session) has(path ...string) bool {
	v := k.result.Get("capabilities")
	for _, name := range path {
		v = v.Get(name)
	}
	return v.IsObject() || v.Kind() == 't'
}

// discovered is the result of server/discover that initialize's amounts to.
func (k *session) discovered() string {
	capabilities := with(k.result.Get("capabilities"), "tasks", "")
	return k.complete(with(mcp.Value{},
		"supportedVersions", `["`+mcp.Modern+`"]`,
		"capabilities", capabilities,
		"instructions", k.result.Get("instructions").Text()), true)
}

// complete makes a result one that modern clients take for whole.
func (k *session) complete(result string, cacheable bool) string {
	v, err := mcp.ParseValue(result)
	if err != nil {
		panic(fmt.Sprintf("a result made of parsed ones: %v", err))
	}
	members := []string{"resultType", `"complete"`}
	if cacheable {
		members = append(members, "ttlMs", "0", "cacheScope", `"private"`)
	}
	if info := k.result.Get("serverInfo"); info.IsObject() {
		meta := v.Get("_meta")
		if meta.IsObject() || !meta.Exists() {
			members = append(members, "_meta", with(meta, metaServer, info.Text()))
		}
	}
	return with(v, members...)
}

// isGone reports whether the server does not know the session of a message, which it then did not take.
func isGone(a *mcp.Answer, bad *mcp.Error, id string) bool {
	if bad != nil {
		return bad.Status == http.StatusNotFound
	}
	if a.Status != http.StatusNotFound && a.Status != http.StatusBadRequest {
		return false
	}
	m, malformed := mcp.ParseServer(a.Text)
	return malformed != nil || m.ID.Text() != id
}
