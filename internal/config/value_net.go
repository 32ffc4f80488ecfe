package config

import (
	"errors"
	"net"
	"net/netip"
	"net/textproto"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// A check returns the one way to write a name of the user's, or why it is none, reading on after the name.
type check func(name string) (string, error)

var serverNameText = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)

func serverName(name string) (string, error) {
	if !serverNameText.MatchString(name) {
		return "", errors.New("is not a server's name (1 to 63 of a-z, 0-9 and -)")
	}
	return name, nil
}

func address(dst *string) leaf {
	return parsed(dst, "an address of the form host:port", func(text string) (string, bool) {
		host, port, err := net.SplitHostPort(text)
		return text, err == nil && validPort(port) && !strings.ContainsAny(host, " /@") && printable(host)
	})
}

// validPort reports whether port is a decimal number that fits a port; 0 leaves the choice to the system.
func validPort(port string) bool {
	_, err := strconv.ParseUint(port, 10, 16)
	return err == nil && decimal.MatchString(port)
}

// loopback reports whether only this machine reaches the address. A name other than localhost is not looked
// up, and so is not.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return host == "localhost"
	}
	return ip.Unmap().IsLoopback()
}

func serverURL(dst **url.URL) leaf {
	return parsed(dst, "an absolute http or https URL without credentials and fragment", parseURL)
}

// parseURL parses an absolute http or https URL. Credentials would end up in logs, so there are none.
func parseURL(text string) (*url.URL, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, false
	}
	if u.User != nil || strings.Contains(text, "#") || strings.ContainsRune(text, ' ') {
		return nil, false
	}
	if port := u.Port(); port != "" && !validPort(port) || strings.HasSuffix(u.Host, ":") {
		return nil, false
	}
	return u, true
}

var (
	originText   = regexp.MustCompile(`^([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]+))?$`)
	defaultPorts = map[string]string{"http": "80", "https": "443"}
)

// origin is a leaf for a browser origin. It drops a default port, as browsers do.
func origin(dst *string) leaf {
	const want = "an origin of the form scheme://host or scheme://host:port, in lower case and without a path"
	return parsed(dst, want, func(text string) (string, bool) {
		part := originText.FindStringSubmatch(text)
		if part == nil || part[3] != "" && !validPort(part[3]) {
			return "", false
		}
		if part[3] != "" && part[3] == defaultPorts[part[1]] {
			text = strings.TrimSuffix(text, ":"+part[3])
		}
		return text, true
	})
}

// prefix is a leaf for a CIDR prefix that means what it says: no bits beyond its length, and in the form in
// which a peer's address is compared.
func prefix(dst *netip.Prefix) leaf {
	return parsed(dst, "a CIDR prefix such as 10.0.0.0/8 or fd00::/8", func(text string) (netip.Prefix, bool) {
		p, err := netip.ParsePrefix(text)
		return p, err == nil && p == p.Masked() && !p.Addr().Is4In6()
	})
}

var (
	headerNameText = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	// reservedHeaders belong to the connection, to the message or to the protocol, by canonical name.
	reservedHeaders = map[string]bool{
		"Connection": true, "Keep-Alive": true, "Proxy-Authenticate": true, "Proxy-Authorization": true,
		"Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
		"Accept": true, "Accept-Encoding": true, "Content-Encoding": true, "Content-Length": true,
		"Content-Type": true, "Expect": true, "Host": true, "Last-Event-Id": true, "Origin": true,
	}
)

// headerName returns the canonical name of a header that a user may set.
func headerName(name string) (string, error) {
	if !headerNameText.MatchString(name) {
		return "", errors.New("is not the name of a header")
	}
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	if reservedHeaders[canonical] || strings.HasPrefix(canonical, "Mcp-") {
		return "", errors.New("is a header that the gateway sets or drops itself")
	}
	return canonical, nil
}

// identityHeader is a leaf for the name of a header in which a proxy tells who calls.
func identityHeader(dst *string) leaf {
	v := leaf{want: "the name of a header"}
	v.set = func(text string) error {
		canonical, err := headerName(text)
		if err == nil {
			*dst = canonical
		}
		return err
	}
	return v
}

// headerValue is a leaf for the value of a header, which is never shown.
func headerValue(dst *Secret) leaf {
	const want = "the value of a header (not empty, no line break at its end, no other control character, " +
		"no space around it)"
	v := parsed(dst, want, func(text string) (Secret, bool) {
		return Secret(text), text != "" && printable(text) && strings.TrimSpace(text) == text
	})
	v.secret = true
	return v
}
