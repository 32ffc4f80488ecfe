package mcp

import (
	"encoding/base64"
	"math/big"
	"net/http"
	"strings"
)

// Headers of the protocol.
const (
	HeaderVersion = "Mcp-Protocol-Version"
	HeaderSession = "Mcp-Session-Id"
	HeaderMethod  = "Mcp-Method"
	HeaderName    = "Mcp-Name"
	HeaderParam   = "Mcp-Param-" // a prefix
)

// CheckHeaders refuses a message whose Mcp-* headers say anything else than
// its body. The body decides; but a server, or whatever stands before it, may
// go by the headers.
func CheckHeaders(h http.Header, m *Message) *Error {
	if twice(h) {
		return mismatch("a header is given twice")
	}
	stated, inBody := h.Get(HeaderVersion), m.Version()
	modern := stated >= Modern || inBody != ""
	if inBody != "" && stated != inBody {
		return mismatch(HeaderVersion + " differs from _meta")
	}
	if !modern || !m.IsRequest() {
		return checkLegacy(h, m)
	}
	if inBody == "" {
		return malformed(CodeInvalidParams, "invalid params", "_meta lacks the protocol version")
	}
	if h.Get(HeaderMethod) != m.Method {
		return mismatch(HeaderMethod + " differs from the body")
	}
	return checkName(h, m)
}

// twice reports whether one of the Mcp-* headers has two values, or two names
// that are one to a server behind CGI or WSGI, where _ stands for - as well.
func twice(h http.Header) bool {
	underscored := false
	for name, values := range h {
		if strings.HasPrefix(name, "Mcp") {
			if len(values) > 1 {
				return true
			}
			underscored = underscored || strings.Contains(name, "_")
		}
	}
	if !underscored {
		return false
	}
	seen := map[string]bool{}
	for name := range h {
		name = strings.ToLower(strings.ReplaceAll(name, "_", "-"))
		if strings.HasPrefix(name, "mcp-") && seen[name] {
			return true
		}
		seen[name] = true
	}
	return false
}

// checkLegacy checks a message that need not have Mcp-* headers: those it has
// must be true all the same.
func checkLegacy(h http.Header, m *Message) *Error {
	if _, ok := h[HeaderMethod]; ok && h.Get(HeaderMethod) != m.Method {
		return mismatch(HeaderMethod + " differs from the body")
	}
	if _, ok := h[HeaderName]; ok {
		return checkName(h, m)
	}
	return nil
}

func checkName(h http.Header, m *Message) *Error {
	name, ok := DecodeHeader(h.Get(HeaderName))
	if !ok || name != m.Target() {
		return mismatch(HeaderName + " differs from the body")
	}
	return nil
}

// CheckParams checks the Mcp-Param-* headers of a tool call against its
// arguments. params maps the headers that the tool's schema declares, in
// canonical form, to the path of the argument that each mirrors.
func CheckParams(h http.Header, args Value, params map[string][]string) *Error {
	for name, path := range params {
		v := args
		for _, step := range path {
			v = v.Get(step)
		}
		values, given := h[name]
		if !v.Exists() || v.Kind() == 'n' {
			if given {
				return mismatch(name + " has no argument")
			}
			continue
		}
		if len(values) != 1 {
			return mismatch(name + " is missing")
		}
		if text, ok := DecodeHeader(values[0]); !ok || !mirrors(text, v) {
			return mismatch(name + " differs from the argument")
		}
	}
	return nil
}

func mirrors(text string, v Value) bool {
	switch v.Kind() {
	case '"':
		return text == v.String()
	case 't', 'f':
		return text == v.Text()
	case '0':
		if text == v.Text() {
			return true
		}
		n, ok := new(big.Rat).SetString(v.Text())
		return ok && n.IsInt() && n.Num().String() == text
	}
	return false
}

// DecodeHeader decodes a mirrored value, which is base64 within =?base64?…?=
// where plain ASCII would not do. It reports false for broken base64. What
// should have been encoded and is not passes as it is: the Go SDK sends it so.
func DecodeHeader(value string) (string, bool) {
	coded, prefixed := strings.CutPrefix(value, "=?base64?")
	coded, suffixed := strings.CutSuffix(coded, "?=")
	if !prefixed || !suffixed {
		return value, true
	}
	text, err := base64.StdEncoding.Strict().DecodeString(coded)
	return string(text), err == nil
}

func mismatch(cause string) *Error {
	return malformed(CodeHeaderMismatch, "header mismatch", cause)
}

// EncodeHeader is the form in which a value is mirrored in a header.
func EncodeHeader(value string) string {
	plain := strings.TrimSpace(value) == value && !strings.HasPrefix(value, "=?base64?")
	for i := range len(value) {
		plain = plain && value[i] >= 0x20 && value[i] < 0x7f
	}
	if plain {
		return value
	}
	return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(value)) + "?="
}

// Mirror sets the headers that a message calls for, where the transport has none.
func Mirror(h http.Header, m *Message) {
	stated := m.Version()
	if stated == "" {
		return
	}
	h.Set(HeaderVersion, stated)
	h.Set(HeaderMethod, m.Method)
	if target := m.Target(); target != "" {
		h.Set(HeaderName, EncodeHeader(target))
	}
}

// MirrorParams sets the Mcp-Param-* headers that the arguments call for, and
// deletes those whose argument is not there; params is as for CheckParams.
func MirrorParams(h http.Header, args Value, params map[string][]string) {
	for name, path := range params {
		v := args
		for _, step := range path {
			v = v.Get(step)
		}
		switch v.Kind() {
		case '"':
			h.Set(name, EncodeHeader(v.String()))
		case 't', 'f', '0':
			h.Set(name, v.Text())
		default:
			h.Del(name)
		}
	}
}
