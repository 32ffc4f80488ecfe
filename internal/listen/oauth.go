package listen

import (
	"io"
	"net/http"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// OAuth is what the gateway is as an OAuth 2.1 protected resource, or rather as
// one for each server. A nil OAuth takes no tokens.
type OAuth struct {
	PublicURL string              // the origin that clients know; empty: as the request says
	Issuers   []string            // whose tokens are accepted
	Scopes    map[string][]string // that each server needs, if any
}

// metadataPath is where RFC 9728 has the metadata of the resource whose path follows.
const metadataPath = "/.well-known/oauth-protected-resource"

// scoped reports whether the server needs scopes.
func (o *OAuth) scoped(server string) bool { return o != nil && len(o.Scopes[server]) > 0 }

// missing returns what the server needs, if the caller's token does not have it.
func (o *OAuth) missing(caller *identity.Caller, server string) []string {
	if !o.scoped(server) || !caller.HasToken() || caller.HasScopes(o.Scopes[server]) {
		return nil
	}
	return o.Scopes[server]
}

// challenge is the value of WWW-Authenticate, with an RFC 6750 error code or an
// empty one. All that the server needs is in it, so that one consent is enough.
func (o *OAuth) challenge(r *http.Request, server, code string) string {
	var b strings.Builder
	b.WriteString("Bearer ")
	if o == nil {
		b.WriteString(`realm="gatehouse"`)
	} else {
		path := r.URL.EscapedPath()
		if server == "" || path != "/mcp" && path != "/servers/"+server+"/mcp" {
			path = ""
		}
		b.WriteString(`resource_metadata="` + o.base(r) + metadataPath + path + `"`)
	}
	if o.scoped(server) {
		b.WriteString(`, scope="` + strings.Join(o.Scopes[server], " ") + `"`)
	}
	if code != "" {
		b.WriteString(`, error="` + code + `"`)
	}
	return b.String()
}

// base is the origin under which the client asks.
func (o *OAuth) base(r *http.Request) string {
	switch {
	case o.PublicURL != "":
		return o.PublicURL
	case r.TLS != nil:
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// serveMetadata answers a request for metadata of a resource, and reports
// whether it is one. Every name that a server could have is answered alike: who
// may not call must not learn the names.
func (o *OAuth) serveMetadata(w http.ResponseWriter, r *http.Request, only string) bool {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), metadataPath)
	if o == nil || !ok || r.URL.Host != "" {
		return false
	}
	server := only
	switch name, named := serverOf(path); {
	case named:
		server = name
	case path == "" && only != "":
		path = "/mcp" // the only resource
	case path != "" && path != "/mcp":
		return false
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return true
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = io.WriteString(w, o.metadata(o.base(r)+path, o.Scopes[server])) // a client that has left needs no answer
	return true
}

func (o *OAuth) metadata(resource string, scopes []string) string {
	b := mcp.AppendString([]byte(`{"resource":`), resource)
	b = appendList(append(b, `,"authorization_servers":`...), o.Issuers)
	if len(scopes) > 0 {
		b = appendList(append(b, `,"scopes_supported":`...), scopes)
	}
	return string(append(b, `,"bearer_methods_supported":["header"]}`...))
}

func appendList(b []byte, all []string) []byte {
	b = append(b, '[')
	for i, s := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = mcp.AppendString(b, s)
	}
	return append(b, ']')
}
