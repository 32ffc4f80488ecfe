package boundary

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
)

// A framing is a way in which a server answers. The head is a status line and headers; the body has
// placeholders: EVIL is a response that must not be read, SAFE one that may, NOTE a notification and ASK a
// request of the server's that must not be read, ID the request's id.
type framing struct {
	name string
	head string
	body string
	// whole, where set, makes the bytes after the head of the body with its placeholders filled in.
	whole func(string) string
	more  int  // how often the body is repeated
	open  bool // the server does not end the answer
}

const (
	okHead   = "HTTP/1.1 200 OK\r\nContent-Type: "
	sseHead  = okHead + "text/event-stream\r\n"
	jsonHead = okHead + "application/json\r\n"
)

// framings are all ways of answering a request.
func framings() []framing {
	all := append(eventFramings(), bodyFramings()...)
	for _, status := range []int{201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 407, 409, 413, 422, 429, 500, 502, 503, 599, 999} {
		head := fmt.Sprintf("HTTP/1.1 %d Other\r\nLocation: /f/plain-json/mcp\r\nRetry-After: 0\r\nContent-Type: ", status)
		all = append(
			all,
			framing{name: fmt.Sprintf("status-%d-json", status), head: head + "application/json\r\n", body: "EVIL"},
			framing{name: fmt.Sprintf("status-%d-events", status), head: head + "text/event-stream\r\n", body: "data: EVIL\n\n"},
		)
	}
	for i, kind := range []string{
		"text/plain", "text/html", "application/octet-stream", "application/jsonl", "application/json-seq", "application/vnd.api+json", "text/json",
		"application/json; charset=utf-16", "application/json; charset=utf-7", "application/json; charset=latin1", "application/json, text/event-stream",
		"text/event-stream; charset=utf-16", "text/event-stream, application/json", "multipart/mixed; boundary=x", "APPLICATION/JSON", ";", "application/json;charset",
	} {
		all = append(
			all,
			framing{name: fmt.Sprintf("type-%d-json", i), head: okHead + kind + "\r\n", body: "EVIL"},
			framing{name: fmt.Sprintf("type-%d-events", i), head: okHead + kind + "\r\n", body: "data: EVIL\n\n"},
		)
	}
	return all
}

// eventFramings are streams of events.
func eventFramings() []framing {
	all := []framing{
		{name: "events-no-data", body: ": EVIL\n\nevent: EVIL\n\nid: EVIL\n\nretry: EVIL\n\n"},
		{name: "events-unended", body: "data: EVIL\n"},
		{name: "events-unended-line", body: "data: EVIL"},
		{name: "events-never-ending", body: "data: EVIL", more: 2000, open: true},
		{name: "events-endless-comments", body: ": EVIL\n", more: 2000},
		{name: "events-endless-lines", body: "data: EVIL\n", more: 2000, open: true},
		{name: "events-chunked", head: sseHead + "Transfer-Encoding: chunked\r\nTrailer: X-Evil\r\n", body: "data: EVIL\n\n", whole: chunked("X-Evil: S3CR3T-CANARY\r\n")},
		{name: "events-http10", head: strings.Replace(sseHead, "1.1", "1.0", 1), body: "data: EVIL\n\n"},
		{name: "events-gzip", head: sseHead + "Content-Encoding: gzip\r\n", body: "data: EVIL\n\n", whole: gzipped},
		{name: "events-id-header", head: sseHead + "Mcp-Session-Id: S3CR3T-CANARY\r\nX-Evil: S3CR3T-CANARY\r\nSet-Cookie: a=S3CR3T-CANARY\r\n", body: "data: EVIL\n\n"},
	}
	for name, body := range map[string]string{
		"lf": "data: EVIL\n\n", "cr": "data: EVIL\r\r", "crlf": "data: EVIL\r\n\r\n", "mixed": "data: EVIL\r\n\n", "mixed-2": "data: EVIL\n\r", "mixed-3": "data: EVIL\r\n\r",
		"bom": "\ufeffdata: EVIL\n\n", "two-boms": "\ufeff\ufeffdata: EVIL\n\n", "bom-in-data": "data: \ufeffEVIL\n\n", "nel": "data: EVIL\u0085\u0085", "ls": "data: EVIL\u2028\u2028",
		"no-space": "data:EVIL\n\n", "tab": "data:\tEVIL\n\n", "two-spaces": "data:  EVIL\n\n", "upper-field": "DATA: EVIL\n\n", "space-field": " data: EVIL\n\n", "space-before-colon": "data : EVIL\n\n",
		"two-documents": "data: SAFE\ndata: EVIL\n\n", "two-documents-line": "data: SAFE EVIL\n\n", "two-documents-reversed": "data: EVIL\ndata: SAFE\n\n", "cr-in-line": "data: SAFE\rdata: EVIL\n\n",
		"lone-cr-hides": ": hidden\rdata: EVIL\n\n", "lone-cr-hides-2": "event: x\r\rdata: EVIL\n\n", "named-error": "event: error\ndata: EVIL\n\n", "named-message-upper": "event: MESSAGE\ndata: EVIL\n\n",
		"named-space": "event: message \ndata: EVIL\n\n", "named-empty": "event:\ndata: EVIL\n\n", "named-twice": "event: x\nevent: message\ndata: EVIL\n\n", "named-nul": "event: message\x00\ndata: EVIL\n\n",
		"named-endpoint": "event: endpoint\ndata: /f/plain-json/mcp\n\ndata: EVIL\n\n", "named-ping": "event: ping\ndata: EVIL\n\n", "array": "data: [EVIL]\n\n", "array-two": "data: [SAFE,EVIL]\n\n",
		"string": "data: \"EVIL\"\n\n", "garbage-first": "data: {\n\ndata: EVIL\n\n", "garbage-then-unended": "data: x\n\ndata: EVIL\n", "comment-within": ":\ndata: EVIL\n:\n\n",
		"id-tricks": "id: 1\ndata:\n\nid: \x00\nretry: 0\ndata: EVIL\n\n", "retry": "retry: 0\n\ndata: EVIL\n\n", "after-response": "data: SAFE\n\ndata: EVIL\n\n", "after-response-note": "data: SAFE\n\ndata: NOTE\n\n",
		"after-response-ask": "data: SAFE\n\ndata: ASK\n\n", "note-before": "data: NOTE\n\ndata: SAFE\n\n", "ask-before": "data: ASK\n\ndata: SAFE\n\n", "note-array": "data: [NOTE]\n\ndata: SAFE\n\n",
		"empty-data-then": "data\n\ndata\ndata: EVIL\n\n", "colon-only": ":\n:\n\n\ndata: EVIL\n\n", "data-split": "data: {\"jsonrpc\":\"2.0\",\ndata: \"id\":ID,\ndata: \"result\":RESULT}\n\n",
		"data-split-name": "data: {\"jsonrpc\":\"2.0\",\"id\":ID,\"res\ndata: ult\":RESULT}\n\n", "data-split-crlf": "data: {\"jsonrpc\":\"2.0\",\"id\":ID,\r\ndata: \"result\":RESULT}\r\n\r\n",
		"nul-before": "\x00data: EVIL\n\n", "nul-after": "data: EVIL\x00\n\n", "nul-field": "data\x00: EVIL\n\n", "invalid-utf8": "data: EVIL\xff\n\n", "http-within": "HTTP/1.1 200 OK\r\n\r\ndata: EVIL\n\n",
	} {
		all = append(all, framing{name: "events-" + name, body: body})
	}
	for i := range all {
		if all[i].head == "" {
			all[i].head = sseHead
		}
	}
	return all
}

// bodyFramings are single answers, and what may stand in them.
func bodyFramings() []framing {
	all := []framing{
		{name: "body-no-type", head: "HTTP/1.1 200 OK\r\n", body: "EVIL"},
		{name: "body-no-type-events", head: "HTTP/1.1 200 OK\r\n", body: "data: EVIL\n\n"},
		{name: "body-two-types", head: jsonHead + "Content-Type: text/event-stream\r\n", body: "data: EVIL\n\n"},
		{name: "body-two-types-json", head: jsonHead + "Content-Type: text/plain\r\n", body: "EVIL"},
		{name: "body-http10", head: strings.Replace(jsonHead, "1.1", "1.0", 1), body: "EVIL"},
		{name: "body-http09", head: "", body: "EVIL"},
		{name: "body-gzip", head: jsonHead + "Content-Encoding: gzip\r\n", body: "EVIL", whole: gzipped},
		{name: "body-gzip-unannounced", body: "EVIL", whole: gzipped},
		{name: "body-gzip-not-gzip", head: jsonHead + "Content-Encoding: gzip\r\n", body: "EVIL"},
		{name: "body-identity", head: jsonHead + "Content-Encoding: identity\r\n", body: "EVIL"},
		{name: "body-identity-gzip", head: jsonHead + "Content-Encoding: identity, gzip\r\n", body: "EVIL", whole: gzipped},
		{name: "body-deflate", head: jsonHead + "Content-Encoding: deflate\r\n", body: "EVIL", whole: deflated},
		{name: "body-chunked", head: jsonHead + "Transfer-Encoding: chunked\r\n", body: "EVIL", whole: chunked("X-Evil: S3CR3T-CANARY\r\n")},
		{name: "body-chunked-gzip", head: jsonHead + "Transfer-Encoding: gzip, chunked\r\n", body: "EVIL", whole: chunked("")},
		{name: "body-chunked-and-length", head: jsonHead + "Transfer-Encoding: chunked\r\nContent-Length: 10\r\n", body: "EVIL", whole: chunked("")},
		{name: "body-chunked-broken", head: jsonHead + "Transfer-Encoding: chunked\r\n", body: "EVIL"},
		{name: "body-length-short", head: jsonHead + "Content-Length: 20\r\n", body: "EVIL"},
		{name: "body-length-long", head: jsonHead + "Content-Length: 9000\r\n", body: "EVIL"},
		{name: "body-length-two", head: jsonHead + "Content-Length: 20\r\nContent-Length: 200\r\n", body: "EVIL"},
		{name: "body-length-zero", head: jsonHead + "Content-Length: 0\r\n", body: "EVIL"},
		{name: "body-length-safe", head: jsonHead + "Content-Length: LENGTH\r\n", body: "SAFE", whole: func(s string) string { return s + "EVIL HTTP/1.1 200 OK\r\n\r\nS3CR3T-CANARY" }},
		{name: "body-informational", head: "HTTP/1.1 103 Early Hints\r\nLink: S3CR3T-CANARY\r\n\r\n" + jsonHead, body: "EVIL"},
		{name: "body-switching", head: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n", body: "EVIL"},
		{name: "body-oversize", body: "EVIL", more: 2000},
		{name: "body-oversize-blank", body: "SAFE", whole: func(s string) string { return s + strings.Repeat(" ", 70_000) + "S3CR3T-CANARY" }},
		{name: "body-never-ending", body: "EVIL", more: 2000, open: true},
		{name: "body-utf16le", body: "EVIL", whole: utf16With(binary.LittleEndian)},
		{name: "body-utf16be", body: "\ufeffEVIL", whole: utf16With(binary.BigEndian)},
		{name: "body-utf16-announced", head: okHead + "application/json; charset=utf-16le\r\n", body: "EVIL", whole: utf16With(binary.LittleEndian)},
		{name: "body-header-lines", head: jsonHead + "X-Evil: S3CR3T-CANARY\r\nSet-Cookie: S3CR3T-CANARY\r\nWWW-Authenticate: Bearer error=\"S3CR3T-CANARY\"\r\nMcp-Session-Id: S3CR3T-CANARY\r\n", body: "SAFE"},
		{name: "body-status-text", head: strings.Replace(jsonHead, "OK", "S3CR3T-CANARY", 1), body: "SAFE"},
		{name: "body-folded-header", head: jsonHead + "X-Folded: a\r\n Content-Type: text/event-stream\r\n", body: "data: EVIL\n\n"},
		{name: "plain-json", body: "EVIL"},
		{name: "plain-safe", body: "SAFE"},
		{name: "plain-safe-events", head: sseHead, body: "data: SAFE\n\n"},
	}
	for name, body := range documents {
		all = append(all, framing{name: "document-" + name, body: body}, framing{name: "document-events-" + name, head: sseHead, body: "data: " + body + "\n\n"})
	}
	for i := range all {
		if all[i].head == "" && all[i].name != "body-http09" {
			all[i].head = jsonHead
		}
	}
	return all
}

func chunked(trailer string) func(string) string {
	return func(body string) string {
		var b strings.Builder
		for len(body) > 0 {
			n := min(7, len(body))
			fmt.Fprintf(&b, "%x;x=S3CR3T-CANARY\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		return b.String() + "0\r\n" + trailer + "\r\n"
	}
}

func gzipped(body string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(body)) // to memory
	_ = w.Close()
	return b.String()
}

func deflated(body string) string {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		return err.Error()
	}
	_, _ = w.Write([]byte(body)) // to memory
	_ = w.Close()
	return b.String()
}

func utf16With(order binary.AppendByteOrder) func(string) string {
	return func(body string) string {
		var b []byte
		for _, unit := range utf16.Encode([]rune(body)) {
			b = order.AppendUint16(b, unit)
		}
		return string(b)
	}
}
