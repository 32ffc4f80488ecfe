package audit

import (
	"net/http"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// Shared is what the records of one exchange have in common, masked once. They
// are written one after the other, and their inputs have the same headers. A nil
// one shares nothing.
type Shared struct {
	params  mcp.Value
	text    []byte // of params
	headers []byte
}

// maxShared is the size of params, in bytes, beyond which a text of them is not
// kept as long as the exchange goes on.
const maxShared = 4 << 10

func (s *Shared) appendParams(b []byte, params mcp.Value) []byte {
	if s == nil || !params.Exists() || len(params.Text()) > maxShared {
		return value(b, "params", params)
	}
	if s.params != params {
		s.params, s.text = params, appendValue(make([]byte, 0, len(params.Text())), params)
	}
	return append(key(b, "params"), s.text...)
}

func (s *Shared) appendHeaders(b []byte, h http.Header) []byte {
	b = key(b, "headers")
	if s == nil {
		return appendHeaders(b, h)
	}
	if s.headers == nil {
		s.headers = appendHeaders(make([]byte, 0, 512), h)
	}
	return append(b, s.headers...)
}
