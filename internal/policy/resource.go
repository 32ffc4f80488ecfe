package policy

import (
	"net/url"
	"path"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A Resource is the resource that a message is about: its URI as sent, and its
// parts in the one form that rules may compare. Valid says that the parts can
// be relied on: another reader of the URI would find the same ones.
type Resource struct {
	URI      string
	Template bool // the URI is a template, and its variables are not filled in
	Valid    bool

	Scheme   string // lower case
	Host     string // lower case, without the port
	Port     string
	Path     string // percent-decoded, without dot segments
	Query    string
	Fragment string
}

// ParseResource takes a URI apart. It does not vouch for a URI with what
// readers disagree on: user information, an encoded slash or percent sign, a
// backslash, control characters, or a path that climbs above its root.
func ParseResource(uri string) *Resource {
	r := &Resource{URI: uri}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" || u.User != nil {
		return r
	}
	text := u.Path + u.Opaque
	if strings.ContainsFunc(uri, func(c rune) bool { return c <= ' ' || c == '\\' || c == 0x7f }) ||
		strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == '\\' || c == 0x7f || c == '%' }) ||
		strings.Contains(strings.ToLower(u.EscapedPath()), "%2f") || strings.Contains(u.Opaque, "%") || climbs(text) {
		return r
	}
	r.Valid = true
	r.Scheme, r.Host, r.Port = strings.ToLower(u.Scheme), strings.ToLower(u.Hostname()), u.Port()
	r.Query, r.Fragment = u.RawQuery, u.Fragment
	r.Path = u.Opaque
	if u.Path != "" {
		r.Path = path.Clean(u.Path)
		if strings.HasSuffix(u.Path, "/") && r.Path != "/" {
			r.Path += "/"
		}
	}
	return r
}

// climbs reports whether .. leads above the root.
func climbs(p string) bool {
	depth := 0
	for segment := range strings.SplitSeq(p, "/") {
		switch segment {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return true
			}
		default:
			depth++
		}
	}
	return false
}

func (r *Resource) term() *ast.Term {
	o := object{}
	o.text(ast.InternedTerm("uri"), r.URI)
	o.add(ast.InternedTerm("valid"), ast.InternedTerm(r.Valid))
	if r.Template {
		o.add(ast.InternedTerm("template"), ast.InternedTerm(true))
	}
	if !r.Valid {
		return o.term()
	}
	for _, part := range [][2]string{
		{"scheme", r.Scheme},
		{"host", r.Host},
		{"port", r.Port},
		{"path", r.Path},
		{"query", r.Query},
		{"fragment", r.Fragment},
	} {
		o.text(ast.InternedTerm(part[0]), part[1])
	}
	segments := []*ast.Term{}
	for s := range strings.SplitSeq(r.Path, "/") {
		if s != "" {
			segments = append(segments, ast.StringTerm(s))
		}
	}
	o.add(ast.InternedTerm("path_segments"), ast.ArrayTerm(segments...))
	return o.term()
}
