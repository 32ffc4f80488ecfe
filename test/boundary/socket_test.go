package boundary

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// body is a message that is allowed, other one of 17 bytes that is smuggled behind it, if it is.
const (
	body    = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":1}}}`
	smuggle = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n" + `{"jsonrpc":"2.0","id":2,"method":"ping"}`
)

// A shape is the bytes of a request, and what is wanted of it: the status of the first answer, zero for none,
// and the messages that reach the server. LEN is the length of the body, BODY the body, and CHUNKED the body
// as chunks.
type shape struct {
	name, text string
	status     int
	reached    int
}

const (
	post11 = "POST /mcp HTTP/1.1\r\nHost: localhost\r\n"
	ctKeep = "Content-Type: application/json\r\n"
	ctJSON = "Connection: close\r\n" + ctKeep
	length = "Content-Length: LEN\r\n\r\nBODY"
	plain  = post11 + ctJSON + length
	chunks = "Transfer-Encoding: chunked\r\n\r\nCHUNKED"
)

var shapes = []shape{
	{"plain", plain, 200, 1},
	{"chunked", post11 + ctJSON + chunks, 200, 1},
	{"both lengths, chunks win and are judged", post11 + ctJSON + "Content-Length: 5\r\n" + chunks, 200, 1},
	{"both lengths, the other way", post11 + ctJSON + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nCHUNKED", 200, 1},
	{"both lengths, and a request behind the chunks, which is not read", post11 + ctKeep + "Content-Length: LEN\r\n" + chunks + smuggle, 200, 1},
	{"two lengths that differ", post11 + ctJSON + "Content-Length: 5\r\n" + length, 400, 0},
	{"two lengths alike", post11 + ctJSON + "Content-Length: LEN\r\n" + length, 200, 1},
	{"a list of lengths", post11 + ctJSON + "Content-Length: LEN, LEN\r\n\r\nBODY", 400, 0},
	{"a signed length", post11 + ctJSON + "Content-Length: +LEN\r\n\r\nBODY", 400, 0},
	{"a negative length", post11 + ctJSON + "Content-Length: -1\r\n\r\nBODY", 400, 0},
	{"a length in hex", post11 + ctJSON + "Content-Length: 0x5b\r\n\r\nBODY", 400, 0},
	{"an overflowing length", post11 + ctJSON + "Content-Length: 99999999999999999999\r\n\r\nBODY", 400, 0},
	{"a promise of too much", post11 + ctJSON + "Content-Length: 999999999\r\n\r\n", 413, 0},
	{"no length", post11 + ctJSON + "\r\n", 400, 0},
	{"a short body", post11 + ctJSON + "Content-Length: 500\r\n\r\nBODY", 400, 0},
	{"a long body, whose rest is no request", post11 + ctJSON + "Content-Length: LEN\r\n\r\nBODYxxxx\r\n\r\n", 200, 1},
	{"a second request behind the first", post11 + ctKeep + length + smuggle, 200, 2},
	{"odd coding", post11 + ctJSON + "Transfer-Encoding: gzip\r\n\r\nBODY", 501, 0},
	{"two codings", post11 + ctJSON + "Transfer-Encoding: gzip, chunked\r\n\r\nCHUNKED", 501, 0},
	{"chunked twice", post11 + ctJSON + "Transfer-Encoding: chunked\r\n" + chunks, 501, 0},
	{"chunked in capitals", post11 + ctJSON + "Transfer-Encoding: Chunked\r\n\r\nCHUNKED", 200, 1},
	{"chunked with a tab", post11 + ctJSON + "Transfer-Encoding:\tchunked\r\n\r\nCHUNKED", 200, 1},
	{"chunked with a vertical tab", post11 + ctJSON + "Transfer-Encoding: \vchunked\r\n\r\nCHUNKED", 400, 0},
	{"identity", post11 + ctJSON + "Transfer-Encoding: identity\r\n" + length, 501, 0},
	{"a chunk extension", post11 + ctJSON + "Transfer-Encoding: chunked\r\n\r\n5b;x=\"y\"\r\nBODY\r\n0\r\n\r\n", 200, 1},
	{"a chunk length with a sign", post11 + ctJSON + "Transfer-Encoding: chunked\r\n\r\n+5b\r\nBODY\r\n0\r\n\r\n", 400, 0},
	{"a chunk length that overflows", post11 + ctJSON + "Transfer-Encoding: chunked\r\n\r\n1000000000000005b\r\nBODY\r\n0\r\n\r\n", 400, 0},
	{"a chunk line with a bare LF", post11 + ctJSON + "Transfer-Encoding: chunked\r\n\r\n5b\nBODY\r\n0\r\n\r\n", 400, 0},
	{"a chunk without its end", post11 + ctJSON + "Transfer-Encoding: chunked\r\n\r\n5b\r\nBODYxx0\r\n\r\n", 400, 0},
	{"chunks that break off", post11 + ctJSON + "Transfer-Encoding: chunked\r\n\r\n5b\r\nBODY\r\n", 400, 0},
	{"a trailer", post11 + ctJSON + "Trailer: X-A\r\nTransfer-Encoding: chunked\r\n\r\n5b\r\nBODY\r\n0\r\nX-A: b\r\n\r\n", 400, 0},
	{"a trailer unannounced", post11 + ctJSON + "Transfer-Encoding: chunked\r\n\r\n5b\r\nBODY\r\n0\r\nMcp-Name: b\r\n\r\n", 400, 0},
	{"a folded header", post11 + "Content-Type: application/\r\n json\r\n" + length, 415, 0},
	{"a folded harmless header", post11 + "X-A: a\r\n b\r\n" + ctJSON + length, 200, 1},
	{"a header folded first", "POST /mcp HTTP/1.1\r\n Host: localhost\r\n" + ctJSON + length, 400, 0},
	{"bare LF", strings.ReplaceAll(post11+ctJSON+"Content-Length: LEN\r\n\r\n", "\r\n", "\n") + "BODY", 200, 1},
	{"bare CR", post11 + "X-A: b\rContent-Length: 0\r\n" + ctJSON + length, 400, 0},
	{"a space before the colon", post11 + ctJSON + "Content-Length : LEN\r\n\r\nBODY", 400, 0},
	{"a NUL in a header", post11 + "X-A: a\x00b\r\n" + ctJSON + length, 400, 0},
	{"a NUL in a name", post11 + "X\x00A: b\r\n" + ctJSON + length, 400, 0},
	{"no colon", post11 + "X-A\r\n" + ctJSON + length, 400, 0},
	{"an empty name", post11 + ": a\r\n" + ctJSON + length, 400, 0},
	{"two hosts", post11 + "Host: localhost\r\n" + ctJSON + length, 400, 0},
	{"a foreign host", "POST /mcp HTTP/1.1\r\nHost: evil.example\r\n" + ctJSON + length, 403, 0},
	{"no host", "POST /mcp HTTP/1.1\r\n" + ctJSON + length, 400, 0},
	{"HTTP/1.0", "POST /mcp HTTP/1.0\r\nHost: localhost\r\n" + ctJSON + length, 200, 1},
	{"HTTP/1.0 with chunks", "POST /mcp HTTP/1.0\r\nHost: localhost\r\n" + ctJSON + chunks, 400, 0},
	{"HTTP/0.9", "POST /mcp\r\n\r\nBODY", 400, 0},
	{"HTTP/1.2", "POST /mcp HTTP/1.2\r\nHost: localhost\r\n" + ctJSON + length, 200, 1},
	{"HTTP/2.0", "POST /mcp HTTP/2.0\r\nHost: localhost\r\n" + ctJSON + length, 505, 0},
	{"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 403, 0},
	{"an upgrade to HTTP/2", post11 + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n" + ctJSON + length, 200, 1},
	{"an upgrade to a socket", "GET /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n", 502, 0},
	{"absolute form", "POST http://localhost/mcp HTTP/1.1\r\nHost: localhost\r\n" + ctJSON + length, 404, 0},
	{"absolute form of another host", "POST http://evil.example/mcp HTTP/1.1\r\nHost: localhost\r\n" + ctJSON + length, 403, 0},
	{"CONNECT", "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404, 0},
	{"TRACE", "TRACE /mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 405, 0},
	{"lower case", "post /mcp HTTP/1.1\r\nHost: localhost\r\n" + ctJSON + length, 405, 0},
	{"an underscored length", post11 + "Content_Length: 5\r\n" + ctJSON + length, 200, 1},
	{"an underscored coding", post11 + "Transfer_Encoding: chunked\r\n" + ctJSON + length, 200, 1},
	{"an underscored coding beside the real one", post11 + "Transfer_Encoding: identity\r\n" + ctJSON + chunks, 200, 1},
	{"chunked, identity", post11 + ctJSON + "Transfer-Encoding: chunked, identity\r\n\r\nCHUNKED", 501, 0},
	{"an empty coding", post11 + ctJSON + "Transfer-Encoding: \r\n" + length, 501, 0},
	{"a folded coding", post11 + ctJSON + "Transfer-Encoding:\r\n chunked\r\n\r\nCHUNKED", 200, 1},
	{"an empty length", post11 + ctJSON + "Content-Length: \r\n\r\nBODY", 400, 0},
	{"an extension with a bare LF", post11 + ctJSON + "Transfer-Encoding: chunked\r\n\r\n5b;x\nBODY\r\n0\r\n\r\n", 400, 0},
	{"an extension with a bare CR", post11 + ctJSON + "Transfer-Encoding: chunked\r\n\r\n5b;x\ry\r\nBODY\r\n0\r\n\r\n", 400, 0},
	{"a chunk length with blanks", post11 + ctJSON + "Transfer-Encoding: chunked\r\n\r\n5b \r\nBODY\r\n0\r\n\r\n", 200, 1},
	{"a chunk length with zeros", post11 + ctJSON + "Transfer-Encoding: chunked\r\n\r\n000000000005b\r\nBODY\r\n0\r\n\r\n", 200, 1},
	{"a forbidden trailer", post11 + ctJSON + "Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n5b\r\nBODY\r\n0\r\nContent-Length: 5\r\n\r\n", 400, 0},
	{"a compressed body", post11 + "Content-Encoding: gzip\r\n" + ctJSON + "Content-Length: 4\r\n\r\n\x1f\x8b\x08\x00", 415, 0},
	{"a compressed body, unannounced", post11 + ctJSON + "Content-Length: 4\r\n\r\n\x1f\x8b\x08\x00", 400, 0},
	{"a compressed transfer", post11 + "TE: gzip, trailers\r\n" + ctJSON + length, 200, 1},
	{"the session hidden by Connection", post11 + "Connection: Mcp-Session-Id\r\nMcp-Session-Id: x\r\n" + ctJSON + length, 400, 0},
	{"the version hidden by Connection", post11 + "Connection: close, MCP-protocol-version\r\nMcp-Protocol-Version: 2026-07-28\r\n" + ctJSON + length, 400, 0},
	{"an upgrade to TLS", post11 + "Connection: Upgrade\r\nUpgrade: TLS/1.3\r\n" + ctJSON + length, 200, 1},
	{"host with a user", "POST /mcp HTTP/1.1\r\nHost: localhost@evil.example\r\n" + ctJSON + length, 400, 0},
	{"method override", post11 + "X-HTTP-Method-Override: DELETE\r\nX-Method-Override: GET\r\n" + ctJSON + length, 200, 1},
	{"rewritten URL", post11 + "X-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\n" + ctJSON + length, 200, 1},
	{"expect", post11 + "Expect: 100-continue\r\n" + ctJSON + length, 100, 1},
	{"expect the unexpected", post11 + "Expect: x\r\n" + ctJSON + length, 417, 0},
	{"an underscored header beside the real one", post11 + "Mcp-Method: tools/call\r\nMcp_Method: ping\r\n" + ctJSON + length, 400, 0},
	{"a header twice", post11 + "Mcp-Method: tools/call\r\nmcp-method: ping\r\n" + ctJSON + length, 400, 0},
	{"a header in another case that lies", post11 + "MCP-METHOD: ping\r\n" + ctJSON + length, 400, 0},
	{"two content types", post11 + "Content-Type: text/plain\r\n" + ctJSON + length, 415, 0},
	{"no content type", post11 + "Connection: close\r\n" + length, 415, 0},
	{"a content type hidden by Connection", post11 + "Connection: content-type\r\n" + ctJSON + length, 400, 0},
	{"a coding", post11 + "Content-Encoding: identity\r\n" + ctJSON + length, 415, 0},
	{"a foreign origin", post11 + "Origin: http://evil.example\r\n" + ctJSON + length, 403, 0},
	{"a foreign origin hidden by Connection", post11 + "Connection: Origin\r\nOrigin: http://evil.example\r\n" + ctJSON + length, 403, 0},
	{"origin null", post11 + "Origin: null\r\n" + ctJSON + length, 403, 0},
	{"a session of nobody's", post11 + "Mcp-Session-Id: x\r\n" + ctJSON + length, 404, 0},
	{"GET with a body", "GET /mcp HTTP/1.1\r\nHost: localhost\r\n" + ctJSON + length, 400, 0},
	{"DELETE with a body", "DELETE /mcp HTTP/1.1\r\nHost: localhost\r\n" + ctJSON + length, 400, 0},
	{"PUT", "PUT /mcp HTTP/1.1\r\nHost: localhost\r\n" + ctJSON + length, 405, 0},
	{"a head of 100 KB", post11 + "X-A: " + strings.Repeat("a", 100_000) + "\r\n" + ctJSON + length, 431, 0},
	{"a header one byte over the head's limit", post11 + "X-A: " + strings.Repeat("a", 70<<10) + "\r\n" + ctJSON + length, 431, 0},
	{"too many headers", post11 + strings.Repeat("X-A: b\r\n", 10_000) + ctJSON + length, 431, 0},
	{"too long a path", "POST /" + strings.Repeat("a", 100_000) + " HTTP/1.1\r\nHost: localhost\r\n" + ctJSON + length, 431, 0},
	{"too long a query", "POST /mcp?" + strings.Repeat("a", 100_000) + " HTTP/1.1\r\nHost: localhost\r\n" + ctJSON + length, 431, 0},
	{"a head without an end", post11 + strings.Repeat("X-A: "+strings.Repeat("a", 1000)+"\r\n", 1000), 431, 0},
	{"a line without an end", strings.Repeat("A", 1<<20), 431, 0},
	{"one byte over", post11 + ctJSON + "Content-Length: 4194305\r\n\r\n" + strings.Repeat(" ", 4<<20+1), 413, 0},
	{"one byte over in chunks", post11 + ctJSON + "Transfer-Encoding: chunked\r\n\r\n400001\r\n" + strings.Repeat(" ", 4<<20+1) + "\r\n0\r\n\r\n", 413, 0},
	{"chunks without an end", post11 + ctJSON + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("2000\r\n"+strings.Repeat(" ", 8<<10)+"\r\n", 700), 413, 0},
	{"a chunk extension without an end", post11 + ctJSON + "Transfer-Encoding: chunked\r\n\r\n5b;" + strings.Repeat("x", 100_000) + "\r\nBODY\r\n0\r\n\r\n", 400, 0},
	{"more extensions than message", post11 + ctJSON + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;"+strings.Repeat("x", 2000)+"\r\n \r\n", 50), 400, 0},
	{"a long trailer", post11 + ctJSON + "Transfer-Encoding: chunked\r\n\r\n5b\r\nBODY\r\n0\r\nX-A: " + strings.Repeat("a", 100_000) + "\r\n\r\n", 400, 0},
	{"half a head", "POST /mcp HTTP/1.1\r\nHost: loc", 400, 0},
	{"half a body", post11 + ctJSON + "Content-Length: 91\r\n\r\n" + body[:20], 400, 0},
	{"nothing", "", 0, 0},
	{"TLS", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", 400, 0},
}

// paths name no server.
var paths = []string{
	"//mcp", "/mcp/", "/./mcp", "/x/../mcp", "/%6dcp", "/mcp%2f", "/mcp%00", "/mcp;a", "/MCP", "/servers/default/mcp/", "/servers//mcp", "/servers/./mcp",
	"/servers/../mcp", "/servers/default/../default/mcp", "/servers/%64efault/mcp", "/servers/default%2fmcp", "/servers/DEFAULT/mcp", "/servers/other/mcp", "/", "*", "/servers/default/mcp%20",
	"/servers/default\\mcp", "/servers/default/mcp/x",
}

// TestSockets writes bytes to the port. Either the server gets nothing, or what it gets is one message, judged.
func TestSockets(t *testing.T) {
	t.Parallel()
	all := shapes
	for _, path := range paths {
		all = append(all, shape{"path " + path, "POST " + path + " HTTP/1.1\r\nHost: localhost\r\n" + ctJSON + length, 404, 0})
	}
	fill := strings.NewReplacer("LEN", strconv.Itoa(len(body)), "BODY", body, "CHUNKED", "40\r\n"+body[:64]+"\r\n1b\r\n"+body[64:]+"\r\n0\r\n\r\n")
	var group sync.WaitGroup
	for part := range slices.Chunk(all, len(all)/4+1) { // net/http takes half a second to hang up on what it has not read
		p := newProbe(t, recorder(t))
		at := strings.TrimSuffix(strings.TrimPrefix(p.gateway.URL, "http://"), "/mcp")
		group.Go(func() {
			for _, s := range part {
				status := write(t, at, fill.Replace(s.text), s.status == 400)
				if status != s.status {
					t.Errorf("%s: HTTP %d, want %d", s.name, status, s.status)
				}
				p.count(t, s)
			}
		})
	}
	group.Wait()
	t.Logf("%d shapes", len(all))
}

// count makes sure that as many messages reached the server as should have, and that each was judged.
func (p *probe) count(t *testing.T, s shape) {
	t.Helper()
	judged, sent := 0, 0
	for _, r := range ofRequests(p.journal.next(t)) {
		if r.Outcome == "allow" {
			judged++
		}
	}
	for _, b := range p.server.take() {
		if len(b) > 0 { // else it is a GET
			sent++
		}
		if text := string(b); text != "" && text != body && !strings.HasSuffix(smuggle, text) {
			t.Errorf("%s: the server got %q", s.name, b)
		}
	}
	if sent != s.reached || judged != s.reached {
		t.Errorf("%s: %d messages reached the server, %d were judged, want %d", s.name, sent, judged, s.reached)
	}
}

// TestReaderLeaves has clients that leave when the answer begins, and read nothing of it.
func TestReaderLeaves(t *testing.T) {
	t.Parallel()
	s := &server{seen: func(testing.TB) []sighting { return nil }}
	s.listen(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"text":"`+strings.Repeat("x", 3<<20)+`"}}`) // the gateway may have left
	}))
	p := newProbe(t, s)
	at, err := url.Parse(p.gateway.URL)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("LEN", strconv.Itoa(len(body)), "BODY", body).Replace(post11 + ctKeep + length)
	for range 20 {
		conn, err := net.Dial("tcp", at.Host)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, text); err != nil {
			t.Error(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		_ = conn.Close() // with most of the answer unread
		p.count(t, shape{name: "a reader that leaves", reached: 1})
	}
	if status, _ := post(t, p.gateway.URL, posting{name: "after", text: body}); status != http.StatusOK {
		t.Errorf("after readers that leave: HTTP %d", status)
	}
}

// write writes to the port, may say that nothing follows, and reads until the gateway closes. It returns the
// status of the first answer. A client that says that nothing follows has left, to the gateway.
func write(t *testing.T, addr, text string, ends bool) int {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = io.WriteString(conn, text) // the gateway may have had enough before the end
		if ends || text == "" {
			_ = conn.(*net.TCPConn).CloseWrite() // as above
		}
	}()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil && line == "" {
		return 0
	}
	_, _ = io.Copy(io.Discard, conn) // what follows
	fields := strings.Fields(line)
	if len(fields) < 2 {
		t.Errorf("no status: %q", line)
		return 0
	}
	status, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Error(err)
	}
	return status
}
