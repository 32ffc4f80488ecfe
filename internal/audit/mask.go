package audit

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-mcp/gatehouse/internal/mcp"
)

// masked stands for a value that a record must not hold.
const masked = `"***"`

// appendValue adds a value on one line, masked.
func appendValue(b []byte, v mcp.Value) []byte {
	switch v.Kind() {
	case '{':
		return appendObject(b, v)
	case '[':
		b = append(b, '[')
		for item := range v.Items() {
			b = appendValue(comma(b), item)
		}
		return append(b, ']')
	case '"':
		return appendText(b, v.String())
	}
	return append(b, v.Text()...)
}

// appendObject adds an object. What its member says it is called tells of its
// value too, as in {"name":"password","value":"…"}.
func appendObject(b []byte, v mcp.Value) []byte {
	named := func() bool { return secretKey(v.Get("name").String()) || secretKey(v.Get("key").String()) }
	b = append(b, '{')
	for name, m := range v.Members() {
		n := name.String()
		b = append(appendString(comma(b), n), ':')
		switch {
		case ordinary[n]:
			b = appendValue(b, m)
		case secretKey(n) || n == "value" && named():
			b = append(b, masked...)
		case m.IsString() && isURIName(n) && !secretText(m.String()):
			b = appendString(b, MaskURI(m.String()))
		default:
			b = appendValue(b, m)
		}
	}
	return append(b, '}')
}

// appendHints adds a tool's annotations. Those that are not true or false are
// texts of the server's, as results are.
func appendHints(b []byte, annotations mcp.Value) []byte {
	if !annotations.IsObject() {
		return b
	}
	b = open(b, "annotations")
	for name, v := range annotations.Members() {
		b = append(appendString(comma(b), name.String()), ':')
		if k := v.Kind(); k == 't' || k == 'f' {
			b = append(b, v.Text()...)
		} else {
			b = append(b, masked...)
		}
	}
	return append(b, '}')
}

// ordinary are names that most messages have, and that are not worth a look: neither a
// secret's nor a URI's.
var ordinary = func() map[string]bool {
	names := map[string]bool{}
	for _, name := range []string{
		"_meta", "arguments", "name", "title", "version", "io.modelcontextprotocol/clientCapabilities",
		"io.modelcontextprotocol/clientInfo", "io.modelcontextprotocol/protocolVersion",
	} {
		names[name] = !secretKey(name) && !isURIName(name)
	}
	return names
}()

// isURIName reports whether a member of that name holds a URI.
func isURIName(name string) bool {
	end := name[max(0, len(name)-len("uri")):]
	return strings.EqualFold(end, "uri") || strings.EqualFold(end, "url")
}

func appendText(b []byte, s string) []byte {
	if secretText(s) {
		return append(b, masked...)
	}
	if strings.Contains(s, "://") {
		s = MaskURI(s)
	}
	return appendString(b, s)
}

// plainHeaders are the headers whose values a record shows. Any other may be
// a credential under a name of its own, or repeat what is masked elsewhere, as
// Mcp-Name does in base64.
var plainHeaders = map[string]bool{
	"Accept": true, "Accept-Encoding": true, "Accept-Language": true, "Content-Length": true,
	"Content-Type": true, "Host": true, "Origin": true, "User-Agent": true, "Traceparent": true,
	mcp.HeaderVersion: true, mcp.HeaderMethod: true,
}

func appendHeaders(b []byte, h http.Header) []byte {
	var few [32]string
	names := few[:0]
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	b = append(b, '{')
	for _, name := range names {
		at := len(comma(b)) + 1
		b = appendString(comma(b), name)
		lower(b[at:])
		b = append(b, ':')
		if plainHeaders[name] {
			b = appendText(b, strings.Join(h[name], ", "))
		} else {
			b = append(b, masked...)
		}
	}
	return append(b, '}')
}

// lower makes the letters of a header's name small, where they stand.
func lower(name []byte) {
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			name[i] += 'a' - 'A'
		}
	}
}

// MaskURI is a URI as records show it: without user information, and without the
// values of a query or fragment.
func MaskURI(uri string) string {
	if !strings.ContainsAny(uri, "?@#") {
		return uri
	}
	u, err := url.Parse(uri)
	if err != nil || strings.Contains(u.Opaque, "@") || strings.Contains(uri, "@") && strings.Contains(u.Path+u.Opaque, "://") {
		return "***"
	}
	hidden := func(there bool, mark string) string {
		if there {
			return mark + "***"
		}
		return ""
	}
	query, fragment := hidden(u.RawQuery != "", "?"), hidden(u.Fragment != "", "#")
	user := u.User != nil
	if !user && query == "" && fragment == "" {
		return uri // as it was written, not as it would be written
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	text := u.String()
	if user {
		text = strings.Replace(text, "//", "//***@", 1)
	}
	return text + query + fragment
}

// appendString adds a JSON string in which nothing can end a line, turn the
// direction of the text, or move a terminal's cursor.
func appendString(b []byte, s string) []byte {
	if plain(s) {
		return append(append(append(b, '"'), s...), '"')
	}
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < 0x80 && r >= 0x20 && r != 0x7f:
			b = append(b, byte(r))
		case unicode.IsPrint(r):
			b = utf8.AppendRune(b, r)
		default:
			b = appendEscape(b, r)
		}
	}
	return append(b, '"')
}

func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func appendEscape(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	if r > 0xffff {
		r -= 0x10000
		b = appendEscape(b, 0xd800+r>>10)
		r = 0xdc00 + r&0x3ff
	}
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
