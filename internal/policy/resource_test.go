package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseResource(t *testing.T) {
	for uri, want := range map[string]Resource{
		"file:///srv/a":                    {Scheme: "file", Path: "/srv/a"},
		"FILE:///srv/A":                    {Scheme: "file", Path: "/srv/A"},
		"file:/srv/a":                      {Scheme: "file", Path: "/srv/a"},
		"file://localhost/a":               {Scheme: "file", Path: "/a"},
		"file://host/a":                    {Scheme: "file", Host: "host", Path: "/a"},
		"file:///":                         {Scheme: "file", Path: "/"},
		"file:///a/./b/../c":               {Scheme: "file", Path: "/a/c"},
		"file:///a/%2e%2E/c":               {Scheme: "file", Path: "/c"},
		"file:///a/b/..":                   {Scheme: "file", Path: "/a/"},
		"file:///a/.":                      {Scheme: "file", Path: "/a/"},
		"file:///a/":                       {Scheme: "file", Path: "/a/"},
		"file:///%41%20b":                  {Scheme: "file", Path: "/A b"},
		"file:///%C3%A9":                   {Scheme: "file", Path: "/é"},
		"file:///...":                      {Scheme: "file", Path: "/..."},
		"https://Example.COM:443/A?b=%2f#": {Scheme: "https", Host: "example.com", Path: "/A", Query: "b=%2f"},
		"http://h:0080/":                   {Scheme: "http", Host: "h", Path: "/"},
		"http://h:8080":                    {Scheme: "http", Host: "h", Port: "8080"},
		"http://h:":                        {Scheme: "http", Host: "h"},
		"http://127.0.0.1/":                {Scheme: "http", Host: "127.0.0.1", Path: "/"},
		"http://[::1]:8080/":               {Scheme: "http", Host: "::1", Port: "8080", Path: "/"},
		"http://[0:0::0001]/":              {Scheme: "http", Host: "::1", Path: "/"},
		"db://tables/users":                {Scheme: "db", Host: "tables", Path: "/users"},
		"git+ssh://h/r#v1":                 {Scheme: "git+ssh", Host: "h", Path: "/r", Fragment: "v1"},
		"urn:isbn:123":                     {Scheme: "urn", Path: "isbn:123"},
		"mailto:a@b.c?subject=d":           {Scheme: "mailto", Path: "a@b.c", Query: "subject=d"},
		"file:///srv/{name}":               {Scheme: "file", Path: "/srv/{name}"},
		"db://t/{+path}{?q}":               {Scheme: "db", Host: "t", Path: "/{+path}{", Query: "q}"},
	} {
		want.URI, want.Valid = uri, true
		if diff := cmp.Diff(&want, ParseResource(uri)); diff != "" {
			t.Errorf("%s: %s", uri, diff)
		}
	}
}

// What two readers could differ on has no parts.
func TestParseResourceRefuses(t *testing.T) {
	for _, uri := range []string{
		"", "a", "/srv/a", "../a", "//h/a", "?a", "#a", ":", "1a:b", "{scheme}://h/a", "http://{host}/a",
		"file:///../etc", "file:///a/../../etc", "file:///%2e%2e/etc", "file:///a/..%2f..", "file:///a%2Fb", "file:///a%5cb",
		`file:///a\b`, "file:///a%252e", "file:///a%25", "file:///a%00", "file:///a%0a", "file:///a%7f", "file:///a%c2%85", "file:///a%ff", "file:///a\xff",
		"file:///a\tb", "file:///a\nb", "file:///a b", " file:///a", "file:///a ", "file:///a\x7f", "file:///a\u0085", "file:///%zz", "file:///%4",
		"file:////etc", "file:///a//b", "file:///a//../b", "http://h//a", "file:etc", "file:a/../b", "file:..",
		"file:///a/..;x/b", "file:///a/.;/b", "file:///a;/..;/b",
		"http://u@h/", "http://u:p@h/", "http://@h/", "http://a@b@c/",
		"http:h/a", "http:/h/a", "http:///h/a", "https:", "http://:80/", "http://h:99999/", "http://h:-1/", "http://h:a/",
		"http://h./", "http://ex%C3%A4mple/", "http://ｅxample/", "http://0x7f.1/", "http://127.1/", "http://2130706433/", "http://0127.0.0.1/",
		"http://[::1%25eth0]/", "http://[::1/", "http://[x]/", "http://h%2fa/", "http://a,b/",
		"urn:%61", "urn:a%2fb", "urn:a/../b", "urn:a/./b", "data:\u0000",
	} {
		if diff := cmp.Diff(&Resource{URI: uri}, ParseResource(uri)); diff != "" {
			t.Errorf("%q: %s", uri, diff)
		}
	}
	long := "file:///" + strings.Repeat("a/../", 1<<18) + "b"
	if r := ParseResource(long); !r.Valid || r.Path != "/b" {
		t.Errorf("a long one: %t %.20s", r.Valid, r.Path)
	}
}

// The parts of a normalised URI are those of the URI.
func FuzzParseResource(f *testing.F) {
	f.Add("file:///a/%2e%2e/b c?d#e")
	f.Add("http://[::1]:080/..;/a")
	f.Fuzz(func(t *testing.T, uri string) {
		r := ParseResource(uri)
		if !r.Valid {
			if diff := cmp.Diff(&Resource{URI: uri}, r); diff != "" {
				t.Error(diff)
			}
			return
		}
		if strings.Contains(r.Path+"/", "/../") || strings.Contains(r.Path+"/", "/./") || strings.Contains(r.Path, "//") || strings.ContainsAny(r.Path, "%\\\x00") {
			t.Errorf("%q: path %q", uri, r.Path)
		}
	})
}
