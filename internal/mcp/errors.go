package mcp

import (
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// JSON-RPC error codes that the protocol itself gives a meaning.
const (
	CodeParse          = -32700
	CodeInvalidRequest = -32600
	CodeInvalidParams  = -32602
	CodeNoMethod       = -32601
	CodeHeaderMismatch = -32020
)

// An Error is an answer of the gateway's own in place of the server's. Every
// field but Cause reaches the client.
type Error struct {
	Status  int    // of the HTTP answer
	Code    int    // of the JSON-RPC error; the status unless the protocol has one
	Message string // a fixed text for its kind
	Reason  string // goes into data.reason; may be empty
	ID      string // the decision_id of the audit record; goes into data
	Cause   string // for log and audit only
}

func (e *Error) Error() string {
	if e.Cause == "" {
		return e.Message
	}
	return e.Message + ": " + e.Cause
}

// Refuse returns an error whose code is its HTTP status.
func Refuse(status int, message, cause string) *Error {
	return &Error{Status: status, Code: status, Message: message, Cause: cause}
}

// NoMethod refuses a method that the gateway does not carry.
func NoMethod(cause string) *Error {
	return &Error{Status: http.StatusNotFound, Code: CodeNoMethod, Message: "method not found", Cause: cause}
}

// Unknown refuses a request about something that its caller cannot know of.
func Unknown(message string) *Error {
	return &Error{Status: http.StatusNotFound, Code: CodeInvalidParams, Message: message}
}

func malformed(code int, message, cause string) *Error {
	return &Error{Status: http.StatusBadRequest, Code: code, Message: message, Cause: cause}
}

// Body is the JSON-RPC error response to the request whose id has that text;
// an empty id leaves it out, for a message that had none.
func (e *Error) Body(id string) string {
	b := make([]byte, 0, 192)
	b = append(b, `{"jsonrpc":"2.0"`...)
	if id != "" {
		b = append(append(b, `,"id":`...), id...)
	}
	b = append(b, `,"error":{"code":`...)
	b = strconv.AppendInt(b, int64(e.Code), 10)
	b = append(b, `,"message":`...)
	b = AppendString(b, e.Message)
	if e.Reason != "" || e.ID != "" {
		b = append(b, `,"data":{`...)
		if e.Reason != "" {
			b = append(AppendString(append(b, `"reason":`...), e.Reason), ',')
		}
		b = append(AppendString(append(b, `"decision_id":`...), e.ID), '}')
	}
	return string(append(b, "}}"...))
}

// ToolResult is the same refusal as the result of a tool call, so that the
// model reads it.
func (e *Error) ToolResult(id string) string {
	text := e.Message
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	b := append([]byte(`{"jsonrpc":"2.0","id":`), id...)
	b = append(b, `,"result":{"resultType":"complete","content":[{"type":"text","text":`...)
	b = AppendString(b, text)
	return string(append(b, `}],"isError":true}}`...))
}

// AppendString appends s as a JSON string; invalid UTF-8 becomes U+FFFD.
func AppendString(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s) // its error says only that it mended s
	return b
}
