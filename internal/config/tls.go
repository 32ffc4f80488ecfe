package config

import (
	"crypto/tls"
	"strings"
)

// TLS is how a listener proves itself. Its files are read again when they change.
type TLS struct {
	Certificate string // a PEM file: the certificate, and those up to the root's
	Key         string // a PEM file
	// ClientCA is a PEM file with the roots of client certificates; empty: none are asked for. A client
	// may still come without one.
	ClientCA   string
	MinVersion uint16 // as in crypto/tls
}

func (t *TLS) keys() []key {
	return append(t.adminKeys(), key{name: "clientCA", into: scalar(filePath(&t.ClientCA))})
}

func (t *TLS) adminKeys() []key {
	t.MinVersion = tls.VersionTLS12
	return []key{
		{name: "certificate", into: scalar(filePath(&t.Certificate)), required: true},
		{name: "key", into: scalar(filePath(&t.Key)), required: true},
		{name: "minVersion", into: scalar(tlsVersion(&t.MinVersion))},
	}
}

func tlsVersion(dst *uint16) leaf {
	v := parsed(dst, "1.2 or 1.3", func(text string) (uint16, bool) {
		version, ok := map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[text]
		return version, ok
	})
	v.typ = floatType
	return v
}

// Handles says what seals the handles that clients bring back.
type Handles struct {
	// KeyFile has one secret a line; empty: the process makes one that nobody else has.
	KeyFile string
}

func (h *Handles) keys() []key {
	return []key{{name: "keyFile", into: scalar(filePath(&h.KeyFile))}}
}

// ServerTLS is how a server and the gateway prove themselves to each other.
// Its files are read again when they change; an empty path is none.
type ServerTLS struct {
	CA          string // a PEM file: the only roots that are trusted, in place of the system's
	Certificate string // a PEM file; with Key or not at all
	Key         string // a PEM file
	ServerName  string // the name in the server's certificate; empty: the URL's
}

func (t *ServerTLS) keys() []key {
	return []key{
		{name: "ca", into: scalar(filePath(&t.CA))},
		{name: "certificate", into: scalar(filePath(&t.Certificate))},
		{name: "key", into: scalar(filePath(&t.Key))},
		{name: "serverName", into: scalar(hostName(&t.ServerName))},
	}
}

func hostName(dst *string) leaf {
	return parsed(dst, "the name of a host", func(text string) (string, bool) {
		return text, text != "" && printable(text) && !strings.ContainsAny(text, " /@:*")
	})
}

// A TokenClient is one that says for whom its tokens are to be.
type TokenClient struct {
	OAuth2
	Audience string // by name; empty: not said
	Resource string // by URL (RFC 8707); empty: not said
}

func (c *TokenClient) keys() []key {
	return append(c.OAuth2.keys(),
		key{name: "audience", into: scalar(identifier(&c.Audience))},
		key{name: "resource", into: scalar(resource(&c.Resource))},
	)
}

func resource(dst *string) leaf {
	return parsed(dst, "an absolute http or https URL without credentials and fragment", func(text string) (string, bool) {
		_, ok := parseURL(text)
		return text, ok
	})
}
