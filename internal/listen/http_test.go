package listen

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/identity"
	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

func TestContentTypes(t *testing.T) {
	t.Parallel()
	typed := func(lines ...string) string { return without("Content-Type", post("/mcp", lines...)) }
	tries := []try{
		{"plain", post("/mcp"), 200},
		{"charset", typed("Content-Type: application/json; charset=utf-8"), 200},
		{"charset quoted", typed(`Content-Type: Application/JSON;charset="UTF-8"`), 200},
		{"none", typed(), 415},
		{"empty", typed("Content-Type: "), 415},
		{"twice", post("/mcp", "Content-Type: application/json"), 415},
		{"twice in one", typed("Content-Type: application/json, application/json"), 415},
		{"two kinds", post("/mcp", "Content-Type: text/plain"), 415},
		{"charset twice", typed("Content-Type: application/json; charset=utf-8; charset=utf-16"), 415},
		{"other parameter", typed("Content-Type: application/json; profile=x"), 415},
		{"parameter beside charset", typed("Content-Type: application/json; charset=utf-8; profile=x"), 415},
		{"broken", typed("Content-Type: application/json;;=x"), 415},
	}
	for _, bad := range []string{
		"application/json; charset=utf-16", "application/json; charset=utf-7", "application/json; charset=iso-8859-1",
		"application/json; charset=", "text/json", "text/plain", "application/jsonp", "application/json-rpc", "application/vnd.x+json",
		"application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/octet-stream", "*/*", "json",
	} {
		tries = append(tries, try{bad, typed("Content-Type: " + bad), 415})
	}
	for _, coding := range []string{"gzip", "deflate", "br", "zstd", "identity", "", "gzip, gzip", "x"} {
		tries = append(tries, try{"encoding " + coding, post("/mcp", "Content-Encoding: "+coding), 415})
	}
	check(t, tries, nil)
}

func TestCompressedBodyIsRefused(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, ping)
	_ = z.Close()
	request := "POST /mcp HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n" +
		"Content-Length: " + strconv.Itoa(b.Len()) + "\r\n\r\n" + b.String()
	r := &recorder{}
	if resp, _ := raw(t, start(t, r, nil), request); resp.StatusCode != 415 || len(r.served) > 0 {
		t.Errorf("%s, %d served", resp.Status, len(r.served))
	}
}

// sized is a POST with a body of that length, chunked in pieces of 7 if wanted.
func sized(n int, chunked bool) string {
	body := strings.Repeat("x", n)
	head := "POST /mcp HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\n"
	if !chunked {
		return head + "Content-Length: " + strconv.Itoa(n) + "\r\n\r\n" + body
	}
	var b strings.Builder
	b.WriteString(head + "Transfer-Encoding: chunked\r\n\r\n")
	for len(body) > 0 {
		piece := body[:min(7, len(body))]
		body = body[len(piece):]
		b.WriteString(strconv.FormatInt(int64(len(piece)), 16) + "\r\n" + piece + "\r\n")
	}
	return b.String() + "0\r\n\r\n"
}

func TestLimit(t *testing.T) {
	t.Parallel()
	check(t, []try{
		{"at the limit", sized(limit, false), 200},
		{"one over", sized(limit+1, false), 413},
		{"far over", sized(1<<20, false), 413},
		{"chunked at the limit", sized(limit, true), 200},
		{"chunked one over", sized(limit+1, true), 413},
		{"chunked far over", sized(10000, true), 413},
		{"empty", sized(0, false), 200},
	}, nil)
	for _, chunked := range []bool{false, true} {
		r := &recorder{}
		raw(t, start(t, r, nil), sized(limit, chunked))
		if len(r.served) != 1 || r.served[0].Text != strings.Repeat("x", limit) {
			t.Errorf("chunked %t: the text did not arrive whole", chunked)
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	tries := []try{
		{"POST", post("/mcp"), 200},
		{"GET", "GET /mcp HTTP/1.1\r\nHost: HOST\r\n\r\n", 200},
		{"DELETE", "DELETE /servers/a/mcp HTTP/1.1\r\nHost: HOST\r\n\r\n", 200},
		{"overridden POST", post("/mcp", "X-HTTP-Method-Override: DELETE", "X-Method-Override: GET", "X-HTTP-Method: PUT"), 200},
		{"CONNECT", "CONNECT HOST HTTP/1.1\r\nHost: HOST\r\n\r\n", 404},
		{"CONNECT with a path", "CONNECT /mcp HTTP/1.1\r\nHost: HOST\r\n\r\n", 405},
	}
	for _, method := range []string{"OPTIONS", "HEAD", "TRACE", "PUT", "PATCH", "post", "Post", "PROPFIND", "QUERY"} {
		tries = append(
			tries, try{method, method + " /mcp HTTP/1.1\r\nHost: HOST\r\n\r\n", 405},
			try{method + " overridden", method + " /mcp HTTP/1.1\r\nHost: HOST\r\nX-HTTP-Method-Override: POST\r\nContent-Length: 2\r\n\r\n{}", 405},
		)
	}
	for _, method := range []string{"GET", "DELETE"} {
		head := method + " /mcp HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\n"
		tries = append(
			tries, try{method + " with a body", head + "Content-Length: 2\r\n\r\n{}", 400},
			try{method + " chunked", head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400},
			try{method + " chunked and empty", head + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		)
	}
	check(t, tries, nil)

	resp, _ := raw(t, start(t, &recorder{}, nil), "PUT /mcp HTTP/1.1\r\nHost: HOST\r\n\r\n")
	if got := resp.Header.Get("Allow"); got != "POST, GET, DELETE" {
		t.Errorf("Allow is %q", got)
	}
	r := &recorder{}
	raw(t, start(t, r, nil), post("/mcp", "X-HTTP-Method-Override: DELETE"))
	if len(r.served) != 1 || r.served[0].Verb != http.MethodPost || r.served[0].Text != ping {
		t.Error("the method was overridden")
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	var tries []try
	for _, path := range []string{"/mcp", "/servers/a/mcp", "/mcp?x=/../y", "/servers/a-1/mcp"} {
		tries = append(tries, try{path, post(path), 200})
	}
	for _, path := range []string{
		"/", "//mcp", "/mcp/", "/mcp//", "/./mcp", "/x/../mcp", "/servers/../mcp", "/servers/a/../../mcp", "/MCP", "/%6dcp", "/mc%70",
		"/mcp%00", "/mcp%2f", "/%2fmcp", "/mcp;x=1", "/mcp#x", "/servers/mcp", "/servers//mcp", "/servers/a/mcp/", "/servers/a//mcp",
		"//servers/a/mcp", "/servers//a/mcp", "/servers/a/b/mcp", "/servers/a%2fb/mcp", "/servers/a%2Fmcp", "/servers/%61/mcp",
		"/servers/a%2e%2e/mcp", "/servers/%2e%2e/mcp", "/servers/a\\b/mcp%20", "/Servers/a/mcp", "/servers/A/mcp", "/servers/a.b/mcp", "/servers/a:1/mcp", "/servers/a", "/servers/a/mcpx", "/sse", "/messages",
		"http://HOST/mcp", "http://evil.example/mcp", "https://HOST/servers/a/mcp", "http://user@HOST/mcp",
	} {
		status := 404
		if strings.Contains(path, "evil") {
			status = 403 // the URL's host counts as the Host
		}
		tries = append(tries, try{path, post(path), status})
	}
	check(t, tries, nil)
	check(t, []try{{"/mcp without an only server", post("/mcp"), 404}}, func(h *HTTP) { h.Only = "" })

	for path, server := range map[string]string{"/mcp": "a", "/servers/b/mcp": "b", "/servers/9-b/mcp": "9-b"} {
		r := &recorder{}
		raw(t, start(t, r, nil), post(path))
		if len(r.served) != 1 || r.served[0].Server != server {
			t.Errorf("%s does not lead to %s", path, server)
		}
	}
}

func TestHostAndOrigin(t *testing.T) {
	t.Parallel()
	at := func(host string, lines ...string) string {
		return without("Host", post("/mcp", append([]string{"Host: " + host}, lines...)...))
	}
	check(t, []try{
		{"own address", post("/mcp"), 200},
		{"localhost", at("localhost"), 200},
		{"localhost in capitals", at("LocalHost:99"), 200},
		{"other port", at("127.0.0.1:1"), 200},
		{"IPv6", at("[::1]:8080"), 200},
		{"IPv6 without a port", at("[::1]"), 200},
		{"mapped", at("[::ffff:127.0.0.1]:8080"), 200},
		{"an allowed origin's host", at("app.example"), 200},

		{"rebinding", at("evil.example"), 403},
		{"rebinding with a port", at("evil.example:8080"), 403},
		{"rebinding to the same origin", at("evil.example", "Origin: http://evil.example"), 403},
		{"localhost as a prefix", at("localhost.evil.example"), 403},
		{"localhost as a suffix", at("evil.localhost"), 403},
		{"address as a prefix", at("127.0.0.1.nip.io"), 403},
		{"all addresses", at("0.0.0.0:8080"), 403},
		{"IPv6 of another", at("[2001:db8::1]"), 403},
		{"IPv6 unspecified", at("[::]"), 403},
		{"no host", at(""), 403},
		{"HTTP/1.0 without a host", without("Host", strings.Replace(post("/mcp"), "HTTP/1.1", "HTTP/1.0", 1)), 403},
		{"forwarded host", at("evil.example", "X-Forwarded-Host: localhost"), 403},

		{"same origin", post("/mcp", "Origin: http://HOST"), 200},
		{"same origin by https", post("/mcp", "Origin: https://HOST"), 200},
		{"allowed origin", post("/mcp", "Origin: https://app.example"), 200},
		{"IPv6 origin", at("[::1]:8080", "Origin: http://[::1]:8080"), 200},
		{"foreign origin", post("/mcp", "Origin: https://evil.example"), 403},
		{"allowed origin by http", post("/mcp", "Origin: http://app.example"), 403},
		{"allowed origin with a port", post("/mcp", "Origin: https://app.example:444"), 403},
		{"allowed origin as a prefix", post("/mcp", "Origin: https://app.example.evil.example"), 403},
		{"own host, other port", post("/mcp", "Origin: http://127.0.0.1:1"), 403},
		{"own host by another name", post("/mcp", "Origin: http://localhost"), 403},
		{"null", post("/mcp", "Origin: null"), 403},
		{"empty", post("/mcp", "Origin: "), 403},
		{"file", post("/mcp", "Origin: file://"), 403},
		{"two, both allowed", post("/mcp", "Origin: https://app.example", "Origin: https://app.example"), 403},
		{"two, one allowed", post("/mcp", "Origin: https://app.example", "Origin: https://evil.example"), 403},
		{"two in one", post("/mcp", "Origin: https://app.example, https://app.example"), 403},
		{"broken", post("/mcp", "Origin: http://[::1"), 403},
		{"user information", post("/mcp", "Origin: http://HOST@evil.example"), 403},
		{"named by Connection", post("/mcp", "Origin: https://evil.example", "Connection: Origin"), 403},
		{"at an unknown path", post("/x", "Origin: https://evil.example"), 403},
		{"GET", "GET /mcp HTTP/1.1\r\nHost: HOST\r\nOrigin: null\r\n\r\n", 403},
		{"OPTIONS", "OPTIONS /mcp HTTP/1.1\r\nHost: HOST\r\nOrigin: https://evil.example\r\n\r\n", 403},
	}, nil)
}

// Beyond loopback, names are the operator's business; origins are not.
func TestHostBeyondLoopback(t *testing.T) {
	t.Parallel()
	for host, ok := range map[string]bool{"gw.example": true, "other.example": false} {
		r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
		r.Host = host
		r.Header.Set("Origin", "https://gw.example")
		ctx := context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80})
		if bad := (&Origins{}).check(r.WithContext(ctx)); (bad == nil) != ok {
			t.Errorf("%s: %v", host, bad)
		}
	}
}

func TestHeadersThatArrive(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	raw(t, start(t, r, nil), without("Connection", post(
		"/mcp", "Connection: X-Hop, keep-alive", "Connection: close,X-Other", "X-Hop: 1", "X-Other: 1", "Mcp-Method: ping",
		"Mcp_Method: lie", "Mcp-Param-A: 1", "Mcp-Param-A: 2", "X-Forwarded-User: root", "X-Forwarded-For: 10.0.0.1", "Cookie: a=b",
	)))
	if len(r.served) != 1 {
		t.Fatalf("refused: %v", r.causes)
	}
	x, h := r.served[0], r.served[0].Header
	for _, gone := range []string{"X-Hop", "X-Other", "X-Forwarded-User", "X-Forwarded-For"} {
		if _, ok := h[gone]; ok {
			t.Errorf("%s is still there", gone)
		}
	}
	// Never taken for Mcp-Method, and seen by CheckHeaders.
	if diff := cmp.Diff([]string{"ping"}, h.Values(mcp.HeaderMethod)); diff != "" || h.Get("Mcp_method") != "lie" {
		t.Errorf("%s\n%v", diff, h)
	}
	if diff := cmp.Diff([]string{"1", "2"}, h.Values("Mcp-Param-A")); diff != "" {
		t.Error(diff)
	}
	if h.Get("Host") == "" || x.RequestIP != "127.0.0.1" || x.Transport != "http" || x.Caller.ID != "anonymous" {
		t.Errorf("%+v", x)
	}
}

// A trusted proxy may hand on the Connection header of a client. That must take
// away nothing of what the proxy says.
func TestConnectionNamesWhatTheGatewayGoesBy(t *testing.T) {
	t.Parallel()
	behind := func(h *HTTP) {
		p := &identity.Proxies{
			CIDRs: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, UserHeader: "x-auth-user", RolesHeader: "X-Auth-Roles",
		}
		h.Identity = &identity.Identifier{Proxies: p, Methods: []identity.Method{p}, Anonymous: h.Identity.Anonymous}
	}
	said := []string{"X-Auth-User: bob", "X-Auth-Roles: contractor", "X-Forwarded-For: 192.0.2.9", "Mcp-Method: ping"}
	var tries []try
	for _, value := range []string{
		"x-auth-user", "X-AUTH-ROLES", "close, X-Auth-User", "x-forwarded-for,close", "Forwarded", "X-Real-IP", "X-Forwarded-Proto", "Authorization",
		"X-Api-Key", "Mcp-Session-Id", "mcp-method", "Mcp-Protocol-Version", "Mcp-Param-A", "Content-Type", "Content-Length", "Origin", "host", "\tx-auth-user\t",
	} {
		tries = append(tries, try{value, post("/mcp", append(said, "Connection: "+value)...), 400})
	}
	for _, value := range []string{"", ",", "X-Hop", "keep-alive, Upgrade, HTTP2-Settings", "TE", "x-auth user"} {
		tries = append(tries, try{"harmless " + value, post("/mcp", append(said, "Connection: "+value)...), 200})
	}
	check(t, tries, behind)

	r := &recorder{}
	raw(t, start(t, r, behind), post("/mcp", append(said, "Connection: X-Hop")...))
	if len(r.served) != 1 || r.served[0].Caller.ID != "bob" || r.served[0].RequestIP != "192.0.2.9" {
		t.Errorf("served %+v", r.served)
	}
}

func TestUnauthorized(t *testing.T) {
	t.Parallel()
	keys := func(h *HTTP) {
		h.Identity.Anonymous = nil
		h.Identity.Methods = []identity.Method{identity.NewAPIKeys([]identity.APIKey{
			{Caller: identity.Caller{ID: "alice"}, SHA256: sha256.Sum256([]byte("key"))},
		})}
	}
	check(t, []try{
		{"no key", post("/mcp"), 401},
		{"wrong key", post("/mcp", "Authorization: Bearer wrong"), 401},
		{"two keys", post("/mcp", "Authorization: Bearer key", "X-Api-Key: key"), 401},
		{"key named by Connection", post("/mcp", "Authorization: Bearer key", "Connection: Authorization"), 400},
		{"key in the query", post("/mcp?access_token=key"), 401},
		{"no key, unknown path", post("/x"), 401},
		{"no key, wrong method", "PUT /mcp HTTP/1.1\r\nHost: HOST\r\n\r\n", 401},
		{"key", post("/mcp", "Authorization: Bearer key"), 200},
	}, keys)
	r := &recorder{}
	resp, body := raw(t, start(t, r, keys), post("/mcp", "Authorization: Bearer canary"))
	if got := resp.Header.Get("WWW-Authenticate"); got != `Bearer realm="gatehouse"` {
		t.Errorf("WWW-Authenticate is %q", got)
	}
	if strings.Contains(body, "canary") || len(r.causes) != 1 || strings.Contains(r.causes[0], "canary") {
		t.Errorf("the key is told: %s %v", body, r.causes)
	}
}

// What net/http itself refuses, and must go on refusing.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	chunked := "0\r\n\r\nGET /admin HTTP/1.1\r\n\r\n"
	head := "POST /mcp HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\n"
	check(t, []try{
		{"two lengths", head + "Content-Length: 40\r\nContent-Length: 41\r\n\r\n" + ping + "x", 400},
		{"lengths in one", head + "Content-Length: 40, 41\r\n\r\n" + ping + "x", 400},
		{"length with a sign", head + "Content-Length: +40\r\n\r\n" + ping, 400},
		{"negative length", head + "Content-Length: -1\r\n\r\n" + ping, 400},
		{"length in hex", head + "Content-Length: 0x28\r\n\r\n" + ping, 400},
		{"unknown transfer coding", head + "Transfer-Encoding: xchunked\r\n\r\n" + chunked, 501},
		{"two transfer codings", head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked, 501},
		{"gzip and chunked", head + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunked, 501},
		{"blank before the colon", head + "Content-Length : 40\r\n\r\n" + ping, 400},
		{"folded length", head + "Content-Length: 40\r\n 1\r\n\r\n" + ping, 400},
		{"folded first header", "POST /mcp HTTP/1.1\r\n Host: HOST\r\n\r\n", 400},
		{"header without a colon", head + "Content-Length: 40\r\nX-A\r\n\r\n" + ping, 400},
		{"NUL in a header", head + "Content-Length: 40\r\nX-A: \x00\r\n\r\n" + ping, 400},
		{"lone CR in a header", head + "Content-Length: 40\r\nX-A: b\rX-C: d\r\n\r\n" + ping, 400},
		{"two hosts", head + "Host: HOST\r\nContent-Length: 40\r\n\r\n" + ping, 400},
		{"no host", "POST /mcp HTTP/1.1\r\nContent-Length: 40\r\n\r\n" + ping, 400},
		{"broken host", "POST /mcp HTTP/1.1\r\nHost: a b\r\nContent-Length: 40\r\n\r\n" + ping, 400},
		{"blank in the path", "POST /mcp x HTTP/1.1\r\nHost: HOST\r\n\r\n", 400},
		{"bad chunk size", head + "Transfer-Encoding: chunked\r\n\r\nxx\r\n", 400},
		{"chunk longer than its size", head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}}\r\n0\r\n\r\n", 400},
		{"chunk size with a sign", head + "Transfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n", 400},
		{"trailer", head + "Trailer: X-A\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-A: b\r\n\r\n", 400},
		{"undeclared trailer", head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nMcp-Name: b\r\n\r\n", 400},
		{"declared trailer that does not come", head + "Trailer: X-A\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400},
		{"unknown expectation", head + "Expect: x\r\nContent-Length: 40\r\n\r\n" + ping, 417},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 403},
	}, nil)
}

// With both framings net/http takes the chunks. What comes after them a proxy may
// have taken for the rest of the body: it must not become a request.
func TestBothFramings(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	resp, _ := raw(t, start(t, r, nil), "POST /mcp HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nContent-Length: 5\r\n"+
		"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nPOST /servers/b/mcp HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
	if !resp.Close {
		t.Errorf("%s, and the connection stays open", resp.Status)
	}
	if len(r.served) > 1 || len(r.served) == 1 && r.served[0].Text != "{}" {
		t.Errorf("%d served", len(r.served))
	}
}

func TestBrokenBody(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	s := start(t, r, nil)
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n{}")
	_ = conn.(*net.TCPConn).CloseWrite()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != 400 || len(r.served) > 0 {
		t.Errorf("%s, %d served", resp.Status, len(r.served))
	}
}

func TestSlowBodyEndsByReadTimeout(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	h := start(t, r, nil).Config.Handler
	s := httptest.NewUnstartedServer(h)
	s.Config.ReadHeaderTimeout = time.Minute // the head comes in time, however slow this machine is
	s.Config.ReadTimeout = 50 * time.Millisecond
	s.Start()
	t.Cleanup(s.Close)
	resp, _ := raw(t, s, "POST /mcp HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n{")
	if resp.StatusCode != 400 || len(r.served) > 0 {
		t.Errorf("%s, %d served", resp.Status, len(r.served))
	}
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		answer mcp.Answer
		want   map[string]string // headers
	}{
		{
			mcp.Answer{Status: 200, Text: "{}", Session: "s", Retry: "3"},
			map[string]string{"Content-Type": "application/json", "Mcp-Session-Id": "s", "Retry-After": "3", "Content-Length": "2"},
		},
		{
			mcp.Answer{Status: 202},
			map[string]string{"Content-Type": "", "Mcp-Session-Id": "", "Retry-After": "", "Content-Length": "0"},
		},
		{mcp.Answer{Status: 204}, map[string]string{"Content-Type": "", "Content-Length": ""}},
		{mcp.Answer{Status: 403, Text: "{}"}, map[string]string{"Content-Type": "application/json"}},
	} {
		r := &recorder{serve: func(_ context.Context, _ *gateway.Exchange, reply gateway.Reply) { _ = reply.Answer(&c.answer) }}
		resp, body := raw(t, start(t, r, nil), post("/mcp"))
		if resp.StatusCode != c.answer.Status || body != c.answer.Text {
			t.Errorf("%d: got %s %q", c.answer.Status, resp.Status, body)
		}
		c.want["Cache-Control"], c.want["X-Content-Type-Options"] = "no-store", "nosniff"
		for name, want := range c.want {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%d: %s is %q, want %q", c.answer.Status, name, got, want)
			}
		}
	}
}

// Each event is on its way before the next one is known.
func TestEvents(t *testing.T) {
	t.Parallel()
	next := make(chan mcp.Event)
	r := &recorder{serve: func(_ context.Context, _ *gateway.Exchange, reply gateway.Reply) {
		for ev := range next {
			if err := reply.Event(&mcp.Answer{Session: "s"}, ev); err != nil {
				t.Error(err)
			}
		}
	}}
	s := start(t, r, nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/mcp", strings.NewReader(ping))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	go func() { next <- mcp.Event{} }()
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "X-Accel-Buffering": "no", "Cache-Control": "no-store", "Mcp-Session-Id": "s", "X-Content-Type-Options": "nosniff",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	body := bufio.NewReader(resp.Body)
	readLines := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(body, got); err != nil || string(got) != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
	readLines(": \n\n")
	for _, c := range []struct {
		ev   mcp.Event
		want string
	}{
		{mcp.Event{Data: `{"a":1}`}, "event: message\ndata: {\"a\":1}\n\n"},
		{mcp.Event{Name: "endpoint", Data: "{\n\"a\":\r\n1}"}, "event: message\ndata: { \"a\":  1}\n\n"},
		{mcp.Event{Data: "\"\u2028\""}, "event: message\ndata: \"\\u2028\"\n\n"},
		{mcp.Event{Retry: "100"}, "retry: 100\n\n"},
		{mcp.Event{}, ": \n\n"},
	} {
		next <- c.ev
		readLines(c.want)
	}
	close(next)
	if rest, err := io.ReadAll(body); err != nil || len(rest) > 0 {
		t.Errorf("%q after the last event, %v", rest, err)
	}
}

func TestClientThatLeavesEndsTheExchange(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	r := &recorder{serve: func(ctx context.Context, _ *gateway.Exchange, reply gateway.Reply) {
		_ = reply.Event(&mcp.Answer{}, mcp.Event{})
		<-ctx.Done()
		ended <- ctx.Err()
	}}
	conn, err := net.Dial("tcp", start(t, r, nil).Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, strings.ReplaceAll(without("Connection", post("/mcp")), "HOST", "localhost"))
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if err := <-ended; err == nil {
		t.Error("the exchange goes on")
	}
}
