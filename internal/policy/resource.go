package policy

import (
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

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
// backslash, control characters, a path that climbs above its root or has empty
// segments, a host that some read as another.
func ParseResource(uri string) *Resource {
	r := &Resource{URI: uri}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" || u.User != nil || !utf8.ValidString(u.Path+u.Fragment) ||
		strings.ContainsFunc(uri, odd) || strings.ContainsFunc(u.Path, oddInPath) {
		return r
	}
	host, ok := plainHost(u.Hostname())
	port, known := plainPort(u.Scheme, u.Port())
	web := defaultPorts[u.Scheme] != ""
	switch {
	case !ok, !known, web && host == "", strings.Contains(strings.ToLower(u.RawPath), "%2f"):
		return r
	case u.Opaque != "" && (web || u.Scheme == "file" || strings.Contains(u.Opaque, "%") || hasDots(u.Opaque)):
		return r
	case climbs(u.Path), strings.Contains(u.Path+u.Opaque, "//"):
		return r
	}
	r.Valid = true
	r.Scheme, r.Host, r.Port, r.Query, r.Fragment = u.Scheme, host, port, u.RawQuery, u.Fragment
	if r.Scheme == "file" && host == "localhost" {
		r.Host = ""
	}
	r.Path = u.Opaque
	if u.Path != "" {
		r.Path = path.Clean(u.Path)
		last := u.Path[strings.LastIndexByte(u.Path, '/')+1:]
		if (last == "" || last == "." || last == "..") && r.Path != "/" {
			r.Path += "/"
		}
	}
	return r
}

// odd are the characters that some readers drop, and others do not.
func odd(c rune) bool { return c == '\\' || c == ' ' || unicode.IsControl(c) || c == utf8.RuneError }

// oddInPath are those that a path does not have once it is decoded. A percent sign
// is left for somebody to decode once more.
func oddInPath(c rune) bool { return c == '%' || c != ' ' && odd(c) }

// defaultPorts are of the schemes whose URIs always have a host.
var defaultPorts = map[string]string{"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21"}

// plainPort is a port in the one form, which is none for the scheme's own.
func plainPort(scheme, port string) (string, bool) {
	if port == "" {
		return "", true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if port = strconv.FormatUint(n, 10); port == defaultPorts[scheme] {
		port = ""
	}
	return port, err == nil
}

// plainHost is a host in lower case, and reports whether all read it alike:
// browsers take 0x7f.1 for an address and fold what is not ASCII.
func plainHost(host string) (string, bool) {
	if strings.Contains(host, ":") {
		ip, err := netip.ParseAddr(host)
		return ip.String(), err == nil && ip.Zone() == ""
	}
	host = strings.ToLower(host)
	labels := strings.Split(host, ".")
	if last := labels[len(labels)-1]; last != "" && last[0] >= '0' && last[0] <= '9' {
		ip, err := netip.ParseAddr(host)
		return ip.String(), err == nil
	} else if last == "" && host != "" {
		return "", false
	}
	return host, !strings.ContainsFunc(host, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_'
	})
}

// dots are the segments that lead somewhere else; some readers take a segment
// without what stands behind its semicolon.
func dots(segment string) string {
	if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
		return name
	}
	return ""
}

func hasDots(p string) bool {
	for segment := range strings.SplitSeq(p, "/") {
		if dots(segment) != "" {
			return true
		}
	}
	return false
}

// climbs reports whether .. leads above the root, or for some readers might.
func climbs(p string) bool {
	depth := 0
	for segment := range strings.SplitSeq(p, "/") {
		switch d := dots(segment); {
		case d != "" && d != segment:
			return true
		case segment == "", segment == ".":
		case segment == "..":
			if depth--; depth < 0 {
				return true
			}
		default:
			depth++
		}
	}
	return false
}

func (r *Resource) term(t *terms) *ast.Term {
	o := t.object()
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
	segments := strings.FieldsFunc(r.Path, func(c rune) bool { return c == '/' })
	o.add(ast.InternedTerm("path_segments"), t.texts(segments))
	return o.term()
}
